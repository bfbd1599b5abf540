"""Jobs that stand still or wait for ever: each has its own limit, and the line where it stood is told."""

import re
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, Worker, wait_until
from tests.defences import defence
from tests.workers import begin, log_lines, run, samples, until, until_ended, until_ready

AGENT = "running.py"
SOURCE = (AGENTS / AGENT).read_text().splitlines()
pytestmark = pytest.mark.timeout(120)  # a bound on hanging: some of these wait for limits of several seconds

# --- standing still ---------------------------------------------------------------------------------


async def stand_still(worker: Worker, do: str, function: str) -> None:
    """Run a job that never comes back to its loop: the stall and the end each name its line."""
    first = SOURCE.index(f"def {function}() -> None:") + 2
    lines = [f"{AGENT}:{number} in {function}" for number in (first, first + 1)]
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, do)
        seen = await until(client, lambda state: next((p.stack for p in state.live("busy") if p.stack), None))
        ended = await until_ended(client, job["job"])
        told = [line.text for line in await log_lines(client) if "its loop has stood still" in line.text]
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
        after = await run(client, "pool")
    assert seen in lines
    assert any(text.endswith(seen) for text in told)
    assert (ended["status"], ended["reason"], ended["signal"]) == ("failed", "hung", "SIGKILL")
    assert re.fullmatch(rf"its loop stood still for [\d.]+ s, ping_timeout 2.5 s; it stood at {seen}", ended["error"])
    assert [e["what"] for e in worker.entries() if e["job"] == job["job"]] == ["start"]
    assert after["status"] == "completed"


@pytest.mark.option("ping_timeout")
@pytest.mark.parametrize(("do", "function"), [("sleep", "sleeps"), ("compute", "computes")])
@defence(
    (
        "workbench/supervisor/watchdog.py",
        'stack=""))\n            child.signal(DUMP_SIGNAL, group=False)',
        'stack=""))',
    )
)
@defence(("workbench/supervisor/watchdog.py", '(f"; it stood at {line}" if line else "")', '""'))
@defence(
    (
        "workbench/supervisor/watchdog.py",
        'self._maybe_hung(child, age_s, child.turns_at_stall, f"its loop stood still for {age_s:.1f} s")',
        "return",
    )
)
async def test_fault_B5_a_job_that_blocks_its_loop_is_named_with_its_line_and_killed(
    start_worker: Any, do: str, function: str
) -> None:
    await stand_still(start_worker(AGENT, "--ping-timeout", "2.5"), do, function)


@defence(
    (
        "workbench/process/runner.py",
        "faulthandler.register(DUMP_SIGNAL, file=pipe, all_threads=True)",
        "signal.signal(DUMP_SIGNAL, lambda *_: faulthandler.dump_traceback(wire.RECORDS_FD))",
    )
)
@defence(
    (
        "workbench/supervisor/watchdog.py",
        'self._maybe_hung(child, age_s, child.turns_at_stall, f"its loop stood still for {age_s:.1f} s")',
        "return",
    )
)
async def test_fault_B6_code_in_c_that_holds_the_interpreter_is_named_with_its_line_and_killed(
    start_worker: Any,
) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "2.5")
    await stand_still(worker, "hold the lock", "holds_the_lock_of_the_interpreter")


@defence(
    ("workbench/supervisor/words.py", 'if line.startswith("Current thread ")', 'if line.startswith("Thread ")'),
)
async def test_fault_B5_the_line_of_the_loops_thread_is_named_and_not_that_of_another(start_worker: Any) -> None:
    worker = start_worker("trouble.py", "--ping-timeout", "2.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "two threads")
    assert job["reason"] == "hung"
    assert "in standing" in job["error"]
    assert "in beside" not in job["error"]


# --- waiting for ever -------------------------------------------------------------------------------


@pytest.mark.option("job_timeout")
@defence(("workbench/model/jobs.py", "if 0 < limit <= now.mono - began]", "if 0 > limit + now.mono - began]"))
@defence(
    (
        "workbench/supervisor/hearing.py",
        "case speech.Pong():\n                child.pinged_at = None",
        "case speech.Pong():\n                return",
    )
)
async def test_fault_B7_a_job_that_waits_for_ever_is_ended_by_job_timeout_and_by_nothing_else(
    start_worker: Any,
) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1", "--ping-interval", "0.2", "--close-timeout", "1")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait for ever")
        await samples(client, 14)  # more than three times `ping_timeout`
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        assert psutil.Process(job["pid"]).is_running()
        assert [e["what"] for e in worker.entries()] == ["start"]
        await client.set_options({"job_timeout": 0.5})
        ended = await until_ended(client, job["job"])
    assert (ended["status"], ended["reason"]) == ("failed", "timeout")
    assert ended["error"].startswith("job_timeout passed")
    assert [e["what"] for e in worker.entries()] == ["start", "let go"]
