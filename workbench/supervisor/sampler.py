"""Measuring: memory 20 times a second (of what has had a job), all else 4 times; stalls and hangs from the beats."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from workbench.process.beats import Beats
from workbench.process.child import Child
from workbench.process.sampling import CpuClock
from workbench.supervisor.memory import MemoryMeter

if TYPE_CHECKING:
    from workbench.model.state import State

FAST_S = 0.05
SLOW_EVERY = 5  # fast ticks
LOAD_WINDOW_S = 2.5
LOAD_NEEDS_S = 3.0
STALLED_S = 1.0
LATE_S = 0.5  # when the supervisor's own tick came this late, that time is nobody else's fault
GRACE_S = 2.0


class SamplerEvents(Protocol):
    """Whom the sampler reports to."""

    def memory_of(self, child: Child, memory_mb: float) -> None:
        """The tree of a process with a job, or with what one may have left in it."""

    def stalled(self, child: Child, age_s: float) -> None:
        """Its loop has not turned for more than a second; told at every slow tick."""

    def resumed(self, child: Child) -> None:
        """Its loop turns again."""

    def stood_still(self, lag_s: float) -> None:
        """The supervisor itself did not run for so long."""

    def sampled(self, figures: dict[int, dict[str, Any]], load: float | None, cpu: float | None, lag_s: float) -> None:
        """One slow tick is complete."""


class Sampler:
    """Reads what the kernel and the children's beats say."""

    def __init__(
        self, state: "State", beats: Beats, children: Callable[[], Iterable[Child]], events: SamplerEvents
    ) -> None:
        self._state, self._beats, self._children, self._events = state, beats, children, events
        self.clock = CpuClock()
        self.memory = MemoryMeter()
        self._began = time.monotonic()
        self._window: deque[tuple[float, float]] = deque()
        self._cpu_before: dict[int, tuple[float, float]] = {}
        self._share: dict[int, float] = {}
        self._accepted: deque[float] = deque()
        self._lost_s = 0.0  # how long the supervisor stood still, all in all
        self._beat: dict[int, tuple[float, float]] = {}  # the last beat of each child, and `_lost_s` when it came
        self._grace_until = 0.0
        self.longest_stall: tuple[float, float] = (0.0, 0.0)  # monotonic time and length of our own last one

    async def run(self) -> None:
        """Measure until cancelled."""
        due, turn = time.monotonic(), 0
        while True:
            due += FAST_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            lag = now - due
            if lag > LATE_S:  # we stood still ourselves (or were stopped): nobody else is to blame
                due = now
                self._stood_still(now, lag)
            turn += 1
            self._fast()
            if turn % SLOW_EVERY == 0:
                self._slow(now, lag)

    def job_accepted(self) -> None:
        """A job begins to cost before the measured load shows it."""
        self._accepted.append(time.monotonic())

    def forget(self, process_id: int) -> None:
        """The process has gone."""
        for table in (self._cpu_before, self._share, self._beat):
            table.pop(process_id, None)
        self.memory.forget(process_id)

    def load(self, now: float) -> float | None:
        """The contract's `cpu` load: recent busy share, plus what jobs accepted meanwhile will add."""
        if now - self._began < LOAD_NEEDS_S or not self._window:
            return None
        while self._accepted and self._accepted[0] < now - LOAD_WINDOW_S:
            self._accepted.popleft()
        mean = sum(share for _, share in self._window) / len(self._window)
        running = [self._share[p.id] for p in self._state.live("busy") if p.id in self._share]
        each = sum(running) / len(running) / self.clock.cpus if running else 0.0
        return round(min(mean + len(self._accepted) * each, 1.0), 3)

    def _stood_still(self, now: float, lag: float) -> None:
        self._grace_until = now + GRACE_S
        self._lost_s += lag
        self.longest_stall = (now, lag)
        self._events.stood_still(lag)

    def _fast(self) -> None:
        for child in list(self._children()):
            if child.files is not None and child.launched:  # when its job has ended, threads of it may still run
                self._events.memory_of(child, self.memory.estimate(child))

    def _slow(self, now: float, lag: float) -> None:
        figures = {}
        for child in list(self._children()):
            if child.files is None:
                continue
            at, loop_lag = self._beats.read(child.beat_slot)
            age = self._age(child, at, now) if at else None
            figures[child.id] = {
                "memory_mb": round(self.memory.estimate(child), 1),
                "cpu": self._cpu_of(child, now),
                "loop_lag_ms": None if age is None else round(loop_lag * 1e3, 1),
                "heartbeat_age_s": None if age is None else round(age, 2),
            }
            if age is not None and now >= self._grace_until:
                self._judge(child, age)
        cpu = self.clock.share(now)
        if cpu is not None:
            self._window.append((now, cpu))
        while self._window and self._window[0][0] < now - LOAD_WINDOW_S:
            self._window.popleft()
        self._events.sampled(figures, self.load(now), cpu, lag)

    def _age(self, child: Child, at: float, now: float) -> float:
        """Seconds since its last beat in which we ran ourselves."""
        last = self._beat.get(child.id)
        if last is None or last[0] != at:
            last = self._beat[child.id] = (at, self._lost_s)
        return max(0.0, now - at - (self._lost_s - last[1]))

    def _judge(self, child: Child, age_s: float) -> None:
        process = self._state.processes.get(child.id)
        if process is None:
            return
        if age_s >= STALLED_S:
            self._events.stalled(child, age_s)
        elif process.stalled:
            self._events.resumed(child)

    def _cpu_of(self, child: Child, now: float) -> float | None:
        assert child.files is not None
        before = self._cpu_before.get(child.id)
        if before is not None and now - before[0] < 0.45:
            return self._share.get(child.id)  # at 100 ticks a second a shorter span says little
        used = child.files.cpu_s()
        self._cpu_before[child.id] = (now, used)
        if before is None:
            return None
        self._share[child.id] = round(max(0.0, used - before[1]) / (now - before[0]), 3)
        return self._share[child.id]
