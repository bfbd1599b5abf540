"""Figures of processes from procfs, read through descriptors that stay open: microseconds a process."""

import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from workbench.process.cgroup import Groups
from workbench.process.tree import children_of, fields_of, pids_in

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
KB_MB = 1024 / 1e6
TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path("/")
SHORTEST_S = 0.1  # a quota is handed out for as long, and the machine counts in hundredths
OVERDRAWN = 2.0  # what is used may belong to the quota of two periods; more than that no counter shows rightly


class ProcFiles:
    """The procfs files of one process.

    Raises:
        OSError: no descriptors are left.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._statm = self._stat = self._children = -1
        self._threads = 1
        try:
            self._statm = _open(pid, "statm")
            self._stat = _open(pid, "stat")
            self._children = _open(pid, f"task/{pid}/children")
        except OSError:
            self.close()
            raise

    def memory_pages(self) -> int:
        """Resident pages; 0 when it has gone."""
        raw = _read(self._statm, 128)
        return int(raw.split()[1]) if raw else 0

    def cpu_s(self) -> float:
        """CPU seconds used so far. Tells how many threads there are by the way, for `children`."""
        fields = fields_of(_read(self._stat, 1024))
        if not fields:
            return 0.0
        self._threads = int(fields[17])
        return (int(fields[11]) + int(fields[12])) / TICKS

    def children(self) -> list[int]:
        """Its direct children; those of its other threads only when it had some at the last `cpu_s`."""
        if self._threads > 1:
            return children_of(self.pid)
        listing = _read(self._children, 1 << 16)
        return pids_in(listing) if listing else []

    def close(self) -> None:
        """Close the files."""
        for fd in (self._statm, self._stat, self._children):
            if fd >= 0:
                os.close(fd)
        self._statm = self._stat = self._children = -1


def turns_s(pid: int) -> tuple[float, float]:
    """Seconds that a process's main thread has run, and has waited for a CPU; zeros where the kernel does not say."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as schedstat:
            ran, waited, _ = schedstat.read().split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return int(ran) / 1e9, int(waited) / 1e9


def resident_mb(pids: Iterable[int]) -> float:
    """Resident memory of some processes together, what they share counted for each."""
    pages = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as statm:
                pages += int(statm.read().split()[1])
        except (OSError, IndexError):
            continue  # ended meanwhile
    return pages * PAGE_MB


def exact_mb(pid: int, helpers: Iterable[int]) -> float | None:
    """A process's own memory, with helpers that of all together; slow. None when the kernel does not say.

    What only this process maps is its own (what it wrote to of the zygote's pages is). With helpers, each page
    counts for as much as it has users: a helper that was forked shares most of its pages with the job.
    """
    helpers = list(helpers)
    if not helpers:
        found = rollup(pid)
        return None if found is None else (found[b"Private_Clean:"] + found[b"Private_Dirty:"]) * KB_MB
    total = 0
    for one in (pid, *helpers):
        found = rollup(one)
        if found is None:
            return None
        total += found[b"Pss:"]
    return total * KB_MB


def rollup(pid: int) -> "Counter[bytes] | None":
    """Kilobytes by name; all 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            lines = [line.split() for line in rollup.readlines()[1:]]
    except (ProcessLookupError, FileNotFoundError):
        return Counter()
    except OSError:
        return None
    return Counter({parts[0]: int(parts[1]) for parts in lines if len(parts) > 1})


class CpuClock:
    """Busy share of the CPUs this container may use, between two readings.

    Args:
        root: the root of the file system; tests give another.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._last: tuple[float, float] | None = None
        self._allowed = os.sched_getaffinity(0)
        self._stat = root / "proc/stat"
        quota = Groups(root).cpus()
        self._group = _usage_file(quota.place) if quota is not None else None
        self.cpus = float(len(self._allowed))
        self.source = f"host {len(self._allowed)} cores"
        if quota is not None and self._group is not None:
            self.cpus = min(quota.value, self.cpus)
            self.source = f"cgroup {self.cpus:g} cores"

    def share(self, now: float) -> float | None:
        """Mean since the last call; None the first time, or for a reading that cannot be."""
        last = self._last
        if last is not None and 0 <= now - last[0] < SHORTEST_S:
            return None  # the next reading will say more
        try:
            used = self._used_s()
        except (OSError, LookupError, ValueError):  # the files are gone, or mean something else now
            self._last = None
            return None
        self._last = now, used
        if last is None or now <= last[0] or used < last[1]:
            return None
        share = (used - last[1]) / ((now - last[0]) * self.cpus)
        return min(share, 1.0) if share <= OVERDRAWN else None  # a counter that jumped is no load

    def _used_s(self) -> float:
        if self._group is None:
            return _busy_s(self._stat, self._allowed)
        text = self._group.read_text(encoding="ascii")
        if self._group.name == "cpu.stat":
            return float(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6
        return float(text) / 1e9


def _usage_file(group: Path) -> Path | None:
    """Where the CPU time of the group that sets the quota is counted."""
    beside = (Path(str(group).replace("/cgroup/cpu", f"/cgroup/{name}", 1)) for name in ("cpuacct", "cpu,cpuacct"))
    places = [group / "cpu.stat", *(folder / "cpuacct.usage" for folder in (group, *beside))]
    for place in places[(group / "cpu.cfs_quota_us").exists() :]:  # version 1 has a `cpu.stat` that counts no time
        if os.access(place, os.R_OK):
            return place
    return None


def _busy_s(stat: Path, cpus: Collection[int]) -> float:
    """CPU seconds that these CPUs have been busy; of all where they are not listed by these numbers."""
    total, *lines = [line.split() for line in stat.read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
    mine = [line for line in lines if int(line[0][3:]) in cpus]
    ticks = 0
    for line in mine if len(mine) == len(cpus) else [total]:
        fields = [int(value) for value in line[1:]]
        ticks += sum(fields[:3]) + sum(fields[5:8])  # user nice system, irq softirq steal; no idle, no iowait
    return ticks / TICKS


def _open(pid: int, name: str) -> int:
    try:
        return os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return -1  # it has ended already: every figure reads as none


def _read(fd: int, size: int) -> bytes:
    if fd < 0:
        return b""
    try:
        return os.pread(fd, size, 0)
    except OSError:
        return b""  # ESRCH: the process has ended
