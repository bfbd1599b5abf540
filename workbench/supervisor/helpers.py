"""Helpers that jobs start: whose they are, what they add to a job's tree, and their end together with it.

A helper that called `setsid` is in nobody's process group any more, and when its parent ends, the supervisor (a
subreaper) becomes its parent. It belongs to the job in whose tree it was last seen, else to the one it is marked with.
"""

import os
from collections.abc import Callable, Collection

from workbench.process import mark
from workbench.process.child import Child
from workbench.process.reaper import Reaper
from workbench.process.tree import adopted, descendants, kill_tree, started_at


class Helpers:
    """Everything below the supervisor that is neither a zygote nor a job's process.

    Args:
        lives: whether the process (`7`) or the generation (`g2`) of a mark is still there.
        note: told the helpers, pid and when it was started, whenever others are there than before.
    """

    def __init__(self, reaper: Reaper, lives: Callable[[str], bool], note: Callable[[dict[int, int]], None]) -> None:
        self._reaper, self._lives, self._note = reaper, lives, note
        self._foreign = set(adopted())  # children of a program that this one took the place of
        self._seen: dict[int, tuple[int, str]] = {}  # pid -> when it started, and the process it was below

    def look(self, children: Collection[Child]) -> None:
        """Find the helpers of each child, and end those that outlived theirs."""
        seen: dict[int, tuple[int, str]] = {}
        for child in children:
            if child.files is None or not child.files.children():
                child.helpers = []
                continue
            child.helpers = descendants(child.pid)
            for pid in child.helpers:
                seen[pid] = self._seen.get(pid) or (started_at(pid), str(child.id))
        strangers = self.strangers()
        before, self._seen = self._seen, seen | {pid: self._seen[pid] for pid in strangers if pid in self._seen}
        if before != self._seen:
            self._note({pid: start for pid, (start, _) in self._seen.items()})
        for pid in strangers:
            name = self._owner(pid)
            if name and not self._lives(name):
                kill_tree(pid)
            elif name.isdecimal():
                child = next(one for one in children if one.id == int(name))
                if child.pid:  # else it is that very process, not announced yet
                    child.helpers = [*child.helpers, pid, *descendants(pid)]

    def sweep(self) -> None:
        """End the helpers whose job, or generation, is gone."""
        for pid in self.strangers():
            name = self._owner(pid)
            if name and not self._lives(name):
                kill_tree(pid)

    def kill_all(self) -> bool:
        """End every helper; False when there was none."""
        mine = [pid for pid in self.strangers() if os.getpid() != 1 or self._owner(pid)]
        for pid in mine:
            kill_tree(pid)
        return bool(mine)

    def strangers(self) -> list[int]:
        """Children of this process that nobody here answers for."""
        return [pid for pid in adopted() if not self._reaper.is_claimed(pid) and pid not in self._foreign]

    def _owner(self, pid: int) -> str:
        start, name = self._seen.get(pid, (0, ""))
        if name and start == started_at(pid):
            return name
        owner, name = mark.parse(mark.read(pid))
        return name if owner == os.getpid() else ""
