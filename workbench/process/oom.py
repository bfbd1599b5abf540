"""Was it the kernel that killed a process for want of memory? It says so only in a counter of the container."""

import time
from pathlib import Path

RECENT_S = 1.0


class OomCounter:
    """Kills by the kernel in this container. Look regularly: a kill counts for the deaths just after it."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = place or _counter()
        self._count = _kills(self._place)
        self._changed_at = float("-inf")

    def look(self) -> bool:
        """Whether the kernel killed something a moment ago."""
        count, now = _kills(self._place), time.monotonic()
        if count is not None:  # else it cannot be read now, as when descriptors have run out
            if self._count is not None and count > self._count:
                self._changed_at = now
            self._count = count
        return now - self._changed_at < RECENT_S


def _counter() -> Path:
    """The file with the counter of the group that this process is in; of the machine where there is none."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        for base, name, mine in (("", "memory.events", ""), ("memory", "memory.oom_control", "memory")):
            if mine not in controllers.split(","):
                continue
            for group in (path.lstrip("/"), ""):  # seen from inside, a container's own group may be the root
                place = Path("/sys/fs/cgroup", base, group, name)
                if _kills(place) is not None:
                    return place
    return Path("/proc/vmstat")


def _kills(place: Path) -> int | None:
    found = [line.split()[1] for line in _lines(place) if line.startswith("oom_kill ")]
    return int(found[0]) if found else None


def _lines(place: Path) -> list[str]:
    try:
        return place.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []  # not on this kernel, or not for us
