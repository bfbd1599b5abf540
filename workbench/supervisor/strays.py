"""Helpers that a job left behind: adopted by the supervisor, found by their mark, ended with their job.

A helper that called `setsid` is in nobody's process group any more; as a subreaper the supervisor becomes its
parent when the job dies. The job's mark in the environment it was started with says whose it was.
"""

import os
import signal
from collections.abc import Callable

from workbench.process.sampling import descendants, environment_of

MARK = "WORKBENCH_PROCESS"


def adopted() -> list[int]:
    """Every direct child of this process."""
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as listing:
        return [int(pid) for pid in listing.read().split()]


def sweep(is_ours: Callable[[int], bool], mark_lives: Callable[[str], bool]) -> list[int]:
    """Kill adopted helpers of jobs that are gone; their pids.

    Args:
        is_ours: the pid is a child that the reaper answers for.
        mark_lives: the process that left this mark still runs.
    """
    killed = []
    for pid in adopted():
        if is_ours(pid):
            continue
        mark = environment_of(pid).get(MARK)
        if mark is None or mark_lives(mark):
            continue
        for target in [pid, *descendants(pid)]:
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(target)
    return killed


def kill_tree(pid: int, known: list[int]) -> None:
    """SIGKILL a process, its group, and everything below it or `known` to have been below it."""
    targets = descendants(pid)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        targets.append(pid)
    for target in [*targets, *known]:
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            continue
