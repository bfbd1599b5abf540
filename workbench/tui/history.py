"""A minute of measurements behind the trends: one value a second at most, for the worker and each process."""

from collections import deque
from dataclasses import dataclass, field

from workbench.model.state import Process, State

KEPT = 60
EVERY_S = 1.0
ENDED_KEPT = 32


def _series() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class Trend:
    """CPU and memory of one process; lag of its loop and age of its heartbeat, the worst of each second."""

    cpu: deque[float] = field(default_factory=_series)
    memory_mb: deque[float] = field(default_factory=_series)
    lag_ms: deque[float] = field(default_factory=_series)
    beat_s: deque[float] = field(default_factory=_series)
    worst_lag_ms: float = 0.0
    worst_beat_s: float = 0.0

    def see(self, process: Process) -> None:
        """Take what may be over before the second is."""
        self.worst_lag_ms = max(self.worst_lag_ms, process.loop_lag_ms or 0.0)
        self.worst_beat_s = max(self.worst_beat_s, process.heartbeat_age_s or 0.0)

    def keep(self, process: Process) -> None:
        """The second is over."""
        self.see(process)
        self.cpu.append(process.cpu or 0.0)
        self.memory_mb.append(process.memory_mb or 0.0)
        self.lag_ms.append(self.worst_lag_ms)
        self.beat_s.append(self.worst_beat_s)
        self.worst_lag_ms = self.worst_beat_s = 0.0


@dataclass(slots=True)
class Spell:
    """Since when something has been over its mark."""

    since: float | None = None

    def see(self, over: bool, at: float) -> None:
        """Take what is so now."""
        if over and self.since is None:
            self.since = at
        elif not over:
            self.since = None


@dataclass(slots=True)
class History:
    """What the state's figures were."""

    load: deque[float] = field(default_factory=_series)
    worst_mb: deque[float] = field(default_factory=_series)
    processes: dict[int, Trend] = field(default_factory=dict)
    ended: dict[int, Trend] = field(default_factory=dict)  # the last that have, oldest first
    load_over: Spell = field(default_factory=Spell)
    memory_over: Spell = field(default_factory=Spell)
    _last_at: float = 0.0

    def take(self, state: State, at: float, *, sampled: bool = False) -> None:
        """Remember the present figures; of the trends one a second is enough.

        Args:
            sampled: the processes were measured just now.
        """
        worst_mb = max((p.memory_mb or 0.0 for p in state.processes.values()), default=0.0)
        threshold, warn_mb = state.option("load_threshold"), state.option("memory_warn_mb")
        self.load_over.see(bool(threshold) and (state.load.load or 0.0) >= threshold, at)
        self.memory_over.see(bool(warn_mb) and worst_mb >= warn_mb, at)
        if at - self._last_at < EVERY_S:
            if sampled:
                for key, trend in self.processes.items():
                    if key in state.processes:
                        trend.see(state.processes[key])
            return
        self._last_at = at
        self.load.append(state.load.load or 0.0)
        self.worst_mb.append(worst_mb)
        for key in self.processes.keys() - state.processes.keys():
            self.ended[key] = self.processes[key]
        while len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]
        self.processes = {key: self.processes.get(key, Trend()) for key in state.processes}
        for key, process in state.processes.items():
            self.processes[key].keep(process)
