"""Figures of processes from procfs, read through descriptors that stay open: microseconds a process."""

import os

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
TICKS = os.sysconf("SC_CLK_TCK")


class ProcFiles:
    """The procfs files of one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._statm = _open(pid, "statm")
        self._stat = _open(pid, "stat")
        self._children = _open(pid, f"task/{pid}/children")
        self.shared_pages = 0

    def memory_pages(self) -> int:
        """Resident pages without those shared with the zygote since the fork; 0 when it has gone."""
        raw = _read(self._statm, 128)
        return max(0, int(raw.split()[1]) - self.shared_pages) if raw else 0

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        raw = _read(self._stat, 1024)
        if not raw:
            return 0.0
        fields = raw[raw.rindex(b")") + 2 :].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def threads(self) -> int:
        """How many threads it has."""
        raw = _read(self._stat, 1024)
        return int(raw[raw.rindex(b")") + 2 :].split()[17]) if raw else 0

    def children(self) -> list[int]:
        """Its direct children; those of its other threads only when it has some."""
        own = [int(pid) for pid in _read(self._children, 4096).split()]
        if self.threads() > 1:
            try:
                for task in os.listdir(f"/proc/{self.pid}/task"):
                    if task != str(self.pid):
                        with open(f"/proc/{self.pid}/task/{task}/children", "rb") as listing:
                            own += [int(pid) for pid in listing.read().split()]
            except OSError:
                return own  # a thread, or the whole process, ended meanwhile
        return own

    def close(self) -> None:
        """Close the files."""
        for fd in (self._statm, self._stat, self._children):
            if fd >= 0:
                os.close(fd)
        self._statm = self._stat = self._children = -1


def tree_pages(files: ProcFiles) -> int:
    """Resident pages of a process and of everything below it."""
    total = files.memory_pages()
    below, seen = files.children(), set()
    while below:
        pid = below.pop()
        if pid in seen:
            continue
        seen.add(pid)
        try:
            with open(f"/proc/{pid}/statm", "rb") as statm:
                total += int(statm.read().split()[1])
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as listing:
                below += [int(p) for p in listing.read().split()]
        except (OSError, IndexError):
            continue  # ended meanwhile
    return total


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop(0)
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                with open(f"/proc/{current}/task/{task}/children", "rb") as listing:
                    new = [int(p) for p in listing.read().split()]
                found += new
                queue += new
        except OSError:
            continue  # ended meanwhile
    return found


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            raw = file.read(1 << 20)
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


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
        used = self._used_s()
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
    except OSError:
        return -1  # it has ended already: every figure reads as none


def _read(fd: int, size: int) -> bytes:
    if fd < 0:
        return b""
    try:
        return os.pread(fd, size, 0)
    except OSError:
        return b""  # ESRCH: the process has ended
