"""An end and a request to end at the same time: one end, the first; the other is recorded as late."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S
from tests.defences import defence
from tests.test_core import Bench
from tests.workers import begin, log_lines, of_worker, run, until, until_ended, until_ready, until_written
from workbench.client.client import Client, ClientError
from workbench.model import events as ev

AGENT = "running.py"
LATE = "asked to end (cancelled), but it had ended already"


def race(chance: random.Random) -> None:
    """A job's word, its process's end and requests to end it, in any order and with any time between."""
    bench = Bench(max_processes=2, close_timeout=1.0)
    bench.serve()
    job, process_id = bench.start()
    expected, late, asked = None, 0, False
    news = ["over", "over", "cancel", "cancel", "exit"]
    chance.shuffle(news)
    for one in news:
        bench.wait(chance.choice([0.0, 0.0, 0.3, 0.7, 1.2, 3.0]))
        if one == "cancel":
            bench.core.end_job(job.id, bench.now)
            late, asked = late + (expected is not None), True
        elif one == "over":
            seen = asked and chance.random() < 0.5
            bench.over(job, seen=seen)
            late += expected is not None or (asked and not seen)
            expected = expected or ("cancelled" if seen else "returned")
        else:
            bench.exit(process_id)
            expected = expected or ("cancelled" if asked else "signalled")
    bench.wait(10)
    assert [e.reason for e in bench.events if isinstance(e, ev.JobEnded)] == [expected]
    assert job.reason == expected
    assert bench.core.state.counters["late_reports"] == late


@defence(
    (
        "workbench/model/jobs.py",
        "if job is not None and job.active and job.process_id == process_id:",
        "if job is not None and job.process_id == process_id:",
    ),
)
@defence(("workbench/model/jobs.py", "if asked is not None and not seen:", "if asked is None:"))
@defence(("workbench/model/core.py", "self.jobs.asked_too_late(job, reason, now)", "return"))
@defence(("workbench/model/ending.py", "asked_for is not None and seen:", "asked_for is not None:"))
def test_fault_B16_an_end_and_requests_to_end_in_any_order_make_one_end_and_the_first_one() -> None:
    for seed in range(1000):
        try:
            race(random.Random(seed))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def note_ends(client: Client, told: list[ev.JobEnded], listening: asyncio.Event) -> None:
    """Note every end that is told."""
    async for frame in client.frames():
        listening.set()
        if isinstance(frame.event, ev.JobEnded):
            told.append(frame.event)


@defence(("workbench/model/jobs.py", "if asked is not None and not seen:", "if asked is None:"))
@defence(("workbench/model/ending.py", "asked_for is not None and seen:", "asked_for is not None:"))
async def test_fault_B16_a_job_that_returned_before_it_could_hear_of_a_request_is_completed(
    start_worker: Any, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "return unheard")
        await client.end_job(job["job"])
        await until(client, lambda state: state.jobs[job["job"]].asked)
        order.write_text("end")
        ended = await until_ended(client, job["job"])
        told = [line.text for line in await log_lines(client) if line.text.startswith("late: ")]
    assert (ended["status"], ended["reason"]) == ("completed", "returned")
    assert told == [f"late: {job['job']}: {LATE}"]
    assert [e["what"] for e in worker.entries()] == ["start", "finish"]


@defence(
    ("workbench/process/runner.py", 'end["seen"] = self.end_seen  # what', "# what"),
    (
        "workbench/process/runner.py",
        "_close_s)\n        return end",
        '_close_s)\n        return end | {"seen": self.end_seen}',
    ),
)
async def test_fault_B16_a_request_while_the_callbacks_run_does_not_rename_the_end(
    start_worker: Any, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "slow farewell", "farewell")
        await client.end_job(job["job"])
        await until(client, lambda state: state.jobs[job["job"]].asked == "cancel")
        order.write_text("end")
        ended = await until_ended(client, job["job"])
        told = [line.text for line in await log_lines(client) if line.text.startswith("late: ")]
    assert (ended["status"], ended["reason"]) == ("completed", "returned")
    assert told == [f"late: {job['job']}: {LATE}"]


@defence(("workbench/server/app.py", "supervisor.end_job(found.id)  # one that", "# one that"))
async def test_fault_B16_a_request_that_comes_after_the_end_is_refused_and_recorded(
    start_worker: Any, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "return unheard")
        of_worker(worker).suspend()  # it learns of both at once
        order.write_text("end")
        await until_written(worker, job["job"], "finish")
        asking = asyncio.create_task(client.end_job(job["job"]))
        await asyncio.sleep(0.1)
        of_worker(worker).resume()
        with pytest.raises(ClientError, match="the job has ended: completed, returned"):
            await asking
        ended = await until_ended(client, job["job"])
        told = [line.text for line in await log_lines(client) if line.text.startswith("late: ")]
    assert (ended["status"], ended["reason"]) == ("completed", "returned")
    assert told == [f"late: {job['job']}: {LATE}"]


@defence(
    ("workbench/process/runner.py", "self.end_seen = True\n            self.context", "self.context"),
    ("workbench/process/runner.py", "self.end_seen = True\n            self._task", "self._task"),
)
async def test_fault_B16_jobs_that_end_while_they_are_cancelled_each_have_one_true_end(start_worker: Any) -> None:
    worker, chance = start_worker("trouble.py", "--close-timeout", "0.1"), random.Random(16)
    told, heard = [], asyncio.Event()
    async with worker.client() as client:
        await until_ready(client)
        listening, jobs = asyncio.create_task(note_ends(client, told, heard)), []
        await heard.wait()
        for _ in range(25):
            job = await client.dispatch(None, {"do": "sleep", "s": chance.uniform(0.0, 0.1)})
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            try:
                await client.end_job(job["id"])
            except ClientError as late:
                assert late.status == 409
            jobs.append(await until_ended(client, job["id"]))
        jobs.append(await run(client, "return"))
        async with asyncio.timeout(WAIT_S):
            while not told or told[-1].id != jobs[-1]["id"]:
                await asyncio.sleep(0.01)
        listening.cancel()
    assert {job["reason"] for job in jobs} <= {"returned", "cancelled"}
    assert [(e.id, e.reason) for e in told] == [(job["id"], job["reason"]) for job in jobs]
    finished = [e["job"] for e in worker.entries() if e["what"] == "finish"]
    assert len(finished) == len(set(finished))
    assert {job["id"] for job in jobs if job["reason"] == "returned"} <= set(finished)
