"""What the machine does to a worker: descriptors run out, memory is short, the clock jumps, all CPUs are busy."""

import asyncio
import functools
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, Worker, tagged, wait_until
from tests.defences import defence
from tests.faults.conftest import signal_all
from tests.workers import begin, of_worker, run, until, until_ended, until_ready
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.process.oom import OomCounter

AGENT = "fragile.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


def kinds(worker: Worker, job_id: str) -> list[str]:
    return [e["what"] for e in worker.entries() if e["job"] == job_id]


async def samples(client: Client, count: int) -> Any:
    """The state after so many more measurements."""
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            count -= isinstance(frame.event, ev.Sampled)
            if count <= 0:
                return frame.state
    raise AssertionError("the stream ended")


# --- descriptors ------------------------------------------------------------------------------------


def limit_descriptors(worker: Worker, left: int) -> int:
    """Let the supervisor open only so many more; the limit that is set."""
    used = {int(fd) for fd in os.listdir(f"/proc/{worker.process.pid}/fd")}
    unused = [fd for fd in range(max(used) + left + 2) if fd not in used]
    set_limit(worker, unused[left])
    return unused[left]


def set_limit(worker: Worker, soft: int) -> int:
    """The soft limit that held before."""
    before, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    return before


@defence(("workbench/process/descriptors.py", "if error.errno != errno.EMFILE:", "if True:"))
@defence(
    (
        "workbench/supervisor/children.py",
        '        except OSError as error:\n            self._never_born(effect.process_id, f"no',
        '        except ArithmeticError as error:\n            self._never_born(effect.process_id, f"no',
    ),
)
async def test_fault_E1_when_descriptors_run_out_jobs_run_on_and_what_is_needed_is_told(
    start_worker: Any, hurried: dict[str, str]
) -> None:
    worker = start_worker(AGENT, "--max-processes", "4", **hurried)
    async with worker.client() as client:
        await until_ready(client)
        one = await begin(client, worker, "wait")
        await until(client, lambda state: state.live("idle"))
        await client.request("GET", "/stats")  # a connection is open already
        before, most = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
        limit = limit_descriptors(worker, 4)
        two = await begin(client, worker, "wait")
        degraded = await until(client, lambda state: state.worker.degraded and state.worker)
        needs = f"limit {limit}, at most {most}; a process needs 6"
        assert needs in degraded.held_why
        with pytest.raises(ClientError) as refused:
            await client.dispatch()
        assert refused.value.status == 503
        assert needs in str(refused.value)
        set_limit(worker, before)
        await until(client, lambda state: state.worker.status == "ready" and state.live("idle"))
        assert (await run(client, "return"))["status"] == "completed"
        for job in (one, two):
            await client.end_job(job["job"])
            assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
            assert kinds(worker, job["job"]) == ["start", "finish"]
    assert "a bug of ours" not in worker.output()


@defence(("workbench/supervisor/bugs.py", "        if _is_ours(error):", "        if True:"))
async def test_fault_E1_a_supervisor_that_can_open_nothing_at_all_is_there_again_when_it_can(
    start_worker: Any, hurried: dict[str, str]
) -> None:
    """Its memory readings, its helpers' table and its door need descriptors: none may be taken for something else."""
    worker = start_worker(AGENT, "--memory-limit-mb", "400", **hurried)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        idle = (await until(client, lambda state: state.live("idle")))[0].pid
        before = set_limit(worker, 0)
        os.kill(idle, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{idle}"), "it is reaped all the same")
        async with worker.client() as other:
            answer = asyncio.ensure_future(other.request("GET", f"/jobs/{job['job']}"))
            await asyncio.sleep(1.2)  # several looks at everything
            assert not answer.done()
            set_limit(worker, before)
            assert (await answer)["status"] == "running"
        await until(client, lambda state: state.worker.status == "ready" and state.live("idle"))
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
    assert kinds(worker, job["job"]) == ["start", "finish"]
    assert "oom_kernel" not in worker.output()


# --- memory -----------------------------------------------------------------------------------------


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 250 MB; a test that needs one is skipped where none may be made."""
    line = next((one for one in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in one), "")
    base = Path("/sys/fs/cgroup/memory", line.split(":", 2)[2].lstrip("/")) if line else Path("/sys/fs/cgroup")
    group, limit = base / f"workbench-test-memory-{os.getpid()}", "memory.limit_in_bytes" if line else "memory.max"
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


@defence(("workbench/supervisor/children.py", "not child.killed and self.oom.look():", "not child.killed and False:"))
async def test_fault_E4_a_kill_by_the_kernel_for_want_of_memory_has_its_own_name(
    small_group: Path, start_worker: Any, monkeypatch: pytest.MonkeyPatch
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


@defence(("workbench/process/oom.py", "if count is not None:", "if (count := count or 0) >= 0:"))
def test_fault_E4_a_counter_that_cannot_be_read_for_a_moment_tells_of_no_kill(tmp_path: Path) -> None:
    place = tmp_path / "memory.events"
    place.write_text("oom 3\noom_kill 3\n")
    counter = OomCounter(place)
    place.rename(tmp_path / "away")
    assert not counter.look()
    (tmp_path / "away").rename(place)
    assert not counter.look()
    place.write_text("oom 4\noom_kill 4\n")
    assert counter.look()


@defence(
    (
        "workbench/supervisor/memory.py",
        "return max(0.0, self._resident(child) - (known.shared_mb if known is not None else 0.0))",
        "return self._resident(child)",
    ),
    ("workbench/supervisor/memory.py", "        return exact\n", "        return resident\n"),
)
@defence(("workbench/process/sampling.py", 'found[b"Private_Clean:"] + found[b"Private_Dirty:"]', 'found[b"Rss:"]'))
async def test_fault_E7_pages_that_are_shared_with_the_zygote_are_nobodys_memory(start_worker: Any) -> None:
    """300 MB are loaded once; four jobs read all of it, each with a limit of 200 MB."""
    limits = ("--memory-limit-mb", "200", "--memory-warn-mb", "150", "--max-processes", "4")
    worker = start_worker(AGENT, *limits, PRELOAD_MB="300")
    async with worker.client() as client:
        await until_ready(client)
        jobs = [await begin(client, worker, "read shared", "shared") for _ in range(4)]
        state = await samples(client, 4)
        busy = state.live("busy")
        assert [state.jobs[job["job"]].status for job in jobs] == ["running"] * 4
        assert all(resident_mb(process.pid) > 300 for process in busy), "they have not read it"
        assert all(process.memory_mb < 100 and process.warned_mb is None for process in busy)
        for job in jobs:
            await client.end_job(job["job"])
            assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
            assert kinds(worker, job["job"])[-1] == "finish"


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


# --- clocks -----------------------------------------------------------------------------------------

JUMPING = """
import random, time
true, draw = time.time, random.Random(7)
time.time = lambda: true() + draw.choice((-3600.0, 0.0, 3600.0))
"""


@defence(("workbench/supervisor/shell.py", "Now(time.monotonic(), time.time())", "Now(time.time(), time.time())"))
@defence(
    ("workbench/supervisor/sampler.py", "now = time.monotonic()\n            lag", "now = time.time()\n            lag")
)
@defence(
    (
        "workbench/process/beats.py",
        "now = time.monotonic()\n        beats.write",
        "now = time.time()\n        beats.write",
    )
)
async def test_fault_E9_a_clock_that_jumps_an_hour_to_and_fro_changes_nothing(
    start_worker: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "jumping"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    worker = start_worker(AGENT, "--ping-timeout", "8", PYTHONPATH=path)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        idle = (await until(client, lambda state: state.live("idle")))[0].pid
        state = await samples(client, 10)
        assert state.jobs[job["job"]].status == "running"
        assert [p.pid for p in state.live("idle")] == [idle]
        os.kill(idle, signal.SIGKILL)
        assert (await run(client, "return"))["status"] == "completed"
        await client.set_options({"job_timeout": 0.5})
        assert (await until_ended(client, job["job"]))["reason"] == "timeout"
        began = time.monotonic()
        timed_out = await run(client, "wait")
        assert timed_out["reason"] == "timeout"
        assert time.monotonic() - began >= 0.5, "it was ended before its time"
        await client.set_options({"job_timeout": 0, "ping_timeout": 1.5})
        job = await begin(client, worker, "wait")
        assert "hung" not in worker.output()
        os.kill(job["pid"], signal.SIGSTOP)
        assert (await until_ended(client, job["job"]))["reason"] == "hung"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0


@defence(("workbench/supervisor/sampler.py", "            if lag > LATE_S:", "            if False:"))
async def test_fault_E9_a_machine_that_was_frozen_blames_nobody(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "2.5", "--ping-interval", "0.1", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        await until(client, lambda state: len(state.live("idle")) == 2 and len(state.processes) == 3)
        everybody = tagged(worker.tag)
        for _ in range(2):
            signal_all(everybody, signal.SIGSTOP)
            time.sleep(4)
            of_worker(worker).resume()
            time.sleep(1.0)  # the others get their turn a little later
            signal_all(everybody, signal.SIGCONT)
            await asyncio.sleep(1.0)
        assert tagged(worker.tag) == everybody
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        assert "hung" not in worker.output()
