"""Measuring: memory of jobs 20 times a second, everything else 4 times; stalls and hangs from the beats."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from workbench.process.beats import Beats
from workbench.process.child import Child
from workbench.process.sampling import PAGE_MB, CpuClock, tree_pages

if TYPE_CHECKING:
    from workbench.model.state import State

FAST_S = 0.05
SLOW_EVERY = 5  # fast ticks
LOAD_WINDOW_S = 2.5
LOAD_NEEDS_S = 3.0
STALLED_S = 1.0
LATE_S = 0.5  # when the supervisor's own tick came this late, beats are not judged
GRACE_S = 2.0


class SamplerEvents(Protocol):
    """Whom the sampler reports to."""

    def memory_of(self, child: Child, memory_mb: float) -> None:
        """A job's process tree now."""

    def stalled(self, child: Child, age_s: float) -> None:
        """Its loop has not turned for more than a second; told at every slow tick."""

    def resumed(self, child: Child) -> None:
        """Its loop turns again."""

    def sampled(self, figures: dict[int, dict[str, Any]], load: float | None, cpu: float | None, lag_s: float) -> None:
        """One slow tick is complete."""


class Sampler:
    """Reads what the kernel and the children's beats say."""

    def __init__(
        self, state: "State", beats: Beats, children: Callable[[], Iterable[Child]], events: SamplerEvents
    ) -> None:
        self._state, self._beats, self._children, self._events = state, beats, children, events
        self.clock = CpuClock()
        self._began = time.monotonic()
        self._window: deque[tuple[float, float]] = deque()
        self._cpu_before: dict[int, tuple[float, float]] = {}
        self._share: dict[int, float] = {}
        self._accepted: deque[float] = deque()
        self._has_children: set[int] = set()
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
                self._grace_until = now + GRACE_S
                self.longest_stall = (now, lag)
                due = now
            turn += 1
            self._fast()
            if turn % SLOW_EVERY == 0:
                self._slow(now, lag)

    def job_accepted(self) -> None:
        """A job begins to cost before the measured load shows it."""
        self._accepted.append(time.monotonic())

    def forget(self, child: Child) -> None:
        """The process has gone."""
        self._cpu_before.pop(child.id, None)
        self._share.pop(child.id, None)
        self._has_children.discard(child.id)

    def _fast(self) -> None:
        for child in list(self._children()):
            if child.job_id is not None and child.files is not None:
                self._events.memory_of(child, self._memory_mb(child))

    def _memory_mb(self, child: Child) -> float:
        assert child.files is not None
        pages = tree_pages(child.files) if child.id in self._has_children else child.files.memory_pages()
        return pages * PAGE_MB

    def _slow(self, now: float, lag: float) -> None:
        figures = {}
        for child in list(self._children()):
            if child.files is None:
                continue
            (self._has_children.add if child.files.children() else self._has_children.discard)(child.id)
            at, loop_lag = self._beats.read(child.beat_slot)
            age = max(0.0, now - at) if at else None
            figures[child.id] = {
                "memory_mb": round(self._memory_mb(child), 1),
                "cpu": self._cpu_of(child, now),
                "loop_lag_ms": round(loop_lag * 1e3, 1) if at else None,
                "heartbeat_age_s": None if age is None else round(age, 2),
            }
            if age is not None and now >= self._grace_until:
                self._judge(child, age)
        cpu = self.clock.share(now)
        if cpu is not None:
            self._window.append((now, cpu))
        while self._window and self._window[0][0] < now - LOAD_WINDOW_S:
            self._window.popleft()
        self._events.sampled(figures, self._load(now), cpu, lag)

    def _judge(self, child: Child, age_s: float) -> None:
        process = self._state.processes.get(child.id)
        if process is None or process.state == "dead":
            return
        if age_s >= STALLED_S:
            self._events.stalled(child, age_s)
        elif process.stalled:
            self._events.resumed(child)

    def _cpu_of(self, child: Child, now: float) -> float | None:
        assert child.files is not None
        used = child.files.cpu_s()
        before = self._cpu_before.get(child.id)
        if before is not None and now - before[0] < 0.45:
            return self._share.get(child.id)  # at 100 ticks a second a shorter span says little
        self._cpu_before[child.id] = (now, used)
        if before is None:
            return None
        self._share[child.id] = round(max(0.0, used - before[1]) / (now - before[0]), 3)
        return self._share[child.id]

    def _load(self, now: float) -> float | None:
        """The contract's `cpu` load: recent busy share, plus what jobs accepted meanwhile will add."""
        if now - self._began < LOAD_NEEDS_S or not self._window:
            return None
        while self._accepted and self._accepted[0] < now - LOAD_WINDOW_S:
            self._accepted.popleft()
        mean = sum(share for _, share in self._window) / len(self._window)
        running = [self._share[p.id] for p in self._state.live("busy") if p.id in self._share]
        each = sum(running) / len(running) / self.clock.cpus if running else 0.0
        return round(min(mean + len(self._accepted) * each, 1.0), 3)
