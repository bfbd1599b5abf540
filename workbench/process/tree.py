"""Process trees as procfs shows them: who is below whom, and how to end all of them."""

import contextlib
import os
import signal
from collections import deque

PASSES = 8


def children_of(pid: int) -> list[int]:
    """Direct children of a process, whichever of its threads started them."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as listing:
                found += pids_in(listing.read())
    except OSError:
        return found  # a thread, or the whole process, ended meanwhile
    return found


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first."""
    found: dict[int, None] = {}
    queue = deque([pid])
    while queue:
        new = [child for child in children_of(queue.popleft()) if child not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return list(found)


def started_at(pid: int) -> int:
    """When a process was started, in kernel ticks: with it a pid names one process for ever. 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(fields_of(stat.read())[19])
    except (OSError, IndexError):
        return 0


def parent_of(pid: int) -> int:
    """The parent's pid; 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(fields_of(stat.read())[1])
    except (OSError, IndexError):
        return 0


def adopted() -> list[int]:
    """Every direct child of this process."""
    return children_of(os.getpid())


def kill_tree(pid: int) -> None:
    """SIGKILL a process, its group, and everything below it, while `pid` is known to be what we mean.

    All are stopped first: what is stopped cannot fork, nor reap its children and let their pids become others'.
    """
    found: list[int] = []
    for _ in range(PASSES):
        new = [one for one in (pid, *descendants(pid)) if one not in found]
        if not new:
            break
        for one in new:
            _signal(one, signal.SIGSTOP)
        found += new
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:  # else it is not, or not yet, the leader of a group of its own
            os.killpg(pid, signal.SIGKILL)
    for one in found:
        _signal(one, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def fields_of(stat: bytes) -> list[bytes]:
    """Fields 3 and on of a `stat` file: the name before them may hold spaces and brackets."""
    return stat[stat.rindex(b")") + 2 :].split() if stat else []


def pids_in(listing: bytes) -> list[int]:
    """The pids of a `children` file."""
    whole = listing if listing.endswith(b" ") else listing[: listing.rfind(b" ") + 1]  # a cut number is another pid
    return [int(pid) for pid in whole.split()]
