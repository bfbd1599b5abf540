"""Hot reload by saves: what editors, checkouts and deletions do to files, judged by what the agent answers."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.conftest import WAIT_S, wait_until
from tests.defences import defence
from tests.workers import until_ready
from workbench.client.client import Client
from workbench.model import events as ev

AGENT = """
from workbench import WorkerJob
{imports}
async def entrypoint(ctx):
    await ctx.room.send({words})
    await ctx.run_until_shutdown()
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""


def agent(words: str, imports: str = "") -> str:
    return AGENT.format(words=words, imports=imports)


async def answers(client: Client, words: str) -> None:
    """Wait until a new job answers with the words."""

    async def said() -> str:
        job = await client.dispatch(force=True)
        found = await client.request("GET", f"/rooms/{job['room_id']}/messages?wait_s=10")
        await client.end_job(job["id"])
        return str(found["messages"][0]["text"]) if found["messages"] else ""

    async for frame in client.frames():
        news = frame.snapshot or isinstance(frame.event, ev.ReloadDone | ev.Sampled)
        if news and frame.state.worker.status in ("ready", "over_load") and await said() == words:
            return


async def looks(client: Client, count: int = 6) -> None:
    """Let the watch look a few times: it does so twice a second, and a worker is measured four times."""
    async for frame in client.frames():
        count -= isinstance(frame.event, ev.Sampled)
        if count == 0:
            return


async def until_broken(client: Client) -> None:
    async for frame in client.frames():
        if frame.state.reload.problem is not None:
            return


async def until_watched(client: Client, files: int) -> None:
    async for frame in client.frames():
        if frame.state.reload.watched >= files:
            return


def save(path: Path, text: str, how: str) -> None:
    """Write as editors do."""
    if how == "in place":
        path.write_text(text)
    elif how == "by renaming":
        other = path.with_suffix(".tmp")
        other.write_text(text)
        os.replace(other, path)
    else:
        path.unlink()
        path.write_text(text)


@pytest.mark.parametrize("how", ["in place", "by renaming", "by deleting first"])
@defence(
    (
        "workbench/supervisor/watching/files.py",
        "if seen is not None and stamp == seen.stamp and not seen.fresh:",
        "if seen is not None:",
    )
)
async def test_fault_G6_a_save_is_served_however_the_editor_saves(start_worker: Any, tmp_path: Path, how: str) -> None:
    file = tmp_path / "saved.py"
    file.write_text(agent("'one'"))
    worker = start_worker(file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        for words in ("two", "three"):
            save(file, agent(f"'{words}'"), how)
            await answers(client, words)


async def test_a_deleted_agent_file_keeps_the_old_code_until_it_is_back(start_worker: Any, tmp_path: Path) -> None:
    file = tmp_path / "gone.py"
    file.write_text(agent("'one'"))
    worker = start_worker(file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        file.unlink()
        await client.reload()  # even when asked to load what is not there
        await until_broken(client)
        await looks(client)
        await answers(client, "one")
        file.write_text(agent("'two'"))
        await answers(client, "two")
    assert worker.process.poll() is None


async def test_an_imported_folder_may_vanish_and_come_back(start_worker: Any, tmp_path: Path) -> None:
    package = tmp_path / "parts"
    package.mkdir()
    (package / "__init__.py").write_text("WORDS = 'one'\n")
    file = tmp_path / "uses.py"
    file.write_text(agent("parts.WORDS", "import parts"))
    worker = start_worker(file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        shutil.move(package, tmp_path / "elsewhere")
        file.write_text(agent("parts.WORDS", "import parts.more"))
        await until_broken(client)
        await looks(client)
        await answers(client, "one")
        (tmp_path / "elsewhere" / "__init__.py").write_text("WORDS = 'two'\n")
        (tmp_path / "elsewhere" / "more.py").touch()
        shutil.move(tmp_path / "elsewhere", package)
        await answers(client, "two")
    assert worker.process.poll() is None


async def test_a_save_while_the_first_import_runs_is_not_missed(start_worker: Any, tmp_path: Path) -> None:
    file, part, mark = tmp_path / "slow.py", tmp_path / "part.py", tmp_path / "mark"
    part.write_text("WORDS = 'one'\n")
    slow = f"import time, pathlib, part\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(1)"
    file.write_text(agent("part.WORDS", slow))
    worker = start_worker(file, "--reload")
    wait_until(mark.exists, "the import runs")
    part.write_text("WORDS = 'two'\n")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await answers(client, "two")


@pytest.mark.skipif(not kernels.KNOWN, reason="system calls are not numbered here")
@defence(("workbench/supervisor/watching/kernel.py", "NO_WATCH = (OSError, RuntimeError)", "NO_WATCH = (OSError,)"))
async def test_fault_G5_a_save_is_found_where_the_kernel_gives_no_watch(start_worker: Any, tmp_path: Path) -> None:
    file = tmp_path / "bot.py"
    file.write_text(agent("'one'"))
    (tmp_path / "sitecustomize.py").write_text("from tests import kernels\nkernels.refuse('inotify_init1')\n")
    worker = start_worker(file, "--reload", PYTHONPATH=f"{tmp_path}:{Path(__file__).parent.parent}")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        file.write_text(agent("'two'"))
        await answers(client, "two")
    assert "the kernel does not tell of saves" in worker.output()
