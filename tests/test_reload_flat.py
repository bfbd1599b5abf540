"""A hundred reloads: nothing of them is left in the supervisor, and no process but those that were there before."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, tagged, wait_until
from tests.defences import defence
from tests.workers import of_worker, samples, until, until_ended, until_ready, until_written
from workbench.client.client import Client

AGENT = """
import part{other}
from ledger import note
from workbench import WorkerJob
NUMBER = {number}
{damage}
async def entrypoint(ctx):
    note(ctx, "start", number=NUMBER)
    await ctx.run_until_shutdown()
    note(ctx, "finish", number=NUMBER)
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""
THERE = ("the supervisor", "a zygote", "the base", "an idle process", "the job that runs all the time")
WARM_UP, RELOADS, EVERY = 20, 100, 10
POOL = min(32, (os.cpu_count() or 1) + 4)  # threads of the loop's own executor, which makes them as it needs them
GROWTH_MB = 4.0  # 40 KB a reload; measured: 1.4 MB in 200


class Project:
    """An agent that imports another module of its own with each save: what is watched changes, too."""

    def __init__(self, folder: Path) -> None:
        self.file, self.number = folder / "agent.py", 0
        for other in range(3):
            (folder / f"part{other}.py").touch()
        self.save()

    def save(self, damage: str = "") -> None:
        self.number += 1
        beside = self.file.with_suffix(".tmp")
        beside.write_text(AGENT.format(number=self.number, other=self.number % 3, damage=damage))
        os.replace(beside, self.file)


@dataclass(frozen=True)
class Held:
    """What a supervisor holds, by what the kernel says."""

    descriptors: int
    threads: int
    processes: int
    zombies: int
    resident_mb: float

    @classmethod
    def by(cls, worker: Worker) -> "Held":
        supervisor = of_worker(worker)
        children = supervisor.children(recursive=True)
        return cls(
            descriptors=supervisor.num_fds(),
            threads=supervisor.num_threads(),
            processes=len(tagged(worker.tag)),
            zombies=sum(map(_is_zombie, children)),
            resident_mb=supervisor.memory_info().rss / 1e6,
        )


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it was reaped since it was listed
        return False


async def run(client: Client, worker: Worker, project: Project) -> None:
    """A job on the newest code. With its start the generation has proved itself: older zygotes leave."""
    job = await client.dispatch()
    entry = await until_written(worker, job["id"], "start")
    assert entry["number"] == project.number
    await client.end_job(job["id"])
    await until_ended(client, job["id"])


async def at_rest(client: Client, worker: Worker, project: Project) -> Held:
    """What is held while nothing is on its way."""
    await run(client, worker, project)
    await until_ready(client)
    wait_until(lambda: Held.by(worker).processes == len(THERE), f"there are but {', '.join(THERE)}")
    wait_until(lambda: not Held.by(worker).zombies, "everything that ended was reaped")
    await samples(client, 2)
    return Held.by(worker)


async def reload(client: Client, project: Project, count: int) -> None:
    """Save and load so often, and wait for each to serve. Before every tenth, code that fails is loaded."""
    for turn in range(count):
        if turn % EVERY == 0:
            project.save("raise ValueError('broken')")
            await client.reload()
            await until(client, lambda state: state.reload.problem)
        before = (await client.request("GET", "/stats"))["worker"]["generation"]
        project.save()
        await client.reload()
        await until(client, lambda state, before=before: state.worker.generation > before)


@pytest.mark.timeout(400)
@defence(("workbench/supervisor/reloading.py", "self._loader.drop(older)", "pass"))
@pytest.mark.parametrize("flags", [(), ("--layers",)], ids=["plain", "layers"])
async def test_fault_G7_reloads_leave_nothing_behind(
    start_worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(AGENTS), os.environ.get("PYTHONPATH")])))
    project = Project(tmp_path)
    worker = start_worker(project.file, "--reload=manual", *flags)
    async with worker.client() as client, asyncio.timeout(6 * WAIT_S):
        await until_ready(client)
        held = await client.dispatch()
        await until_written(worker, held["id"], "start")
        await reload(client, project, WARM_UP)
        before = await at_rest(client, worker, project)
        await reload(client, project, RELOADS)
        after = await at_rest(client, worker, project)
        print(f"\nbefore {before}\nafter  {after}")
        await client.end_job(held["id"])
        assert (await until_ended(client, held["id"]))["generation"] == 1
    entries = [entry["number"] for entry in worker.entries() if entry["job"] == held["id"]]
    assert entries == [1, 1], "the job that ran all the time kept its code"
    assert after.descriptors <= before.descriptors
    assert after.threads - before.threads < POOL
    assert after.processes <= before.processes
    assert after.resident_mb - before.resident_mb < GROWTH_MB
    assert "a bug of ours" not in worker.output()
