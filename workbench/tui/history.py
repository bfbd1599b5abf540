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
class History:
    """What the state's figures were."""

    load: deque[float] = field(default_factory=_series)
    worst_mb: deque[float] = field(default_factory=_series)
    processes: dict[int, Trend] = field(default_factory=dict)
    _last_at: float = 0.0

    def take(self, state: State, at: float) -> None:
        """Remember the present figures, unless the last ones are younger than a second."""
        if at - self._last_at < EVERY_S:
            return
        self._last_at = at
        self.load.append(state.load.load or 0.0)
        self.worst_mb.append(max((p.memory_mb or 0.0 for p in state.processes.values()), default=0.0))
        self.processes = {key: self.processes.get(key, Trend()) for key in state.processes}
        for key, process in state.processes.items():
            self.processes[key].cpu.append(process.cpu or 0.0)
            self.processes[key].memory_mb.append(process.memory_mb or 0.0)
