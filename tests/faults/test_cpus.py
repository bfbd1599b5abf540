"""CPUs that are busy, and how much of them a container may use: nobody is blamed, and no false figure is shown."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import tagged
from tests.defences import defence
from tests.faults.conftest import signal_all
from tests.workers import begin, of_worker, run, until, until_ended, until_ready
from workbench.process.sampling import TICKS, CpuClock

AGENT = "fragile.py"
BUSY = "while :; do :; done"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging

# --- all CPUs are busy ------------------------------------------------------------------------------


@pytest.fixture
def burners() -> Iterator[Callable[[], None]]:
    """Keeps every CPU busy from its call on."""
    running: list[subprocess.Popen[bytes]] = []

    def burn() -> None:
        running.extend(subprocess.Popen(["sh", "-c", BUSY]) for _ in range(16))

    yield burn
    for one in running:
        one.kill()
    for one in running:
        one.wait()


@defence(("workbench/supervisor/sampler.py", "            if lag > LATE_S:", "            if False:"))
async def test_fault_E6_on_a_starved_machine_nobody_is_hung(start_worker: Any, burners: Callable[[], None]) -> None:
    """16 processes that only count; for seconds none of the worker's has a CPU, then the supervisor is the first."""
    worker = start_worker(AGENT, "--ping-timeout", "1.5", "--ping-interval", "0.1", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        await until(client, lambda state: len(state.live("idle")) == 2 and len(state.processes) == 3)
        everybody = tagged(worker.tag)
        burners()
        await asyncio.sleep(1)
        signal_all(everybody, signal.SIGSTOP)
        time.sleep(2.5)
        of_worker(worker).resume()
        time.sleep(0.5)
        signal_all(everybody, signal.SIGCONT)
        await asyncio.sleep(1)
        assert tagged(worker.tag) == everybody
        assert (await run(client, "return"))["status"] == "completed"
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
    assert [e["what"] for e in worker.entries() if e["job"] == job["job"]] == ["start", "finish"]
    assert "hung" not in worker.output()


WAITING = """
import os, time
from workbench.process import sampling
sampling.turns_s = lambda pid: (0.0, time.monotonic() if os.path.exists(os.environ["STARVED"]) else 0.0)
"""


@defence(("workbench/supervisor/watchdog.py", "age_s - _starved_s(child.pid, turns_before) < limit or ", ""))
async def test_fault_E6_a_process_that_waits_for_a_cpu_is_not_hung_and_one_that_does_not_is(
    start_worker: Any, tmp_path: Path
) -> None:
    """The supervisor is on time; the kernel says that the process has waited all the while."""
    (tmp_path / "sitecustomize.py").write_text(WAITING)
    (starved := tmp_path / "starved").touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    worker = start_worker(AGENT, "--ping-timeout", "1.5", PYTHONPATH=path, STARVED=str(starved))
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        os.kill(job["pid"], signal.SIGSTOP)

        def seen(state: Any) -> Any:
            old = [p for p in state.live("busy") if (p.heartbeat_age_s or 0) > 4]
            return old or not state.jobs[job["job"]].active

        await until(client, seen)
        assert (await client.request("GET", f"/jobs/{job['job']}"))["status"] == "running"
        starved.unlink()
        assert (await until_ended(client, job["job"]))["reason"] == "hung"


# --- how much a container may use -------------------------------------------------------------------


def stat(*busy_s: float) -> str:
    """A `/proc/stat` of CPUs that have been busy for so long."""
    rows = [("cpu", sum(busy_s)), *((f"cpu{number}", one) for number, one in enumerate(busy_s))]
    return "\n".join(f"{name} {int(one * TICKS)} 0 0 9999 9 0 0 0 0 0" for name, one in rows)


def used(group: Path, seconds: float) -> None:
    """Set what a group has used."""
    if (group / "cpu.max").exists():
        (group / "cpu.stat").write_text(f"usage_usec {seconds * 1e6:.0f}\nuser_usec 1\n")
    else:
        (group / "cpuacct.usage").write_text(f"{seconds * 1e9:.0f}\n")


def write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text + "\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine with 64 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    write(tmp_path / "proc/stat", stat(*[0.0] * 64))
    return tmp_path


def version_2(root: Path) -> Path:
    """A container that may use 2 CPUs, by a group above its own; the group that is counted."""
    groups = root / "sys/fs/cgroup"
    write(root / "proc/self/cgroup", "0::/pods/agent/worker")
    write(groups / "cgroup.controllers", "cpu memory pids")
    write(groups / "pods/agent/worker/cpu.max", "max 100000")
    write(groups / "pods/agent/cpu.max", "200000 100000")
    write(groups / "pods/cpu.max", "800000 100000")
    return groups / "pods/agent"


def version_1(root: Path) -> Path:
    """The same of old: the time is counted beside the quota, in a tree of its own."""
    groups = root / "sys/fs/cgroup"
    write(root / "proc/self/cgroup", "5:cpuacct:/docker/agent\n4:cpu:/docker/agent\n1:name=systemd:/docker/agent")
    write(groups / "cpu/docker/agent/cpu.cfs_quota_us", "200000")
    write(groups / "cpu/docker/agent/cpu.cfs_period_us", "100000")
    write(groups / "cpu/docker/agent/cpu.stat", "nr_periods 7\nnr_throttled 0\nthrottled_time 0")
    write(groups / "cpu/cpu.cfs_quota_us", "-1")
    write(groups / "cpuacct/docker/agent/cpuacct.usage", "0")
    return groups / "cpuacct/docker/agent"


@pytest.mark.parametrize("made", [version_2, version_1])
@defence(("workbench/process/sampling.py", "self.cpus = min(quota.value, self.cpus)", "pass"))
@defence(("workbench/process/sampling.py", "if self._group is None:", "if True:"))
@defence(("workbench/process/sampling.py", "            return place", "            return None"))
def test_fault_E11_load_is_the_share_of_the_containers_quota_and_not_of_the_machine(
    root: Path, made: Callable[[Path], Path]
) -> None:
    group = made(root)
    used(group, 100.0)
    clock = CpuClock(root)
    assert (clock.cpus, clock.source) == (2.0, "cgroup 2 cores")
    assert clock.share(50.0) is None
    for now, seconds, share in ((51.0, 101.0, 0.5), (52.0, 101.0, 0.0), (54.0, 105.0, 1.0), (54.5, 106.2, 1.0)):
        used(group, seconds)
        assert clock.share(now) == pytest.approx(share)


def test_fault_E11_without_a_quota_the_machines_cpus_count(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/")
    write(root / "sys/fs/cgroup/cgroup.controllers", "cpu")
    clock = CpuClock(root)
    assert (clock.cpus, clock.source) == (64.0, "host 64 cores")
    assert clock.share(1.0) is None
    write(root / "proc/stat", stat(*[0.5] * 64))
    assert clock.share(2.0) == pytest.approx(0.5)


@defence(("workbench/process/sampling.py", "mine if len(mine) == len(cpus) else [total]", "[total]"))
def test_fault_E11_only_the_cpus_that_it_may_run_on_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 64; the others' work is no load of this worker."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 3})
    clock = CpuClock(root)
    assert clock.cpus == 2.0
    assert clock.share(1.0) is None
    write(root / "proc/stat", stat(1.0, 1.0, 0.25, 0.25, *[1.0] * 60))
    assert clock.share(2.0) == pytest.approx(0.25)


@defence(("workbench/process/sampling.py", " or used < last[1]:", ":"))
@defence(("workbench/process/sampling.py", "if share <= OVERDRAWN else None", "if share else None"))
@defence(("workbench/process/sampling.py", "last is None or now <= last[0] or", "last is None or"))
@defence(("workbench/process/sampling.py", "if last is not None and 0 <= now - last[0] < SHORTEST_S:", "if False:"))
def test_fault_E11_a_reading_that_cannot_be_is_no_load(root: Path) -> None:
    group = version_2(root)
    used(group, 100.0)
    clock = CpuClock(root)
    readings = [
        (10.0, 100.0, None),
        (11.0, 101.0, 0.5),
        (12.0, 50.0, None),  # the counter went back: the container was made anew
        (13.0, 51.0, 0.5),
        (14.0, 60.0, None),  # 9 s in one second with 2 CPUs
        (15.0, 61.0, 0.5),
        (15.0, 62.0, None),  # the clock stands
        (14.5, 62.0, None),  # and goes back
        (15.5, 63.0, 0.5),
        (15.55, 63.2, None),  # too soon after the last one for a quota that is handed out ten times a second
        (16.5, 64.0, 0.5),
    ]
    for now, seconds, share in readings:
        used(group, seconds)
        assert clock.share(now) == (None if share is None else pytest.approx(share)), (now, seconds)
    (group / "cpu.stat").unlink()
    assert clock.share(17.0) is None
    used(group, 70.0)
    assert clock.share(18.0) is None, "nothing is known of the time between"
