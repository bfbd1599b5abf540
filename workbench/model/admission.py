"""Whether a job is taken, and why not: one place, so that every answer and every screen says the same."""

import math
from dataclasses import dataclass

from workbench.model.backoff import WINDOW_S
from workbench.model.options import Options
from workbench.model.state import State
from workbench.model.text import plural

STATUSES = ("starting", "ready", "full", "over_load", "draining", "degraded", "stopping")
REOPEN_BELOW = 0.05
REOPEN_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` is one of `STATUSES`, a job is refused unless it is `ready`; `why` names what it was decided by."""

    status: str
    why: str


@dataclass(slots=True)
class LoadGate:
    """Closes at the threshold, reopens below it minus 0.05 for 2 s: no flapping."""

    closed: bool = False
    low_since: float | None = None
    load: float | None = None  # the measurement that was folded last

    def update(self, load: float | None, threshold: float, now: float) -> bool:
        """Fold one measurement; True while the gate is closed. None means too few samples: open."""
        self.load = load
        if load is None or threshold == math.inf:
            self.closed, self.low_since = False, None
        elif load >= threshold:
            self.closed, self.low_since = True, None
        elif self.closed:
            if load >= threshold - REOPEN_BELOW:
                self.low_since = None
            elif self.low_since is None:
                self.low_since = now
            elif now - self.low_since >= REOPEN_AFTER_S:
                self.closed, self.low_since = False, None
        return self.closed


def judge(state: State, options: Options, gate: LoadGate, *, forced: bool = False) -> Verdict:
    """Whether the worker would take a job now. `forced` overrides the load only."""
    worker, active = state.worker, len(state.active_jobs())
    kept = f" and {plural(worker.reserved, 'reserved slot')}" if worker.reserved else ""
    if worker.stopping:
        return Verdict("stopping", f"{worker.stop_why}; {plural(active, 'job')} left")
    if worker.draining:
        return Verdict("draining", f"{worker.drain_why}; {plural(active, 'job')} left")
    if worker.degraded:
        return Verdict("degraded", f"{worker.held_failures} failures within {WINDOW_S:g} s: {worker.held_why}")
    if worker.generation == 0:
        return Verdict("starting", _loading(state))
    if active + worker.reserved >= options.max_processes:
        return Verdict("full", f"{plural(active, 'job')}{kept} of max_processes {options.max_processes}")
    if gate.closed and not forced:
        return Verdict("over_load", _over(gate.load, options.load_threshold))
    return Verdict("ready", f"{active} of {options.max_processes} jobs{kept}")


def _loading(state: State) -> str:
    """How far the first generation is, or why there is none."""
    reload = state.reload
    if reload.problem is not None:
        return f"the agent cannot be loaded: {reload.problem['message']}"
    if reload.step not in ("loading", "warming"):
        return "loading the agent"
    at = f", it stands at {reload.detail}" if reload.detail else ""
    return f"loading the agent: generation {reload.generation} is {reload.step}{at}"


def _over(load: float | None, threshold: float) -> str:
    """The figure and what it is held against; below the threshold, what the gate still waits for."""
    if load is None or load >= threshold:
        return f"load{'' if load is None else f' {load:.2f}'}, load_threshold {threshold:g}"
    wait = f"{REOPEN_AFTER_S:g} s below {threshold - REOPEN_BELOW:.2f}"
    return f"load {load:.2f}, load_threshold {threshold:g}; jobs are taken after {wait}"
