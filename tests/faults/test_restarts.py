"""Processes that cannot be made, or die soon after they were ready: ever later tries, then `degraded`, then healed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.faults.conftest import PROBE_S
from tests.workers import begin, of_worker, run, until, until_ended, until_ready
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.model.backoff import BUDGET

AGENT = "fragile.py"
REFUSED = "Resource temporarily unavailable"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


def times(worker: Worker, what: str) -> list[float]:
    """When the agent wrote down one kind of thing; epoch seconds."""
    return [e["at"] for e in worker.entries() if e["what"] == what]


def kill_idle(state: Any) -> None:
    for process in state.live("idle"):
        os.kill(process.pid, signal.SIGKILL)


async def two_idle(client: Client) -> Any:
    return await until(client, lambda state: len(state.live("idle")) == 2 and state)


async def is_healed(client: Client, worker: Worker) -> None:
    await until(client, lambda state: state.worker.status == "ready" and len(state.live("idle")) == 2)
    job = await run(client, "return")
    assert [e["what"] for e in worker.entries() if e["job"] == job["id"]] == ["start", "finish"]


# --- no process can be made -------------------------------------------------------------------------


async def refused_until_lifted(
    client: Client, worker: Worker, words: str, refusals: Callable[[], int], lift: Callable[[], object]
) -> None:
    """The pool is degraded and says why; it tries seldom; and heals when it can."""
    await until(client, lambda state: state.worker.degraded and words in state.worker.held_why)
    count, began = refusals(), time.monotonic()
    assert count <= 2 * BUDGET + 4, "it tries again and again"  # two forks make one process, and two may be missing
    with pytest.raises(ClientError) as refused:
        await client.dispatch()
    assert refused.value.body is not None
    assert refused.value.body["reason"] == "degraded"
    assert words in refused.value.body["message"]
    wait_until(lambda: refusals() >= count + 2, "it still tries now and then")
    assert refusals() - count <= 2 * (1 + (time.monotonic() - began) / PROBE_S)
    lift()
    await is_healed(client, worker)


@defence(("workbench/model/backoff.py", "return now >= self.held_until", "return True"))
@defence(("workbench/model/backoff.py", "            self.degraded = True", "            pass"))
async def test_fault_C8_processes_that_cannot_be_forked_are_tried_ever_later_until_they_can(
    start_worker: Any, hurried: dict[str, str], tmp_path: Path
) -> None:
    no_fork = tmp_path / "no-fork"
    worker = start_worker(AGENT, "--num-idle-processes", "2", NO_FORK=str(no_fork), **hurried)
    async with worker.client() as client:
        await until_ready(client)
        running = await begin(client, worker, "wait")
        state = await two_idle(client)
        no_fork.touch()
        kill_idle(state)
        await refused_until_lifted(client, worker, REFUSED, lambda: len(times(worker, "refused")), no_fork.unlink)
        await client.end_job(running["job"])
        assert (await until_ended(client, running["job"]))["reason"] == "cancelled"
    assert [e["what"] for e in worker.entries() if e["job"] == running["job"]] == ["start", "finish"]


def _set_no_limit(group: Path) -> None:
    try:
        (group / "pids.max").write_text("max")
    except OSError as error:
        pytest.skip(f"no limit may be set here: {error}")


@pytest.fixture
def few_processes() -> Iterator[Path]:
    """A control group whose number of processes can be limited; a test that needs one is skipped elsewhere."""
    line = next((one for one in Path("/proc/self/cgroup").read_text().splitlines() if ":pids:" in one), "")
    base = Path("/sys/fs/cgroup/pids", line.split(":", 2)[2].lstrip("/")) if line else Path("/sys/fs/cgroup")
    group = base / f"workbench-test-processes-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group may be made here: {error}")
    try:
        _set_no_limit(group)
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
        group.rmdir()


@defence(
    ("workbench/supervisor/reloading.py", "call_later(delay_s, self._load_again)", "call_later(0, self._load_again)")
)
@defence(("workbench/supervisor/reloading.py", "            self._load_later(problem.message)", "            pass"))
async def test_fault_C8_a_worker_that_the_kernel_gives_no_process_says_so_and_heals(
    few_processes: Path, start_worker: Any, hurried: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its zygote is gone, too."""

    def join() -> None:
        (few_processes / "cgroup.procs").write_text(str(os.getpid()))

    def refusals() -> int:
        return int((few_processes / "pids.events").read_text().split()[1])

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", partial(subprocess.Popen, preexec_fn=join))
        worker = start_worker(AGENT, "--num-idle-processes", "2", **hurried)
    async with worker.client() as client:
        await until_ready(client)
        running = await begin(client, worker, "wait")
        state = await two_idle(client)
        (few_processes / "pids.max").write_text("1")
        kill_idle(state)
        for child in of_worker(worker).children():
            if child.pid != running["pid"]:
                with contextlib.suppress(psutil.NoSuchProcess):  # an idle one, killed and reaped already
                    child.kill()
        await refused_until_lifted(
            client, worker, REFUSED, refusals, lambda: (few_processes / "pids.max").write_text("max")
        )
        await client.end_job(running["job"])
        assert (await until_ended(client, running["job"]))["reason"] == "cancelled"


# --- processes that do not stay ---------------------------------------------------------------------


@defence(
    (
        "workbench/model/pool.py",
        "        if slot.stayed(now):\n            return False",
        '        if state != "starting":\n            return False',
    )
)
@defence(("workbench/model/backoff.py", "return now >= self.held_until", "return True"))
async def test_fault_C9_processes_that_die_just_after_they_were_ready_use_up_the_budget(
    start_worker: Any, hurried: dict[str, str], tmp_path: Path
) -> None:
    dies = tmp_path / "dies"
    worker = start_worker(AGENT, DIES=str(dies), **hurried)
    async with worker.client() as client:
        await until_ready(client)
        holds: list[tuple[float, bool]] = []
        dies.write_text("0.05")
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if frame.snapshot:
                    kill_idle(frame.state)
                if isinstance(frame.event, ev.PoolHeld):
                    holds.append((frame.event.until_at, frame.event.degraded))
                if len([degraded for _, degraded in holds if degraded]) == 3:
                    break
        starts = times(worker, "prewarm")
        assert len(starts) <= 1 + BUDGET + 2, "more starts than the budget and two probes"
        probes = starts[-2:]
        assert probes[1] - probes[0] >= PROBE_S - 0.02
        assert (await client.request("GET", "/stats"))["worker"]["status"] == "degraded"
        dies.unlink()
        await until(client, lambda state: state.worker.status == "ready" and state.live("idle"))
        assert (await run(client, "return"))["status"] == "completed"


# --- stopping in the middle of it -------------------------------------------------------------------


@defence(("workbench/model/closing.py", "self.drains_to_exit = self._pool.ending = True", "self.drains_to_exit = True"))
async def test_fault_C15_a_drain_wins_over_restarts(start_worker: Any, hurried: dict[str, str], tmp_path: Path) -> None:
    """No process is made any more, although the next try was due."""
    dies = tmp_path / "dies"
    worker = start_worker(AGENT, DIES=str(dies), **hurried)
    async with worker.client() as client:
        await until_ready(client)
        running = await begin(client, worker, "wait")
        state = await until(client, lambda state: state.live("idle") and state)
        dies.write_text("0.05")
        kill_idle(state)
        await until(client, lambda state: state.worker.degraded and state.counters["pool_held"] >= 5)
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining and not state.live("starting", "idle"))
        starts = len(times(worker, "prewarm"))
        await asyncio.sleep(2 * PROBE_S)  # that nothing is done shows only in time
        assert len(times(worker, "prewarm")) == starts
        await client.end_job(running["job"])
    assert worker.ended() == 0
    assert len(times(worker, "prewarm")) == starts
