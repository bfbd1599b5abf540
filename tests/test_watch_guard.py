"""Agents and jobs that write what is watched, and scripts that save much, on real workers."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.conftest import WAIT_S, wait_until
from tests.defences import defence
from tests.test_watch import agent, answers, looks, until_watched
from tests.workers import log_lines, of_worker, until, until_ready
from workbench.model import events as ev
from workbench.supervisor.watching import kernel as kernels_news
from workbench.supervisor.watching.guard import ALL_THE_TIME, WRITTEN_BY_LOADING
from workbench.supervisor.watching.kernel import Kernel

COUNTS = """
import pathlib, time
loads = pathlib.Path(__file__).parent.parent / "loads"
with open(loads, "a") as file:
    file.write("x")
"""
GUARD = "workbench/supervisor/watching/guard.py"
WATCH = "workbench/supervisor/watch.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def loads(folder: Path) -> int:
    return len((folder.parent / "loads").read_text())


@pytest.mark.parametrize("name", ["state.json", "made.py"])
@pytest.mark.parametrize("where", ["entry", "prewarm"])
@defence((GUARD, "if not files or max(moments)", "if files or max(moments)"))
@defence((WATCH, "and self._files.stamp(path) == self._settled[path]", "and False"))
async def test_fault_G4_a_file_that_the_agent_writes_whenever_it_is_loaded_is_named_and_left_alone(
    start_worker: Any, folder: Path, where: str, name: str
) -> None:
    """By its import, or just before it serves; data, or code of its own."""
    (folder / "made.py").touch()
    writes = f"def write(*_):\n    (loads.parent / 'project' / '{name}').write_text(f'X = {{time.time()}}')\n{COUNTS}"
    text = agent("'one'", f"{writes}import made\n" + ("write()" if where == "entry" else ""))
    file = folder / "bot.py"
    file.write_text(text if where == "entry" else text.replace("(entrypoint)", "(entrypoint, prewarm=write)"))
    worker = start_worker(file, "--reload", "--watch", "*.json")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until(client, lambda state: state.reload.suspended == {name: WRITTEN_BY_LOADING})
        await answers(client, "one")
        assert any(f"{name} is no longer followed" in line.text for line in await log_lines(client))
        before = loads(folder)
        await looks(client)
        assert loads(folder) == before <= 15
        file.write_text(file.read_text().replace("'one'", "'two'"))
        await answers(client, "two")  # other files go on
        await client.reload()
        await until(client, lambda state: not state.reload.suspended)


@defence((WATCH, "and self._files.stamp(path) == self._settled[path]", ""))
async def test_a_script_that_saves_as_soon_as_its_last_save_serves_is_not_taken_for_loading(
    start_worker: Any, folder: Path
) -> None:
    file, saves = folder / "bot.py", 12
    file.write_text(agent("'one'", COUNTS))
    worker = start_worker(file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        served = 0
        async for frame in client.frames():
            if frame.snapshot or isinstance(frame.event, ev.ReloadDone):
                served += 1
                file.write_text(agent(f"'save {served}'", COUNTS))
            if served == saves:
                break
        await answers(client, f"save {saves}")
        assert (await client.request("GET", "/stats"))["reload"]["suspended"] == {}
        assert not [line for line in await log_lines(client) if "again and again" in line.text]


async def test_a_file_that_the_agent_writes_alike_whenever_it_is_loaded_loads_nothing(
    start_worker: Any, folder: Path
) -> None:
    file = folder / "bot.py"
    file.write_text(agent("'one'", f"{COUNTS}(loads.parent / 'project' / 'made.py').write_text('X = 1')\nimport made"))
    worker = start_worker(file, "--reload", "--watch", "*.py")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        await looks(client, 10)
        assert loads(folder) <= 2  # what was written while it was first loaded may be anybody's
        state = await client.request("GET", "/stats")
        assert state["reload"]["suspended"] == {}


@pytest.mark.parametrize(("saves", "pause_s"), [(100, 0.02), (6, 0.25), (7, 0.4)])
@defence((GUARD, "self._row.clear()\n        self._held = self._tried = None", "pass"))
async def test_fault_G2_a_script_that_saves_again_and_again_ends_on_its_last_save(
    start_worker: Any, folder: Path, saves: int, pause_s: float
) -> None:
    file = folder / "bot.py"
    file.write_text(agent("'one'", COUNTS))
    worker = start_worker(file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        for number in range(saves):
            file.write_text(agent(f"'save {number}'", COUNTS))
            await asyncio.sleep(pause_s)
        await answers(client, f"save {saves - 1}")
        state = await client.request("GET", "/stats")
        assert state["reload"]["suspended"] == {}
        assert loads(folder) <= saves + 2  # a save is loaded once at most, however fast the machine is
        file.write_text(agent("'and on'", COUNTS))
        await answers(client, "and on")


@defence((WATCH, "for path, pid in held.items():", "for path, pid in ():"))
async def test_what_a_job_holds_open_to_write_is_named_and_left_alone(start_worker: Any, folder: Path) -> None:
    file, log = folder / "bot.py", folder / "logs" / "job.log"
    writes = """
async def write(ctx):
    log = open(loads.parent / "project" / "logs" / "job.log", "a", buffering=1)
    for number in range(10_000):
        print(number, file=log)
        await __import__("asyncio").sleep(0.05)
"""
    log.parent.mkdir()
    (log.parent / "by_hand.txt").touch()
    text = agent("'one'", COUNTS + writes).replace(
        "    await ctx.run_until", "    await write(ctx)\n    await ctx.run_until"
    )
    file.write_text(text)
    worker = start_worker(file, "--reload", "--watch", "logs")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 2)
        await client.dispatch()
        (reason,) = (await until(client, lambda state: state.reload.suspended)).values()
        found = re.fullmatch(r"held open for writing by process (\d+)", reason)
        assert found is not None
        assert int(found[1]) in [process.pid for process in of_worker(worker).children()]
        size = log.stat().st_size
        wait_until(lambda: log.stat().st_size > size, "the job writes on")
        await looks(client)
        assert loads(folder) == 1
        lines = [line.text for line in await log_lines(client) if "logs/job.log is not followed" in line.text]
        assert len(lines) == 1
        assert found[1] in lines[0]
        (log.parent / "by_hand.txt").write_text("more")
        wait_until(lambda: loads(folder) == 2, "other files there count")


async def test_data_that_changes_all_the_time_is_named_and_left_alone(start_worker: Any, folder: Path) -> None:
    file, data = folder / "bot.py", folder / "data.csv"
    file.write_text(agent("'one'", COUNTS))
    worker = start_worker(file, "--reload", "--watch", "data.csv")

    async def go_on() -> None:
        for number in range(100_000):
            data.write_text(str(number))
            await asyncio.sleep(0.3 + number % 5 / 2)

    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until_watched(client, 1)
        writing = asyncio.ensure_future(go_on())
        await until(client, lambda state: state.reload.suspended == {"data.csv": ALL_THE_TIME})
        writing.cancel()
        assert loads(folder) <= 12


# --- kernels that do not tell ----------------------------------------------------------------------------

MOUNT = """
import builtins
opened = builtins.open
def open_other(file, *args, **more):
    return opened({table!r} if file == "/proc/self/mountinfo" else file, *args, **more)
builtins.open = open_other
"""


async def test_a_foreign_file_system_is_told_and_saves_are_found(
    start_worker: Any, folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {folder} rw - nfs4 host:/x rw\n")
    (tmp_path / "sitecustomize.py").write_text(MOUNT.format(table=str(table)))
    file, prompt = folder / "bot.py", folder / "prompts" / "a.md"
    reads = "import pathlib\nWORDS = ''.join(f.read_text() for f in pathlib.Path(__file__).parent.glob('prompts/*'))"
    file.write_text(agent("WORDS or 'none'", reads))
    worker = start_worker(file, "--reload", "--watch", "prompts/*.md", PYTHONPATH=str(tmp_path))
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until(client, lambda state: state.reload.polling == f"nfs4 at {folder}")
        await until_ready(client)
        prompt.parent.mkdir()
        prompt.write_text("two")
        await answers(client, "two")


@pytest.mark.skipif(not kernels.KNOWN, reason="system calls are not numbered here")
async def test_a_kernel_that_gives_no_watch_is_told(start_worker: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("from tests import kernels\nkernels.refuse('inotify_init1')\n")
    file = folder / "bot.py"
    file.write_text(agent("'one'"))
    worker = start_worker(file, "--reload", PYTHONPATH=f"{tmp_path}:{Path(__file__).parent.parent}")
    async with worker.client() as client:
        assert await until(client, lambda state: state.reload.polling.startswith("no inotify: "))


@defence(("workbench/supervisor/watching/kernel.py", '            self.failure = ""', "            pass"))
async def test_a_kernel_that_gives_a_watch_later_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    kernel = Kernel(lambda path: path.endswith("a.py"), lambda level, text: notes.append(text))
    places = {str(tmp_path): (1, 1)}
    with monkeypatch.context() as refusing:
        refusing.setattr(kernels_news, "AGAIN_S", 0.0)

        def refuse(*folders: str, **more: Any) -> Any:
            raise OSError(24, "Too many open files")

        refusing.setattr("watchfiles.awatch", refuse)
        assert await kernel.follow(places)
        assert await kernel.follow(places)
        assert "Too many open files" in kernel.failure
        assert len(notes) == 1
    assert await kernel.follow(places)
    assert kernel.failure == ""
    assert not await kernel.follow(places)
    async with asyncio.timeout(WAIT_S):
        (tmp_path / "b.py").touch()
        await kernel.heard(0.2)
        (tmp_path / "a.py").touch()
        await kernel.heard(WAIT_S * 2)
    assert await kernel.follow({str(tmp_path): (1, 2)})  # another folder of the same name
    await kernel.close()
