"""The answers to "does it live", "may it get jobs", "is all well", by the contract's table."""

from dataclasses import dataclass
from typing import Any

from workbench.model.state import State

STALL_LIMIT_S = 5.0
STALL_SHOWN_S = 15.0
READY = frozenset({"ready", "full", "over_load"})


@dataclass(frozen=True, slots=True)
class Health:
    """Three verdicts and the checks behind them."""

    live: bool
    ready: bool
    status: str
    checks: dict[str, dict[str, Any]]

    @property
    def healthy(self) -> bool:
        """What `/health` answers with 200."""
        return self.status in ("ok", "draining", "degraded")


def examine(state: State, now_mono: float, stall: tuple[float, float]) -> Health:
    """Judge the state.

    Args:
        stall: when (monotonic) and for how many seconds the supervisor's loop last stood still. While it
            stands nobody is answered; a stall of over 5 s is told for some seconds after it, too.
    """
    worker, link = state.worker, state.link
    at, length_s = stall
    stalled = length_s > STALL_LIMIT_S and now_mono - at < STALL_SHOWN_S
    loaded = worker.generation > 0
    link_ok = link.state in ("local", "connected")
    checks = {
        "loop": {"ok": not stalled, "detail": f"stood still for {length_s:.1f} s" if stalled else "turns"},
        "agent": {"ok": loaded, "detail": f"generation {worker.generation}" if loaded else worker.why},
        "admission": {"ok": worker.status in READY, "detail": f"{worker.status}: {worker.why}"},
        "processes": {"ok": not worker.degraded, "detail": worker.held_why or "start and stay"},
        "link": {"ok": link_ok, "detail": f"{link.state}: {link.why}"},
    }
    if stalled:
        status = "stalled"
    elif worker.degraded:
        status = "failing"
    elif not loaded:
        status = "starting"
    elif worker.draining or worker.stopping:
        status = "draining"
    elif not link_ok:
        status = "degraded"
    else:
        status = "ok"
    ready = status == "ok"
    return Health(not stalled, ready, status, checks)
