"""Processes that load the agent for themselves run the code of their generation, whatever lies on the disk by then."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AGENTS, WAIT_S, Worker
from tests.defences import defence
from tests.test_reload import reloaded
from tests.workers import until, until_ready
from workbench.client.client import Client

AGENT = """
import parts
from ledger import note
from parts import deep
from workbench import WorkerJob
VERSION = {version}
async def entrypoint(ctx):
    note(ctx, "saw", versions=[VERSION, parts.VERSION, deep.VERSION])
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""


def save(folder: Path, version: int) -> None:
    (folder / "parts").mkdir(exist_ok=True)
    (folder / "agent.py").write_text(AGENT.format(version=version))
    (folder / "parts" / "__init__.py").write_text(f"VERSION = {version}\n")
    (folder / "parts" / "deep.py").write_text(f"VERSION = {version}\n")


async def saw(client: Client, worker: Worker) -> tuple[int, list[int]]:
    """The generation and the versions of a job."""
    job = await client.dispatch(force=True)
    ended = await until(client, lambda state: (found := state.jobs[job["id"]]).ended_at and found)
    assert ended.status == "completed", ended
    (entry,) = [entry for entry in worker.entries() if entry["job"] == job["id"]]
    return ended.generation, entry["versions"]


@pytest.mark.parametrize("why", ["asked for", "found"])
@defence(("workbench/supervisor/children.py", '"become": True, "sources": sources}', '"become": True, "sources": ""}'))
async def test_fault_G11_what_is_saved_is_run_by_no_process_of_older_code(
    start_worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(AGENTS), os.environ.get("PYTHONPATH")])))
    folder = tmp_path / "project"
    folder.mkdir()
    save(folder, 1)
    if why == "found":
        agent = folder / "agent.py"
        started = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
        agent.write_text(started + agent.read_text())
    worker = start_worker(folder / "agent.py", *(["--start-method", "spawn"] if why == "asked for" else []))
    async with worker.client() as client, asyncio.timeout(2 * WAIT_S):
        await until_ready(client)
        assert {process.start_method for process in (await _processes(client))} == {"spawn"}
        save(folder, 2)
        for _ in range(3):
            assert await saw(client, worker) == (1, [1, 1, 1])
        shutil.rmtree(folder / "parts")
        (folder / "agent.py").write_text("reply = (")
        for _ in range(3):
            assert await saw(client, worker) == (1, [1, 1, 1])
        save(folder, 3)
        assert (await reloaded(client)).reload.problem is None
        assert await saw(client, worker) == (2, [3, 3, 3])


async def _processes(client: Client) -> list[Any]:
    return list(await until(client, lambda state: state.live("idle")))
