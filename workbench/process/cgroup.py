"""What the control groups of this process allow, version 1 or 2: the strictest limit on the way up counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 60  # bytes or processes: version 1 writes about 2^63 for "no limit"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, how much of it is used (0 when that is not told), and the folder of the group that sets it."""

    value: float
    used: float
    place: Path


class Groups:
    """The groups of this process.

    Args:
        root: the root of the file system; tests give another.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._base = root / "sys/fs/cgroup"
        self._lines = [line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines()]

    @property
    def version(self) -> int:
        """2, 1, or 0 where there are none."""
        if (self._base / "cgroup.controllers").exists():
            return 2
        return 1 if any(len(line) == 3 and line[1] for line in self._lines) and self._base.is_dir() else 0

    def cpus(self) -> Limit | None:
        """The CPU quota, in cores."""
        found = []
        for folder in self._levels(""):
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            if _number(quota) and _number(period):
                found.append(Limit(_number(quota) / _number(period), 0, folder))
        for folder in self._levels("cpu"):
            quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            if _number(quota) and _number(period):
                found.append(Limit(_number(quota) / _number(period), 0, folder))
        return min(found, key=lambda limit: limit.value, default=None)

    def memory(self) -> Limit | None:
        """The memory limit, in bytes."""
        return self._strictest("memory", ("memory.max", "memory.current"),
                               ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # fmt: skip

    def processes(self) -> Limit | None:
        """How many processes and threads there may be."""
        return self._strictest("pids", ("pids.max", "pids.current"), ("pids.max", "pids.current"))

    def killed_together(self) -> Path | None:
        """The group that the kernel kills as a whole when memory runs out; None when it picks one process."""
        return next((f for f in self._levels("") if _text(f / "memory.oom.group") == "1"), None)

    def _strictest(self, controller: str, new: tuple[str, str], old: tuple[str, str]) -> Limit | None:
        found = []
        for name, (limit, used) in (("", new), (controller, old)):
            for folder in self._levels(name):
                value = _number(_text(folder / limit))
                if 0 < value < UNLIMITED:
                    found.append(Limit(value, _number(_text(folder / used)), folder))
        return min(found, key=lambda limit: limit.value - limit.used, default=None)

    def _levels(self, controller: str) -> Iterator[Path]:
        """The group of this process and those above it, as far as they are seen; the empty name is version 2."""
        for line in self._lines:
            if len(line) != 3 or controller not in line[1].split(","):
                continue
            top = self._base / controller if controller else self._base
            group = top / line[2].lstrip("/")
            while group != top and top in group.parents:
                if group.is_dir():
                    yield group
                group = group.parent
            yield top


def _number(text: str) -> float:
    """0 for `max`, `-1` and what is no number."""
    return float(text) if text.isdecimal() else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # not on this kernel, or not for us
