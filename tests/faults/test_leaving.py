"""What a job leaves behind in its process, threads and tasks: told, given time, and ended."""

import asyncio
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, wait_until
from tests.defences import defence
from tests.workers import log_lines, run, until_ready, until_written
from workbench.client.client import Client

AGENT = "running.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


async def until_logged(client: Client, words: str) -> str:
    """The first log line with these words."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for line in await log_lines(client):
                if words in line.text:
                    return str(line.text)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("do", "name"), [("thread", "uploader"), ("executor", "asyncio_0")])
@defence(
    ("workbench/process/leaving.py", "while left := self._threads():", "while left := []:"),
    (
        "workbench/process/runner.py",
        "code = asyncio.run(runner.live())",
        "os._exit(asyncio.new_event_loop().run_until_complete(runner.live()))",
    ),
)
@defence(("workbench/process/leaving.py", "log.warning(text,", "log.debug(text,"))
async def test_fault_B13_a_thread_finishes_its_work_after_the_result_is_told(
    start_worker: Any, tmp_path: Path, do: str, name: str
) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, do)
        assert (job["status"], job["reason"]) == ("completed", "returned")
        assert [e["what"] for e in worker.entries()] == ["start", "finish"]
        told = await until_logged(client, "its process waits for")
        assert psutil.Process(job["pid"]).is_running()
        assert (await run(client, "return"))["status"] == "completed"
        order.write_text("end")
        await until_written(worker, job["id"], "uploaded")
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process has left")
        assert "has not left" not in "\n".join(line.text for line in await log_lines(client))
    assert re.search(rf"thread '{name}' \({AGENT}:\d+ in (?:linger|order)\)", told)


@defence(("workbench/process/leaving.py", 'names += [f"task', '[f"task'))
async def test_fault_B13_a_task_that_will_not_end_is_named(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "task"))["status"] == "completed"
        assert "it is closed at close_timeout" in await until_logged(client, "task 'endless task'")


@defence(("workbench/model/pool.py", "slot.expected, slot.deadline = True, now.mono + leave_s", "slot.expected = True"))
async def test_fault_B13_a_process_that_does_not_leave_is_closed_at_close_timeout(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "1.5", ORDER="/dev/null")
    async with worker.client() as client:
        await until_ready(client)
        jobs = [await run(client, do) for do in ("thread", "task")]
        assert [job["status"] for job in jobs] == ["completed", "completed"]
        for job in jobs:
            wait_until(lambda job=job: not psutil.pid_exists(job["pid"]), "its process is gone")
            await until_logged(client, f"process {job['pid']} has not left in time: it is killed")
        assert (await run(client, "return"))["status"] == "completed"


@defence(("workbench/process/leaving.py", "target=executors._python_exit", "target=len"))
@defence(("workbench/process/leaving.py", "set(threading.enumerate())", "{threading.main_thread()}"))
async def test_fault_B13_threads_that_only_wait_for_work_hold_no_process(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "60", SERVICE="1")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "pool")
        assert job["status"] == "completed"
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process has left")


@defence(("workbench/model/pool.py", "return len(alive) - min(left_over, most) < most", "return len(alive) < most"))
async def test_fault_B13_a_job_does_not_wait_for_what_another_left_behind(start_worker: Any, tmp_path: Path) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, "--max-processes", "1", "--close-timeout", "600", ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "thread")
        assert (await run(client, "return"))["status"] == "completed"
        assert psutil.Process(job["pid"]).is_running()
        order.write_text("end")
        await until_written(worker, job["id"], "uploaded")


@defence(
    (
        "workbench/supervisor/sampler.py",
        "child.files is not None and child.launched",
        "child.files and (child.job_id or self._state.processes[child.id].state == 'stopping')",
    )
)
async def test_fault_B13_the_memory_limit_holds_for_a_process_that_waits_for_its_next_job(
    start_worker: Any, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, "--memory-limit-mb", "150", "--max-jobs-per-process", "0", ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "growing thread")
        order.write_text("end")
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
        await until_logged(client, f"process {job['pid']} is killed: what its job left behind held")
        after = await run(client, "return")
        stats = await client.request("GET", "/stats")
    assert (job["status"], after["status"], after["pid"] != job["pid"]) == ("completed", "completed", True)
    assert (stats["counters"].get("processes_died", 0), stats["worker"]["held_failures"]) == (0, 0)


@defence(
    ("workbench/supervisor/sampler.py", "child.files is not None and child.launched", "child.files and child.job_id")
)
async def test_fault_B13_the_memory_limit_holds_for_what_a_job_left_behind(start_worker: Any, tmp_path: Path) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, "--memory-limit-mb", "150", ORDER=str(order))
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "growing thread")
        order.write_text("end")
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
        await until_logged(client, f"process {job['pid']} is killed: what its job left behind held")
    assert (job["status"], job["reason"]) == ("completed", "returned")
