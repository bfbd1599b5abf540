"""What processes do to themselves and to each other on a real worker; the process table and their notes judge."""

import asyncio
import ctypes
import functools
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, tagged, wait_until
from tests.workers import (
    begin,
    log_lines,
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


async def test_a_crash_in_c_is_told_with_the_line_that_called_it(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "segfault")
    assert (job["reason"], job["signal"]) == ("signalled", "SIGSEGV")
    assert "Segmentation fault" in job["error"]


async def test_the_line_of_the_loops_thread_is_named_and_not_that_of_another(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "2.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "two threads")
    assert job["reason"] == "hung"
    assert "in standing" in job["error"]
    assert "in beside" not in job["error"]


async def test_the_last_lines_of_a_job_are_kept_and_are_the_jobs(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "last words")
        lines = [line for line in await log_lines(client) if line.text.startswith("line ")]
    assert [line.text for line in lines] == [f"line {n}" for n in range(200)]
    assert {line.job_id for line in lines} == {job["id"]}


async def test_a_long_record_is_cut_and_stays_a_record(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "long record")
        lines = [line for line in await log_lines(client) if line.logger == "trouble"]
    assert [line.text[:6] for line in lines] == ["नमस्ते"[:6], "after "]
    assert len(lines[0].text) > 5_000


async def test_megabytes_without_a_newline_hold_nobody_up(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        before = of_worker(worker).memory_info().rss
        assert (await run(client, "long line", mb=100))["status"] == "completed"
        assert of_worker(worker).memory_info().rss - before < 40_000_000
        shown = [line for line in await log_lines(client) if line.text.startswith("xxx")]
    assert [len(line.text) for line in shown] == [64 * 1024]


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


@pytest.mark.parametrize("after_ms", [0, 20, 60, 100, 150, 200, 250, 300, 400, 600])
def test_a_signal_at_any_moment_of_the_start_ends_the_worker(start_worker: Any, after_ms: int) -> None:
    worker = start_worker(AGENT, wait=False)
    time.sleep(after_ms / 1e3)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() in (0, -signal.SIGTERM)
    wait_until(lambda: not tagged(worker.tag), "nothing is left")


# --- zygotes ----------------------------------------------------------------------------------------


async def test_jobs_and_idle_processes_outlive_their_zygote(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await until(client, lambda state: len(state.live("idle")) == 2)
        running = await begin(client, worker, "hear")
        await until(client, lambda state: len(state.live("idle")) == 2)
        idle = {p["pid"] for p in await processes(client, "idle")}
        (zygote,) = zygotes(worker)
        zygote.kill()
        after = [await run(client, "return") for _ in range(4)]
        await until(client, lambda state: len(state.live("idle")) == 2)
        await client.end_job(running["job"])
        assert (await until_ended(client, running["job"]))["reason"] == "cancelled"
    assert {job["status"] for job in after} == {"completed"}
    assert idle & {job["pid"] for job in after}
    assert [e["what"] for e in worker.entries() if e["job"] == running["job"]] == ["start", "finish"]


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


@pytest.mark.parametrize("do", ["daemon", "clean daemon"])
@pytest.mark.parametrize("method", ["zygote", "spawn"])
async def test_a_daemon_dies_with_its_job_and_not_before(start_worker: Any, do: str, method: str) -> None:
    worker = start_worker(AGENT, "--max-processes", "3", "--start-method", method)
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
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    wait_until(lambda: not psutil.pid_exists(two["helper"]), "the second daemon is gone")


async def test_children_that_fork_while_they_are_killed_do_not_get_away(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(3):
            job = await begin(client, worker, "bomb", "bomb")
            await asyncio.sleep(0.2)
            pid = next(p["pid"] for p in await processes(client, "busy"))
            await client.request("DELETE", f"/processes/{pid}")
            assert (await until_ended(client, job["job"]))["signal"] == "SIGKILL"
            wait_until(
                lambda: len(of_worker(worker).children(recursive=True)) == 2, "a zygote and an idle process left"
            )


async def test_a_forked_helper_is_not_counted_twice(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--memory-limit-mb", "220")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "fork worker", mb=150)
    assert (job["status"], job["reason"]) == ("completed", "returned")


async def test_memory_of_a_helper_that_left_the_tree_counts(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--memory-limit-mb", "150")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "grow in a helper")
        wait_until(lambda: len(of_worker(worker).children(recursive=True)) <= 2, "the helper is gone")
    assert (job["status"], job["reason"]) == ("failed", "oom_limit")


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


@pytest.fixture
def small_group() -> Any:
    """A control group with 250 MB; a test that needs one is skipped where none may be made."""
    line = next((one for one in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in one), "")
    base = Path("/sys/fs/cgroup/memory", line.split(":", 2)[2].lstrip("/")) if line else Path("/sys/fs/cgroup")
    group, limit = base / f"workbench-test-{os.getpid()}", "memory.limit_in_bytes" if line else "memory.max"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group may be made here: {error}")
    try:
        (group / limit).write_text(str(250_000_000))
        yield group
    except OSError as error:
        pytest.skip(f"no limit may be set here: {error}")
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
        group.rmdir()


async def test_a_kill_by_the_kernel_for_want_of_memory_has_its_own_name(
    start_worker: Any, small_group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join() -> None:
        (small_group / "cgroup.procs").write_text(str(os.getpid()))

    monkeypatch.setattr(subprocess, "Popen", functools.partial(subprocess.Popen, preexec_fn=join))
    worker = start_worker("ledger.py", "--memory-warn-mb", "0")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "grow")
        after = await run(client, "return")
        killed = await run(client, "kill")
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "oom_kernel", "SIGKILL")
    assert "out of memory" in job["error"]
    assert after["status"] == "completed"
    assert killed["reason"] in ("signalled", "oom_kernel")
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()


# --- channels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fds", [[3], [3, 4, 5, 6], [1, 2, 3, 5]])
async def test_a_job_that_closes_its_channel_is_killed_and_named(start_worker: Any, fds: list[int]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "close", fds=fds)
        after = await run(client, "return")
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "signalled", "SIGKILL")
    assert "closed its channel" in job["error"]
    assert after["status"] == "completed"


async def test_a_job_may_close_its_output(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "close", "closed", fds=[0, 1, 2, 5])
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"


@pytest.mark.parametrize(
    "frame",
    [
        '{"t": "started", "job": "x", "attempt": Infinity, "at": 1}',
        '{"t": "ready", "ms": NaN}',
        '{"t": "over", "job": 1, "attempt": 1, "reason": "won", "seen": 1}',
        '{"t": "init_failed", "problem": {"nonsense": 1}}',
        '{"t": "report", "job": "x", "fields": [1]}',
        '{"t": "hello", "version": 99}',
        "[" * 5000,
    ],
)
async def test_a_frame_that_makes_no_sense_ends_its_process_alone(start_worker: Any, frame: str) -> None:
    worker = start_worker(AGENT, "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        other = await begin(client, worker, "hear")
        job = await run(client, "frame", frame=frame)
        assert (job["status"], job["reason"], job["signal"]) == ("failed", "signalled", "SIGKILL")
        assert "does not speak our protocol" in job["error"]
        await client.end_job(other["job"])
        assert (await until_ended(client, other["job"]))["reason"] == "cancelled"
        assert (await run(client, "return"))["status"] == "completed"


async def test_a_job_cannot_end_another(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        other = await begin(client, worker, "hear")
        for kind in ("over", "report", "say", "started", "free"):
            frame = {
                "t": kind, "job": other["job"], "attempt": 1, "reason": "returned", "seen": False, "at": 1,
                "fields": {}, "id": "m", "text": "forged", "partial": False,
            }  # fmt: skip
            liar = await begin(client, worker, "frame", "wrote", frame=json.dumps(frame))
            await client.end_job(liar["job"])
            assert (await until_ended(client, liar["job"]))["reason"] == "cancelled"
        room = (await client.request("GET", f"/jobs/{other['job']}"))["room_id"]
        assert (await client.request("GET", f"/rooms/{room}/messages"))["messages"] == []
        await client.end_job(other["job"])
        assert (await until_ended(client, other["job"]))["reason"] == "cancelled"


async def test_a_job_that_does_not_read_is_cut_off_before_it_costs_memory(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "0")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("r", {"do": "hear"})
        started = await until_written(worker, job["id"], "start")
        os.kill(started["pid"], signal.SIGSTOP)
        before = of_worker(worker).memory_info().rss
        for _ in range(200):
            try:
                await client.request("POST", "/rooms/r/messages", {"text": "x" * 60_000})
            except Exception:
                break
        ended = await until_ended(client, job["id"])
        assert (ended["status"], ended["reason"]) == ("failed", "signalled")
        assert "does not read" in ended["error"]
        assert of_worker(worker).memory_info().rss - before < 60_000_000


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


async def test_without_idle_processes_each_job_gets_a_fresh_one(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "0")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.status == "ready" and not state.processes)
        jobs = [await run(client, "return") for _ in range(3)]
        assert {(job["status"], job["warm"]) for job in jobs} == {("completed", False)}
        await until(client, lambda state: not state.processes)
    assert len({job["pid"] for job in jobs}) == 3


async def test_jobs_one_after_the_other_share_the_processes_that_there_are(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-jobs-per-process", "0")
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(50):
            await run(client, "return")
    assert len([e for e in worker.entries() if e["what"] == "prewarm"]) <= 3
    assert len([e for e in worker.entries() if e["what"] == "finish"]) == 50


async def test_a_process_that_is_never_replaced_runs_every_job(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "1", "--max-jobs-per-process", "0")
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(20):
            await run(client, "return")
            await until_ready(client)
    assert len({e["pid"] for e in worker.entries() if e["what"] == "start"}) == 1


# --- standing still ---------------------------------------------------------------------------------


async def test_a_supervisor_that_was_stopped_blames_nobody(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5", "--ping-interval", "0.1", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hear")
        of_worker(worker).suspend()
        time.sleep(4)
        of_worker(worker).resume()
        await asyncio.sleep(3)
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        assert "hung" not in worker.output()


async def test_a_machine_that_was_frozen_blames_nobody(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5", "--ping-interval", "0.1", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hear")
        await until(client, lambda state: len(state.live("idle")) == 2 and len(state.processes) == 3)
        everybody = tagged(worker.tag)
        for _ in range(2):
            for pid in everybody:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(3)
            of_worker(worker).resume()
            time.sleep(1.0)  # the others get their turn a little later
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(1.0)
        assert tagged(worker.tag) == everybody
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        assert "hung" not in worker.output()


async def test_a_stopped_job_is_hung(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hear")
        os.kill(job["pid"], signal.SIGSTOP)
        ended = await until_ended(client, job["job"])
    assert (ended["status"], ended["reason"], ended["signal"]) == ("failed", "hung", "SIGKILL")


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


@pytest.mark.parametrize("turn", range(4))
async def test_nothing_survives_a_killed_supervisor_whatever_it_was_doing(start_worker: Any, turn: int) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "3", "--max-processes", "6")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "hear")
        await begin(client, worker, "two threads")
        if turn % 2:
            await client.reload()
        if turn % 3:
            await client.dispatch(None, {"do": "return"})
    worker.process.kill()
    worker.ended()
    wait_until(lambda: not tagged(worker.tag), "every process is gone")


assert AGENTS.joinpath(AGENT).exists()
