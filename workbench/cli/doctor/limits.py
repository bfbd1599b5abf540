"""Limits of descriptors and processes, against what `max_processes` needs: tried by using that many."""

import os
import resource
from typing import Any, cast

from workbench.cli.doctor.finding import MISSING, OK, Finding
from workbench.cli.doctor.trial import TrialError, fork_and, in_a_fork
from workbench.model.text import plural
from workbench.process import descriptors
from workbench.process.cgroup import Groups
from workbench.process.child import Child

SPARE_FILES = 64  # clients, doors, log pipes, the zygotes of a reload
SPARE_PROCESSES = 3  # two zygotes, and a new process while the old one is going
MOST_TRIED = 100  # processes; more than these are reckoned


def check_limits(max_processes: int, groups: Groups, files_each: int | None = None) -> list[Finding]:
    """Descriptors and processes for `max_processes`.

    Args:
        files_each: descriptors that a process really cost, where that was seen.
    """
    try:
        each = files_each or in_a_fork(_files_of_a_child)
        files = in_a_fork(lambda: _open_many(max_processes * each + SPARE_FILES))
        made = in_a_fork(lambda: _fork_many(min(max_processes + SPARE_PROCESSES, MOST_TRIED)))
    except TrialError as error:
        return [Finding("limits", MISSING, f"Tried, and it failed: {error}.", "No worker can start under such limits.")]
    return [_judge_files(files, max_processes, each), _judge_processes(made, max_processes, groups)]


def _judge_files(seen: dict[str, int], max_processes: int, each: int) -> Finding:
    figures = {**seen, "each": each, "needed": max_processes * each + SPARE_FILES}
    limits = f"soft limit {_limit(seen['soft'])}, hard limit {_limit(seen['hard'])}"
    if seen["opened"] >= figures["needed"]:
        found = f"{_count(max_processes)} may need {figures['needed']}: tried, and there is room ({limits})."
        follows = "A worker raises its own soft limit." if seen["soft"] < seen["raised"] else ""
        return Finding("open files", OK, found, follows, figures)
    room = max(0, (seen["opened"] - SPARE_FILES) // each)
    found = f"{_count(max_processes)} may need {figures['needed']}, and {seen['opened']} could be opened ({limits})."
    total = figures["needed"] + seen["used"]
    cure = f"There is room for {room}. Raise the hard limit to {total} (`ulimit -Hn {total}`, LimitNOFILE=)"
    return Finding("open files", MISSING, found, f"{cure}, or set a lower max_processes.", figures)


def _judge_processes(made: int, max_processes: int, groups: Groups) -> Finding:
    wanted = max_processes + SPARE_PROCESSES
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    group = groups.processes()
    figures: dict[str, Any] = {"made": made, "needed": wanted, "rlimit": soft}
    limits = f"limit of the user {_limit(soft)}"
    room = float("inf")
    if group is not None:
        figures |= {"group_max": int(group.value), "group_used": int(group.used)}
        limits += f", of the container {group.value:.0f} with {group.used:.0f} in use"
        room = max(0.0, group.value - group.used)
    if made < min(wanted, MOST_TRIED) or room < wanted:
        room = min(made, room)
        found = f"{_count(max_processes)} may need {wanted} at once, and there is room for {room:.0f} ({limits})."
        cure = "Raise that limit (`ulimit -u`, TasksMax=, --pids-limit), or set a lower max_processes."
        return Finding("processes", MISSING, found, cure, figures)
    tried = "tried" if made == wanted else f"{made} were tried"
    found = f"{_count(max_processes)} may need {wanted} at once: {tried}, and there is room ({limits})."
    return Finding("processes", OK, found, "", figures)


def _files_of_a_child() -> int:
    before = _used()
    child = Child(0, 0, 0, cast(Any, None))
    count = _used() - before
    child.close()
    return count


def _open_many(wanted: int) -> dict[str, int]:
    """Open as many as are wanted, under the limit that a worker would give itself."""
    soft = descriptors.raise_limit()
    raised, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used, opened = _used(), 0
    try:
        while opened < wanted:
            os.dup(0)
            opened += 1
    except OSError:
        wanted = opened  # the limit
    return {"soft": soft, "hard": hard, "raised": raised, "used": used, "opened": opened}


def _fork_many(wanted: int) -> int:
    """Have as many processes at once as are wanted, as far as the kernel goes along."""
    read, write = os.pipe()
    made: list[int] = []

    def wait() -> None:
        os.close(write)
        os.read(read, 1)

    try:
        while len(made) < wanted:
            made.append(fork_and(wait))
    except OSError:
        wanted = len(made)  # the limit
    os.close(write)
    for pid in made:
        os.waitpid(pid, 0)
    return len(made)


def _count(max_processes: int) -> str:
    return plural(max_processes, "job")


def _used() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # without the one that lists them


def _limit(value: int) -> str:
    return "none" if value == resource.RLIM_INFINITY else str(value)
