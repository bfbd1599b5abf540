"""Whether a job is taken, and why not: one place, so that every answer and every screen says the same."""

from dataclasses import dataclass

from workbench.model.options import Options
from workbench.model.state import State

REOPEN_BELOW = 0.05
REOPEN_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` is the worker's contract word; a job is refused unless it is `ready`."""

    status: str
    why: str


@dataclass(slots=True)
class LoadGate:
    """Closes at the threshold, reopens below it minus 0.05 for 2 s: no flapping."""

    closed: bool = False
    low_since: float | None = None

    def update(self, load: float | None, threshold: float, now: float) -> bool:
        """Fold one measurement; True while the gate is closed. None means too few samples: open."""
        if load is None or load >= threshold:
            self.low_since = None
            self.closed = load is not None
        elif self.closed:
            if load >= threshold - REOPEN_BELOW:
                self.low_since = None
            elif self.low_since is None:
                self.low_since = now
            elif now - self.low_since >= REOPEN_AFTER_S:
                self.closed, self.low_since = False, None
        return self.closed


def judge(state: State, options: Options, gate_closed: bool, *, forced: bool = False) -> Verdict:
    """Whether the worker would take a job now. `forced` overrides the load only."""
    worker, active = state.worker, len(state.active_jobs())
    if worker.stopping:
        return Verdict("stopping", "the worker is ending")
    if worker.draining:
        return Verdict("draining", f"{worker.drain_why}; {active} jobs left")
    if worker.degraded:
        return Verdict("degraded", worker.held_why)
    if worker.generation == 0:
        if state.reload.problem is not None:
            return Verdict("starting", f"the agent cannot be loaded: {state.reload.problem['message']}")
        return Verdict("starting", "loading the agent")
    if active >= options.max_processes:
        return Verdict("full", f"{active} jobs of max_processes {options.max_processes}")
    if gate_closed and not forced:
        load = state.load.load
        return Verdict("over_load", _over(load, options.load_threshold))
    return Verdict("ready", f"{active} of {options.max_processes} jobs")


def _over(load: float | None, threshold: float) -> str:
    """The figure and what it is held against; below the threshold, what the gate still waits for."""
    if load is None or load >= threshold:
        return f"load{'' if load is None else f' {load:.2f}'}, load_threshold {threshold:g}"
    wait = f"{REOPEN_AFTER_S:g} s below {threshold - REOPEN_BELOW:.2f}"
    return f"load {load:.2f}, load_threshold {threshold:g}; jobs are taken after {wait}"
