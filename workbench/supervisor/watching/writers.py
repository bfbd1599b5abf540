"""Which process holds a file open to write."""

import os
from collections.abc import Collection, Iterable

WRITES = os.O_WRONLY | os.O_RDWR


def writers_of(files: Collection[str], pids: Iterable[int]) -> dict[str, int]:
    """Those of the files that one of the processes can write through a descriptor it has open now, and its pid."""
    wanted: dict[tuple[int, int], list[str]] = {}
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        wanted.setdefault((status.st_dev, status.st_ino), []).append(file)
    found: dict[str, int] = {}
    for pid in pids:
        for fd in _descriptors(pid):
            try:
                status = os.stat(f"/proc/{pid}/fd/{fd}")
                here = wanted.get((status.st_dev, status.st_ino), [])
                if here and _writes(pid, fd):
                    found.update({file: pid for file in here if file not in found})
            except OSError:
                continue  # closed meanwhile
    return found


def _descriptors(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []  # ended meanwhile


def _writes(pid: int, fd: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{fd}") as lines:
        return any(int(line.split()[1], 8) & WRITES for line in lines if line.startswith("flags:"))
