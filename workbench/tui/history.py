"""A minute of measurements behind the trends: one value a second at most, for the worker and each process."""

from collections import deque
from dataclasses import dataclass, field

from workbench.model.state import State

KEPT = 60
EVERY_S = 1.0


def _series() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class Trend:
    """CPU and memory of one process."""

    cpu: deque[float] = field(default_factory=_series)
    memory_mb: deque[float] = field(default_factory=_series)


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
    load_over: Spell = field(default_factory=Spell)
    memory_over: Spell = field(default_factory=Spell)
    _last_at: float = 0.0

    def take(self, state: State, at: float) -> None:
        """Remember the present figures; of the trends one a second is enough."""
        worst_mb = max((p.memory_mb or 0.0 for p in state.processes.values()), default=0.0)
        threshold, warn_mb = state.option("load_threshold"), state.option("memory_warn_mb")
        self.load_over.see(bool(threshold) and (state.load.load or 0.0) >= threshold, at)
        self.memory_over.see(bool(warn_mb) and worst_mb >= warn_mb, at)
        if at - self._last_at < EVERY_S:
            return
        self._last_at = at
        self.load.append(state.load.load or 0.0)
        self.worst_mb.append(worst_mb)
        self.processes = {key: self.processes.get(key, Trend()) for key in state.processes}
        for key, process in state.processes.items():
            self.processes[key].cpu.append(process.cpu or 0.0)
            self.processes[key].memory_mb.append(process.memory_mb or 0.0)
