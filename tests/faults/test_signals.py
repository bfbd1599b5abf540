"""Signals that come when they should not: none is lost, and none ends the wrong process."""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from tests.conftest import Worker, tagged, wait_until
from tests.defences import defence
from tests.workers import begin, of_worker, processes, send, until, until_ended, until_ready
from workbench.client.client import Client, ClientError

AGENT = "leaving.py"
SIGNALS = "workbench/cli/signals.py"
SEEDS = range(8)  # for each of five phases of a worker's life
NOT_HELD = ("workbench/cli/signals.py", "sigmask(signal.SIG_BLOCK, HELD)", "sigmask(signal.SIG_BLOCK, ())")
pytestmark = pytest.mark.timeout(180)  # a bound on hanging


@dataclass
class Done:
    """What was done meanwhile: jobs by their id, and how often anything was asked for and answered."""

    jobs: list[str] = field(default_factory=list)
    times: int = 0


async def jobs_one_after_the_other(client: Client, done: Done) -> None:
    """Until the worker takes no more."""
    try:
        while True:
            done.jobs.append((await client.dispatch(None, {"do": "return"}))["id"])
            await until_ended(client, done.jobs[-1])
            done.times += 1
    except (ClientError, TimeoutError, KeyError):
        return


async def idle_processes_that_die(client: Client, done: Done) -> None:
    """Kill them one after the other, while they are replaced."""
    try:
        while True:
            for process in await processes(client, "idle"):
                try:
                    await client.kill_process(process["pid"])
                    done.times += 1
                except ClientError as error:
                    if error.status != 404:  # it was killed a moment ago
                        raise
            await asyncio.sleep(0.01)
    except ClientError:
        return


async def reloads(client: Client, done: Done) -> None:
    """Load the agent again and again."""
    try:
        while True:
            await client.reload()
            done.times += 1
            await asyncio.sleep(0.1)
    except ClientError:
        return


async def nothing(client: Client, done: Done) -> None:
    """Idle."""
    done.times = 1


@pytest.mark.parametrize("busy", [nothing, jobs_one_after_the_other, reloads, idle_processes_that_die])
@defence(NOT_HELD)
async def test_fault_F5_a_signal_at_a_random_moment_is_never_lost(start_worker: Any, busy: Any) -> None:
    workers = [start_worker("ledger.py", wait=False) for _ in SEEDS]

    async def signalled(worker: Worker, seed: int) -> None:
        await asyncio.to_thread(wait_until, lambda: os.path.exists(worker.socket), "it listens")
        async with worker.client() as client:
            await until_ready(client)
            done = Done()
            doing = asyncio.ensure_future(busy(client, done))
            await asyncio.to_thread(wait_until, lambda: done.times or doing.done(), "it is busy")
            await asyncio.sleep(random.Random(f"{busy.__name__} {seed}").uniform(0, 0.6))
            worker.process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(worker.ended)
            await doing
        assert code == 0, f"seed {seed}"
        assert done.times, f"seed {seed}: nothing was done meanwhile"
        for job_id in done.jobs:
            assert [e["what"] for e in worker.entries() if e["job"] == job_id] == ["start", "finish"], f"seed {seed}"

    await asyncio.gather(*(signalled(worker, seed) for worker, seed in zip(workers, SEEDS, strict=True)))


@defence(NOT_HELD)
@defence(
    (
        SIGNALS,
        "if self._loop is not None:\n",
        "if self._loop is None:\n                self._came.clear()\n            else:\n",
    )
)
def test_fault_F5_a_signal_to_a_worker_that_has_just_begun_is_never_lost(start_worker: Any) -> None:
    workers = [start_worker("ledger.py", wait=False) for _ in SEEDS]
    for seed, worker in enumerate(workers):
        wait_until(of_worker(worker).children, "it has started its first process")
        time.sleep(random.Random(seed).uniform(0, 0.3) if seed else 0)
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.ended() for worker in workers] == [0] * len(workers)


@pytest.mark.parametrize(("number", "codes"), [(signal.SIGHUP, [0]), (signal.SIGTERM, [0, 143])])
@defence(NOT_HELD)
async def test_fault_F5_a_signal_in_the_very_last_moments_changes_no_exit_code(
    start_worker: Any, number: signal.Signals, codes: list[int]
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
    worker.process.send_signal(signal.SIGTERM)
    while worker.process.poll() is None:
        worker.process.send_signal(number)
        time.sleep(0.0005)
    assert worker.ended() in codes


@defence((SIGNALS, "if number in ENDING and asked == 3:", "if False:"))
async def test_fault_F5_a_third_signal_ends_even_a_worker_whose_loop_stands(broken_worker: Any) -> None:
    worker = broken_worker(
        "import workbench.cli.serve as serve; serve.AT_LAST_S = 0.5\n"
        "from workbench.supervisor.worker import Supervisor\n"
        "Supervisor.on_signal = lambda self, number: time.sleep(600)\n",
        AGENT,
    )
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "deaf")
    for _ in range(3):
        send(worker, signal.SIGTERM)
    assert worker.ended() == 143
    wait_until(lambda: not tagged(worker.tag), "nothing is left")


@defence(NOT_HELD)
@pytest.mark.parametrize("after_ms", [0, 20, 60, 100, 150, 200, 300, 600])
@pytest.mark.parametrize("begun", [False, True], ids=["started", "begun"])
def test_fault_F9_a_signal_at_any_moment_of_the_start_ends_the_worker(
    start_worker: Any, begun: bool, after_ms: int
) -> None:
    """Before it is a worker it ends as any program does; from its first process on, in order."""
    worker = start_worker("trouble.py", wait=False)
    if begun:
        wait_until(of_worker(worker).children, "it has started its first process")
    time.sleep(after_ms / 1e3)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() in ([0] if begun else [0, -signal.SIGTERM])
    wait_until(lambda: not tagged(worker.tag), "nothing is left")


@defence(("workbench/supervisor/sampler.py", "if lag > LATE_S:", "if lag > 1e9:"))
async def test_fault_F12_a_supervisor_that_was_stopped_blames_nobody(start_worker: Any) -> None:
    """Not even a job that gets its turn a little later than it, with a ping unanswered since before."""
    worker = start_worker("trouble.py", "--ping-timeout", "4", "--ping-interval", "0.1", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hear")
        os.kill(job["pid"], signal.SIGSTOP)
        await asyncio.sleep(0.4)  # some pings
        of_worker(worker).suspend()
        time.sleep(6)
        worker.process.send_signal(signal.SIGTERM)  # it is taken when the worker goes on
        of_worker(worker).resume()
        await asyncio.sleep(0.5)
        assert psutil.pid_exists(job["pid"]), "it was blamed for the time in which nobody could answer"
        os.kill(job["pid"], signal.SIGCONT)
        await until(client, lambda state: state.worker.draining)
        await asyncio.sleep(0.5)  # it is looked at four times a second
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        async for frame in client.frames():  # from before its end on: the drained worker leaves right after it
            if frame.snapshot:
                await client.end_job(job["job"])
            if not (ended := frame.state.jobs[job["job"]]).active:
                break
        assert ended.reason == "cancelled"
    assert "hung" not in worker.output()
    assert worker.ended() == 0
