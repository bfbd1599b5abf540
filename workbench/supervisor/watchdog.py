"""What follows from the measurements: warnings, stack dumps, kills of hung processes, pings, the load."""

import math
import time
from collections.abc import Callable
from typing import Any

from workbench.model import events as ev
from workbench.process.child import Child
from workbench.process.runner import DUMP_SIGNAL
from workbench.process.sampling import turns_s
from workbench.supervisor.children import Children
from workbench.supervisor.sampler import Sampler
from workbench.supervisor.shell import Shell
from workbench.supervisor.words import telling_line

MOVES_IN_S = 0.2  # a loop that has had a CPU for so long and has not turned does not wait for one
SLOW_START_S = 2.0  # like an import: from then on it is worth knowing where a prewarm stands


class Watchdog:
    """Hears the sampler (see `sampler.SamplerEvents`).

    Args:
        root: the agent's folder, to tell its lines in a stack from those of libraries.
    """

    def __init__(self, shell: Shell, children: Children, root: Callable[[], str]) -> None:
        self._shell, self._core, self._state, self._children = shell, shell.core, shell.state, children
        self._root = root
        self._pinged_at = -math.inf
        self.sampler = Sampler(shell.state, children.beats, lambda: children.by_id.values(), self)

    def memory_of(self, child: Child, memory_mb: float) -> None:
        """A process tree now: before it is judged, an exact reading decides."""
        if child.id not in self._state.processes:
            return
        if memory_mb >= min(self._core.memory_marks(child.id)):
            memory_mb = self.sampler.memory.judged(child, memory_mb)
        self._core.memory_measured(child.id, memory_mb, self._shell.now())
        if self._core.has_news:
            self._shell.flush()

    def stalled(self, child: Child, age_s: float) -> None:
        """Its loop stands: dump its stack once; kill it at `ping_timeout`."""
        process = self._state.processes[child.id]
        if process.state == "starting":
            self._slow_start(child, age_s)
        if process.state in ("starting", "stopping"):
            return  # each has a deadline of its own
        if not process.stalled:
            child.begin_dump()
            child.turns_at_stall = turns_s(child.pid)
            self._shell.publish(ev.ProcessStalled(at=time.time(), id=child.id, age_s=round(age_s, 2), stack=""))
            child.signal(DUMP_SIGNAL, group=False)
        elif not process.stack and child.asked is None and (line := telling_line(child.dump, self._root())):
            # by now the dump is whole
            self._shell.publish(ev.ProcessStalled(at=time.time(), id=child.id, age_s=round(age_s, 2), stack=line))
        self._maybe_hung(child, age_s, child.turns_at_stall, f"its loop stood still for {age_s:.1f} s")

    def resumed(self, child: Child) -> None:
        """Its loop turns again."""
        self._shell.publish(ev.ProcessResumed(at=time.time(), id=child.id))

    def stood_still(self, lag_s: float) -> None:
        """Time in which we could not have heard an answer counts for nobody."""
        for child in self._children.by_id.values():
            if child.pinged_at is not None:
                child.pinged_at += lag_s

    def sampled(self, figures: dict[int, dict[str, Any]], load: float | None, cpu: float | None, lag_s: float) -> None:
        """One slow tick: publish the figures, judge the load, ping."""
        if self._shell.settings.options.load == "jobs":
            load = self._core.jobs_load
        total = sum(f["memory_mb"] for f in figures.values())
        logs = self._shell.logs
        self._core.desk.tell(
            ev.Sampled(
                at=time.time(), processes=figures, load=load, cpu=cpu, memory_mb=round(total, 1),
                supervisor_lag_ms=round(lag_s * 1e3, 1), log_lines=logs.total, log_lines_dropped=logs.dropped,
                log_lines_kept=logs.kept, log_bytes_cut=logs.cut_bytes,
            )
        )  # fmt: skip
        now = self._shell.now()
        self._core.load_measured(load, now)
        self._core.heal_check(now)
        self._ping_all(now.mono)
        self._children.oom.look()
        self._children.helpers.look(self._children.by_id.values())
        self._measure_one()
        self._shell.flush()

    def _slow_start(self, child: Child, age_s: float) -> None:
        """A prewarm may block its loop for as long as `initialize_timeout`; its line is noted in case it does."""
        if age_s >= SLOW_START_S and not child.asked_for_stack:
            child.asked_for_stack = True
            child.signal(DUMP_SIGNAL, group=False)

    def _measure_one(self) -> None:
        """One exact reading of memory at a time: a job may have written to much of what it shared at first."""
        for child in self._children.by_id.values():
            if child.launched and child.files is not None and self.sampler.memory.due(child):
                self.sampler.memory.refresh(child)
                return

    def _maybe_hung(self, child: Child, age_s: float, turns_before: tuple[float, float], words: str) -> None:
        limit = self._shell.settings.options.ping_timeout
        if limit <= 0 or age_s < limit or age_s - _starved_s(child.pid, turns_before) < limit or _debugged(child.pid):
            return
        line = self._state.processes[child.id].stack
        text = f"{words}, ping_timeout {limit:g} s" + (f"; it stood at {line}" if line else "")
        self._core.doom(child.id, "hung", text, self._shell.now())
        self._shell.flush()

    def _ping_all(self, now: float) -> None:
        for process in self._state.live("idle", "busy"):  # one that leaves does not answer any more
            child = self._children.by_id[process.id]
            if child.pinged_at is not None:
                age_s = now - child.pinged_at
                self._maybe_hung(child, age_s, child.turns_at_ping, f"a ping was not answered for {age_s:.1f} s")
        if now < self._pinged_at + self._shell.settings.options.ping_interval:  # of now: it may have changed meanwhile
            return
        self._pinged_at = now
        for process in self._state.live("idle", "busy"):
            child = self._children.by_id[process.id]
            if child.pinged_at is None:
                child.pinged_at, child.turns_at_ping = now, turns_s(child.pid)
                child.send({"t": "ping", "n": 0})


def _starved_s(pid: int, before: tuple[float, float]) -> float:
    """How long it has waited for a CPU, if it has had next to none since: then it could not have moved."""
    ran, waited = turns_s(pid)
    return waited - before[1] if ran - before[0] < MOVES_IN_S else 0.0


def _debugged(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return any(line.startswith("TracerPid:") and int(line.split()[1]) for line in status)
    except OSError:
        return False  # it has gone: there is nothing left to kill either
