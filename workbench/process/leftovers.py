"""What a supervisor that was killed left running: everything that carries its mark.

Whoever is in the process group of a job or a zygote goes by the lifeline. A helper in a session of its own does not:
the zygote, the last of the worker that still runs, looks for it by its mark, and by where it was last seen.
"""

import os
import time

from workbench.process import mark
from workbench.process.tree import kill_tree, started_at

AT_MOST_S = 2.0  # something that forks faster than it can be found must not keep the zygote for ever


def end_all_of(supervisor: int, helpers: dict[int, int]) -> None:
    """SIGKILL the helpers that were known, and every other process with this supervisor's mark, until none is found.

    Args:
        helpers: pid, and when it was started: the pid may be another process's by now.
    """
    for pid, start in helpers.items():
        if start and started_at(pid) == start:
            kill_tree(pid)
    until = time.monotonic() + AT_MOST_S
    while time.monotonic() < until:
        found = _marked(supervisor)
        if not found:
            return
        for pid in found:
            kill_tree(pid)


def _marked(supervisor: int) -> list[int]:
    """Those of jobs come first: another zygote among the others may be at the same work."""
    found = []
    namespace = _namespace(os.getpid())
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid():
            continue
        owner, name = mark.parse(mark.read(int(entry)))
        # in another container the same number may be another supervisor's
        if owner == supervisor and _namespace(int(entry)) == namespace:
            found.append((name.startswith("g"), int(entry)))
    return [pid for _, pid in sorted(found)]


def _namespace(pid: int) -> int:
    """The namespace in which the pids of a process count; 0 when it cannot be told."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0
