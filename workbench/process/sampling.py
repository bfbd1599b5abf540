"""Figures of processes from procfs, read through descriptors that stay open: microseconds a process."""

import os
from collections import Counter
from collections.abc import Iterable

from workbench.process.tree import children_of, fields_of, pids_in

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
KB_MB = 1024 / 1e6
TICKS = os.sysconf("SC_CLK_TCK")


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
        found = _rollup(pid)
        return None if found is None else (found[b"Private_Clean:"] + found[b"Private_Dirty:"]) * KB_MB
    total = 0
    for one in (pid, *helpers):
        found = _rollup(one)
        if found is None:
            return None
        total += found[b"Pss:"]
    return total * KB_MB


def _rollup(pid: int) -> "Counter[bytes] | None":
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
    """Busy share of the CPUs this container may use, between two readings."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._quota_path, quota = _cgroup_quota()
        host = len(os.sched_getaffinity(0))
        self.cpus = min(quota, host) if quota else float(host)
        self.source = f"cgroup {self.cpus:g} cores" if self._quota_path else f"host {host} cores"

    def share(self, now: float) -> float | None:
        """Mean since the last call; None the first time, or for a reading that cannot be."""
        try:
            used = self._used_s()
        except (OSError, KeyError, ValueError):  # the container's files are gone, or mean something else now
            self._last = None
            return None
        last, self._last = self._last, (now, used)
        if last is None or now <= last[0] or used < last[1]:
            return None
        share = (used - last[1]) / ((now - last[0]) * self.cpus)
        return min(share, 1.0) if share < 4 else None  # a counter that jumped is no load

    def _used_s(self) -> float:
        if self._quota_path.endswith("cpu.stat"):
            with open(self._quota_path, encoding="ascii") as file:
                return float(dict(line.split() for line in file)["usage_usec"]) / 1e6
        if self._quota_path:
            with open(self._quota_path, encoding="ascii") as file:
                return float(file.read()) / 1e9
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(value) for value in file.readline().split()[1:]]
        busy = sum(fields[:3]) + sum(fields[5:8])  # user nice system, irq softirq steal; no idle, no iowait
        return busy / TICKS


def _cgroup_quota() -> tuple[str, float]:
    """The usage file and the number of CPUs of this container's quota; empty without one."""
    try:
        limit, period = _text("/sys/fs/cgroup/cpu.max").split()
        if limit != "max":
            return "/sys/fs/cgroup/cpu.stat", int(limit) / int(period)
    except (OSError, ValueError):
        limit = ""  # no cgroup v2 here; perhaps v1
    try:
        quota = int(_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
        period_us = int(_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    except (OSError, ValueError):
        return "", 0.0
    usage = "/sys/fs/cgroup/cpuacct/cpuacct.usage"
    return (usage, quota / period_us) if quota > 0 and os.access(usage, os.R_OK) else ("", 0.0)


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


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
