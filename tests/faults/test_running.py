"""Jobs that raise, leave, crash, refuse to end or leave helpers behind: one true end each, and the next job runs."""

import asyncio
import signal
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.workers import begin, run, send, until_ended, until_ready, until_written

AGENT = "running.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


# --- ends that are not returns ----------------------------------------------------------------------


async def end_and_next(worker: Worker, do: str, **more: Any) -> dict[str, Any]:
    """Run a job that must not complete, and one after it that must: the first, as told."""
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, do, **more)
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
        after = await run(client, "return")
        shown = await client.request("GET", "/stats")
    assert job["status"] == "failed"
    assert after["status"] == "completed"
    assert [e["what"] for e in worker.entries() if e["job"] == job["id"]] == ["start"]
    assert [e["what"] for e in worker.entries() if e["job"] == after["id"]] == ["start", "finish"]
    assert (shown["counters"]["jobs_failed"], shown["counters"]["jobs_completed"]) == (1, 1)
    return job


@pytest.mark.parametrize(
    ("do", "error", "function", "line"),
    [
        ("raise", "ValueError: boom", "entrypoint", '        raise ValueError("boom")'),
        ("raise in a library", "JSONDecodeError: Expecting property name", "read_badly", '    json.loads("{")'),
    ],
)
@defence(("workbench/agent/problem.py", "if root and file.startswith(root + os.sep) and not any", "if not any"))
@defence(
    ("workbench/process/runner.py", 'return {"reason": "raised", "error"', 'return {"reason": "returned", "error"')
)
async def test_fault_B1_a_job_that_raises_is_failed_with_the_line_in_the_agents_code(
    start_worker: Any, do: str, error: str, function: str, line: str
) -> None:
    agent = "ledger.py" if do == "raise" else AGENT
    number = (AGENTS / agent).read_text().splitlines().index(line) + 1
    job = await end_and_next(start_worker(agent), do)
    assert (job["reason"], job["exit_code"], job["signal"]) == ("raised", None, None)
    assert job["error"].startswith(error)
    assert job["error"].endswith(f"({agent}:{number} in {function})")


@pytest.mark.parametrize(("code", "exit_code"), [(7, 7), (0, 0), (None, 0), ("no more tokens", 1)])
@defence(
    ("workbench/process/runner.py", 'return {"reason": "exited", "exit_code"', 'return {"reason": "returned", "x"')
)
async def test_fault_B2_a_job_that_calls_sys_exit_is_failed_with_its_code(
    start_worker: Any, code: Any, exit_code: int
) -> None:
    job = await end_and_next(start_worker("ledger.py"), "sysexit", code=code)
    assert (job["reason"], job["exit_code"], job["signal"]) == ("exited", exit_code, None)
    assert job["error"] == f"the entrypoint called sys.exit({code!r})"


@pytest.mark.parametrize("code", [0, 3])
@defence(("workbench/model/ending.py", 'return End("exited", words or', 'return End("returned", words or'))
async def test_fault_B3_a_job_whose_process_exits_is_failed_with_its_code(start_worker: Any, code: int) -> None:
    job = await end_and_next(start_worker("ledger.py"), "exit", code=code)
    assert (job["reason"], job["exit_code"], job["signal"]) == ("exited", code, None)


@defence(("workbench/model/ending.py", 'return End("signalled", words or', 'return End("returned", words or'))
async def test_fault_B4_a_job_that_kills_itself_is_failed_and_the_next_runs(start_worker: Any) -> None:
    job = await end_and_next(start_worker("ledger.py"), "kill")
    assert (job["reason"], job["exit_code"], job["signal"]) == ("signalled", None, "SIGKILL")


@defence(("workbench/supervisor/children.py", "if status.signal not in FATAL:", "if status.signal:"))
async def test_fault_B4_a_crash_in_c_is_told_with_the_line_that_called_it(start_worker: Any) -> None:
    worker = start_worker("trouble.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "segfault")
    assert (job["reason"], job["signal"]) == ("signalled", "SIGSEGV")
    assert "Segmentation fault" in job["error"]
    assert "trouble.py:" in job["error"]


# --- a job that will not end ------------------------------------------------------------------------


@pytest.mark.option("close_timeout")
@defence(("workbench/model/ladder.py", "else fx.Kill(process_id)", "else fx.CancelJob(process_id, job_id)"))
@defence(("workbench/model/ladder.py", "now + close_s, now + close_s + KILL", "now + 600, now + 600 + KILL"))
@defence(("workbench/model/ladder.py", "return fx.AskEnd(process_id, job_id, why)", "return fx.Kill(process_id)"))
async def test_fault_B8_a_job_that_swallows_cancellation_is_asked_cancelled_terminated_and_killed(
    start_worker: Any,
) -> None:
    worker = start_worker(AGENT, "--close-timeout", "1")
    rungs = []
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "refuse", "ready")
        await client.end_job(job["job"])
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                asked = frame.state.jobs[job["job"]].asked
                rungs += [asked] if asked and asked not in rungs else []
                if not frame.state.jobs[job["job"]].active:
                    break
        ended = await until_ended(client, job["job"])
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
    assert (ended["status"], ended["reason"], ended["signal"]) == ("cancelled", "cancelled", "SIGKILL")
    assert ended["error"] == "ended by SIGKILL"
    assert rungs[-1] == "kill"
    assert [e["what"] for e in worker.entries()] == ["start", "ready", "asked", "cancelled", "terminated"]


# --- what a job leaves behind -----------------------------------------------------------------------


@defence(
    (
        "workbench/supervisor/children.py",
        "        self.helpers.sweep()\n        self._shell.flush()",
        "        self._shell.flush()",
    ),
    ("workbench/supervisor/helpers.py", "kill_tree(pid)\n            elif", "continue\n            elif"),
)
async def test_fault_B11_a_helper_in_a_session_of_its_own_dies_with_its_job(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch(None, {"do": "helper"})
        helper = (await until_written(worker, job["id"], "helper"))["helper"]
        assert psutil.pid_exists(helper)
        await client.end_job(job["id"])
        await until_ended(client, job["id"])
        wait_until(lambda: not psutil.pid_exists(helper), "the helper is gone")


@pytest.mark.parametrize("do", ["daemon", "clean daemon"])
@pytest.mark.parametrize("method", ["zygote", "spawn"])
@defence(
    (
        "workbench/supervisor/children.py",
        "        self.helpers.sweep()\n        self._shell.flush()",
        "        self._shell.flush()",
    ),
    ("workbench/supervisor/helpers.py", "kill_tree(pid)\n            elif", "continue\n            elif"),
)
@defence(("workbench/supervisor/children.py", "return name.isdecimal() and int(name) in self.by_id", "return False"))
async def test_fault_B11_a_daemon_dies_with_its_job_and_not_before(start_worker: Any, do: str, method: str) -> None:
    worker = start_worker("trouble.py", "--max-processes", "3", "--start-method", method)
    async with worker.client() as client:
        await until_ready(client)
        one = await begin(client, worker, do, "helper")
        two = await begin(client, worker, do, "helper")
        for _ in range(3):
            assert (await run(client, "return"))["status"] == "completed"
        await asyncio.sleep(0.6)  # several looks at the helpers
        assert psutil.pid_exists(one["helper"])
        assert psutil.pid_exists(two["helper"])
        await client.end_job(one["job"])
        await until_ended(client, one["job"])
        wait_until(lambda: not psutil.pid_exists(one["helper"]), "the first daemon is gone")
        assert psutil.pid_exists(two["helper"])
    for _ in range(2):
        send(worker, signal.SIGTERM)
    worker.ended()
    wait_until(lambda: not psutil.pid_exists(two["helper"]), "the second daemon is gone")
