"""`--strict`: processes that die again and again end the worker, with exit code 5, after the jobs that run."""

import os
import signal
from pathlib import Path
from typing import Any

from tests.conftest import Worker
from tests.defences import defence
from tests.workers import begin, processes, until, until_ready
from workbench.client.client import Client, ClientError


async def begin_and_let_die(client: Client, worker: Worker, dies: Path) -> dict[str, Any]:
    """A job runs, and all other processes die from here on."""
    await until_ready(client)
    job = await begin(client, worker, "echo")
    idle = await until(client, lambda state: state.live("idle"))  # the job took the one that was
    dies.touch()
    for process in idle:
        os.kill(process.pid, signal.SIGKILL)
    return job


@defence(("workbench/model/core.py", "        if self.strict:", "        if False:"))
async def test_strict_lets_jobs_end_and_then_ends_the_worker(start_worker: Any, tmp_path: Path) -> None:
    dies = tmp_path / "dies"
    worker = start_worker("shortlived.py", "--strict", DIES=str(dies))
    async with worker.client() as client:
        job = await begin_and_let_die(client, worker, dies)
        await until(client, lambda state: state.worker.draining)
        try:
            await client.dispatch()
            raise AssertionError("a worker that ends takes no jobs")
        except ClientError as refused:
            assert refused.status == 503
        await client.end_job(job["job"])
    assert worker.ended() == 5
    assert [entry["what"] for entry in worker.entries()] == ["start", "finish"]
    assert "the restart budget is used up (5 failures in 60 s)" in worker.output()
    assert "exit code 9" in worker.output()


@defence(("workbench/model/closing.py", "self._drained_code = code", "self._drained_code = 0"))
async def test_strict_ends_with_its_own_code_where_the_drain_is_cut(start_worker: Any, tmp_path: Path) -> None:
    dies = tmp_path / "dies"
    worker = start_worker("shortlived.py", "--strict", "--drain-timeout", "0.5", DIES=str(dies))
    async with worker.client() as client:
        await begin_and_let_die(client, worker, dies)
    assert worker.ended() == 5
    assert "drain_cut" in worker.output()
    assert "the restart budget is used up (5 failures in 60 s)" in worker.output()


async def test_strict_changes_nothing_else_and_without_it_the_worker_stays(start_worker: Any, tmp_path: Path) -> None:
    dies = tmp_path / "dies"
    worker = start_worker("shortlived.py", "--strict", DIES=str(dies))
    async with worker.client() as client:
        await until_ready(client)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0  # strict alone changes nothing
    tolerant = start_worker("shortlived.py", DIES=str(dies))
    async with tolerant.client() as client:
        await until_ready(client)
        dies.touch()
        for process in await processes(client, "idle"):
            os.kill(process["pid"], signal.SIGKILL)
        await until(client, lambda state: state.worker.status == "degraded")
        dies.unlink()
    assert tolerant.process.poll() is None
