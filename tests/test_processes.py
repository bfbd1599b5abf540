"""What processes do to themselves and to each other on a real worker; the process table and their notes judge."""

import asyncio
import ctypes
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.workers import (
    begin,
    of_worker,
    processes,
    run,
    until,
    until_ended,
    until_ready,
    until_written,
    zygotes,
)
from workbench.client.client import Client

AGENT = "trouble.py"
pytestmark = pytest.mark.timeout(180)  # a bound on hanging: some of these wait for limits of several seconds


# --- a job's context and its first moments ----------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "reason", "exit_code", "words"),
    [("raise", "raised", None, "LookupError: no context today"), ("exit", "exited", 4, "jobctx called sys.exit(4)")],
)
async def test_a_jobctx_that_fails_ends_the_job(
    start_worker: Any, how: str, reason: str, exit_code: int | None, words: str
) -> None:
    worker = start_worker(AGENT, JOBCTX=how)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "return")
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", reason, exit_code)
    assert words in job["error"]
    assert not [e for e in worker.entries() if e["what"] == "start"]


async def test_what_is_said_before_the_job_begins_is_heard(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "1", PREWARM="sleep 0.5")
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "return")  # its replacement warms up for a while: the next job has no process yet
        job = await client.dispatch("r", {"do": "hear"})
        for text in ("one", "two"):
            await client.request("POST", "/rooms/r/messages", {"text": text})
        assert job["status"] == "queued"
        await until_written(worker, job["id"], "heard")
        await client.request("POST", "/rooms/r/messages", {"text": "three"})
        async with asyncio.timeout(WAIT_S):
            while len([e for e in worker.entries() if e["what"] == "heard"]) < 3:
                await asyncio.sleep(0.01)
    assert [e["text"] for e in worker.entries() if e["what"] == "heard"] == ["one", "two", "three"]


async def test_a_job_ended_at_once_hears_of_it(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(10):
            job_id = (await client.dispatch(None, {"do": "hear"}))["id"]
            await client.end_job(job_id)
            job = await until_ended(client, job_id)
            assert (job["status"], job["reason"]) == ("cancelled", "cancelled")
            written = [e["what"] for e in worker.entries() if e["job"] == job_id]
            assert written in ([], ["start", "finish"]), "it was cancelled and not asked"


async def test_a_cancelled_job_leaves_no_cancellation_to_the_next_in_its_process(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "1", "--max-jobs-per-process", "0", "--close-timeout", "2")
    async with worker.client() as client:
        await until_ready(client)
        first = await begin(client, worker, "swallow")
        await client.end_job(first["job"])
        await until_ended(client, first["job"])
        await until_ready(client)
        second = await run(client, "group")
    assert (second["status"], second["reason"]) == ("completed", "returned")
    assert len({e["pid"] for e in worker.entries() if e["what"] == "start"}) == 1


# --- ends and their words ---------------------------------------------------------------------------


async def test_an_old_stack_is_no_reason_for_a_later_exit(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "stall then exit")
    assert (job["reason"], job["exit_code"]) == ("exited", 3)
    assert job["error"] == "the job's process left with exit code 3"


# --- starting ---------------------------------------------------------------------------------------


async def test_a_prewarm_may_take_longer_than_a_loop_may_stand_still(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.2", PREWARM="sleep 3.5")
    async with worker.client() as client:
        await until_ready(client)
    assert len([e for e in worker.entries() if e["what"] == "prewarm"]) == 1
    assert "stood still" not in worker.output()


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_a_first_prewarm_that_raises_ends_the_worker_with_its_reason(start_worker: Any, method: str) -> None:
    worker = start_worker(AGENT, "--start-method", method, wait=False, PREWARM="raise")
    assert worker.ended() == 3
    assert "prewarm failed: no model file" in worker.output()
    assert "trouble.py:" in worker.output()
    assert len([e for e in worker.entries() if e["what"] == "prewarm"]) == 3


@pytest.mark.parametrize("method", ["zygote", "spawn"])
def test_a_first_prewarm_that_never_ends_is_named_with_its_line(start_worker: Any, method: str) -> None:
    flags = ("--start-method", method, "--initialize-timeout", "4")
    worker = start_worker(AGENT, *flags, wait=False, PREWARM="sleep 600")
    assert worker.ended() == 3
    assert "initialize_timeout 4 s" in worker.output()
    assert "in prewarm" in worker.output()
    assert len([e for e in worker.entries() if e["what"] == "prewarm"]) == 1


def test_a_first_prewarm_that_kills_its_process_ends_the_worker(start_worker: Any) -> None:
    worker = start_worker(AGENT, wait=False, PREWARM="die")
    assert worker.ended() == 3
    assert "SIGKILL" in worker.output()


async def test_an_agent_that_ignores_sigchld_runs(start_worker: Any) -> None:
    worker = start_worker(AGENT, IGNORE_SIGCHLD="1")
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "return"))["status"] == "completed"


# --- zygotes ----------------------------------------------------------------------------------------


async def test_a_zygote_killed_while_its_probe_warms_up_fails_that_generation_only(
    start_worker: Any, tmp_path: Path
) -> None:
    agent = tmp_path / "slow.py"
    agent.write_text(
        "import os, time\nfrom workbench import WorkerJob\n"
        "def prewarm(process): time.sleep(float(open(os.environ['SLOW']).read()))\n"
        "async def entrypoint(ctx): pass\n"
        "if __name__ == '__main__': WorkerJob(entrypoint, prewarm=prewarm).start()\n"
    )
    slow = tmp_path / "slow"
    slow.write_text("0")
    worker = start_worker(agent, "--load-threshold", "inf", SLOW=str(slow))
    async with worker.client() as client:
        await until_ready(client)
        slow.write_text("30")
        await client.reload()
        await until(client, lambda state: state.reload.step == "warming")
        new = next(z for z in zygotes(worker) if z.environ()["WORKBENCH_PROCESS"].rstrip(".").endswith("-g2"))
        new.kill()
        problem = await until(client, lambda state: state.reload.problem)
        assert "killed by SIGKILL" in problem["message"]
        slow.write_text("0")
        assert (await until_ended(client, (await client.dispatch())["id"]))["status"] == "completed"
        assert (await until_ended(client, (await client.dispatch())["id"]))["generation"] == 1


async def test_a_first_zygote_killed_while_its_probe_warms_up_ends_the_worker(start_worker: Any) -> None:
    worker = start_worker(AGENT, PREWARM="sleep 30")
    wait_until(lambda: [e for e in worker.entries() if e["what"] == "prewarm"], "the probe warms up")
    (zygote,) = zygotes(worker)
    zygote.kill()
    assert worker.ended() == 3
    assert "killed by SIGKILL" in worker.output()


@defence(("workbench/supervisor/children.py", "self._core.zygote_gone(generation)", "pass"))
async def test_a_first_zygote_that_dies_of_its_fork_ends_the_worker(start_worker: Any, tmp_path: Path) -> None:
    """Between the making of a process and the word of its pid: nobody ever learns of it."""
    agent = tmp_path / "dies.py"
    agent.write_text(
        "import os, signal\nfrom workbench import WorkerJob\n"
        "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "async def entrypoint(ctx): pass\n"
        "if __name__ == '__main__': WorkerJob(entrypoint).start()\n"
    )
    worker = start_worker(agent, "--start-method", "zygote")
    assert worker.ended() == 3
    assert "killed by SIGKILL" in worker.output()


async def test_a_zygote_that_does_not_answer_is_replaced(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--initialize-timeout", "5")
    async with worker.client() as client:
        await until_ready(client)
        (zygote,) = zygotes(worker)
        zygote.suspend()
        first = await run(client, "return")
        second = await run(client, "return")
    assert (first["status"], second["status"]) == ("completed", "completed")
    wait_until(lambda: not psutil.pid_exists(zygote.pid), "the stopped zygote is gone")


async def test_what_the_agent_started_while_it_loaded_goes_with_its_generation(start_worker: Any) -> None:
    worker = start_worker(AGENT, HELPER_AT_IMPORT="1", HELD="1")
    async with worker.client() as client:
        await until_ready(client)
        (first,) = [p for p in of_worker(worker).children(recursive=True) if p.name() == "sleep"]
        old = await begin(client, worker, "hear")
        await client.reload()
        await until(client, lambda state: state.worker.generation == 2 and not state.live("stopping"))
        await asyncio.sleep(0.6)
        assert first.is_running(), "a job of that generation still runs"
        await client.end_job(old["job"])
        await until_ended(client, old["job"])
        wait_until(lambda: not first.is_running(), "the helper of the old code is gone")
        assert len([p for p in of_worker(worker).children(recursive=True) if p.name() == "sleep"]) == 1


# --- helpers of jobs --------------------------------------------------------------------------------


async def test_pages_of_the_zygote_that_a_job_writes_to_are_the_jobs(start_worker: Any) -> None:
    worker = start_worker(AGENT, TABLE_ITEMS="2000000")
    async with worker.client() as client:
        await until_ready(client)
        idle = (await processes(client, "idle"))[0]
        touched = await begin(client, worker, "touch", "touched")
        assert touched["own_kb"] > 40_000
        own_mb = touched["own_kb"] * 1024 / 1e6
        shown = await until(
            client,
            lambda state: next(
                (p.memory_mb for p in state.live("busy") if p.memory_mb and p.memory_mb > 0.8 * own_mb), None
            ),
        )
    assert shown == pytest.approx(own_mb, rel=0.3)
    assert idle["memory_mb"] is None or idle["memory_mb"] < 20


# --- channels ---------------------------------------------------------------------------------------


# --- the pool ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reloads", [False, True])
async def test_there_are_never_more_processes_than_max_processes(start_worker: Any, reloads: bool) -> None:
    """One more, the probe, during a reload."""
    worker = start_worker(AGENT, "--max-processes", "3", "--num-idle-processes", "3")
    most = 0
    async with worker.client() as client:
        await until_ready(client)
        done = asyncio.Event()

        async def look() -> None:
            nonlocal most
            while not done.is_set():
                jobs = set()
                for child in of_worker(worker).children():
                    try:
                        if "-g" not in child.environ().get("WORKBENCH_PROCESS", "-g"):
                            jobs.add(child.pid)
                    except psutil.Error:
                        continue
                most = max(most, len(jobs))
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        for turn in range(40):
            if reloads and turn % 8 == 0:
                await client.reload()
            assert (await run(client, "return"))["status"] == "completed"
        done.set()
        await looking
    assert 2 <= most <= 3 + reloads


async def test_jobs_one_after_the_other_share_the_processes_that_there_are(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-jobs-per-process", "0")
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(50):
            await run(client, "return")
    # Not one for each job; how many exactly depends on how soon each is known to be free again.
    assert len([e for e in worker.entries() if e["what"] == "prewarm"]) < 10
    assert len([e for e in worker.entries() if e["what"] == "finish"]) == 50


# --- standing still ---------------------------------------------------------------------------------


async def test_a_job_under_a_debugger_is_not_hung(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5", "--ping-interval", "0.2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hear")
        trace(PTRACE_SEIZE, job["pid"])
        trace(PTRACE_INTERRUPT, job["pid"])
        os.waitpid(job["pid"], WALL)  # it stands, as at a breakpoint
        await asyncio.sleep(3.5)
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        trace(PTRACE_DETACH, job["pid"])
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"


PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000


def trace(request: int, pid: int) -> None:
    """What a debugger does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), None, None) != 0:
        pytest.skip(f"no debugger may be used here: {os.strerror(ctypes.get_errno())}")


# --- nothing grows ----------------------------------------------------------------------------------


def figures(worker: Worker) -> dict[str, int]:
    process = of_worker(worker)
    children = process.children()
    zombies = sum(child.status() == psutil.STATUS_ZOMBIE for child in children)
    return {
        "fds": process.num_fds(), "threads": process.num_threads(), "children": len(children), "zombies": zombies,
    }  # fmt: skip


@pytest.mark.timeout(180)
async def test_jobs_and_reloads_leave_descriptors_threads_and_processes_flat(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "6", "--num-idle-processes", "3")

    async def settled(client: Client) -> dict[str, int]:
        await until(client, lambda state: len(state.live("idle")) == 3 == len(state.processes))
        wait_until(lambda: len(of_worker(worker).children()) == 4, "a zygote and three idle processes")
        return figures(worker)

    async with worker.client() as client:
        await until_ready(client)
        for _ in range(5):  # warm
            await run(client, "return")
        before = await settled(client)
        for turn in range(20):
            gate = asyncio.gather(*(run(client, "return") for _ in range(3)))
            await client.reload()
            if turn % 3 == 0:
                await client.reload()  # in the middle of the other
            await gate
            for _ in range(12):
                await run(client, "return")
            number = turn
            await until(client, lambda state: state.reload.step == "idle")
        assert number == 19
        after = await settled(client)
        stats = await client.request("GET", "/stats")
    assert after["threads"] == before["threads"]
    assert after["children"] == before["children"]
    assert after["zombies"] == 0
    assert after["fds"] <= before["fds"] + 2
    assert all(p["pid"] and p["state"] == "idle" for p in stats["processes"])
    assert stats["counters"]["jobs_completed"] == 305


assert AGENTS.joinpath(AGENT).exists()
