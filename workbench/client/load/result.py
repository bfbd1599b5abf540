"""What became of the jobs, as it is counted while they run."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.model.state import State


def percentile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank percentile: a value that was measured, no mean of two.

    None where there are too few to tell it from the greatest: p50 needs 2, p95 needs 20, p99 needs 100.
    """
    ranked = sorted(values)
    if len(ranked) * (1 - share) < 1 - 1e-9:
        return None
    return ranked[math.ceil(share * len(ranked) - 1e-9) - 1]


@dataclass(slots=True)
class Result:
    """The counts and measurements of one run. Times in ms; `planned` is when the plan wanted a job handed in.

    Attributes:
        starts: from acceptance to the entrypoint's first line, as the worker measured it.
        from_plan: from the planned time until it was heard that the entrypoint began; a worker that is slow to
            accept, or to start, is not flattered by it. Empty where the plan has no times.
        turns, first_words: from a line said to the whole reply, and to its beginning.
        silent: lines that got no reply.
        lost: accepted jobs whose end is not known.
    """

    planned: int | None = None
    handed_in: int = 0
    answered: int = 0
    accepted: int = 0
    running: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_ours: int = 0  # cancelled, but not by this run
    lost: int = 0
    warm: int = 0
    started: int = 0
    starts: list[float] = field(default_factory=list)
    from_plan: list[float] = field(default_factory=list)
    turns: list[float] = field(default_factory=list)
    first_words: list[float] = field(default_factory=list)
    silent: int = 0
    peak_job_mb: float | None = None
    peak_all_mb: float | None = None
    peak_load: float | None = None
    lines_dropped: int = 0
    duration_s: float = 0.0
    first_s: float | None = None  # when the first and the last one was answered
    last_s: float = 0.0
    stopped: bool = False
    trouble: str = ""

    @property
    def done(self) -> int:
        """Arrivals that need no more attention."""
        return self.answered - self.accepted + sum(self.ended.values()) + self.lost

    @property
    def good(self) -> bool:
        """Every job that was taken completed, or was cancelled by this run."""
        bad = any(status not in ("completed", "cancelled") for status, _ in self.ended)
        return not (bad or self.not_ours or self.lost or self.trouble)

    @property
    def warm_share(self) -> float | None:
        """The share of jobs that found a process ready."""
        return self.warm / self.started if self.started else None

    @property
    def rate_per_s(self) -> float | None:
        """How fast jobs were answered for, from the first to the last; None where that is one moment."""
        span_s = self.last_s - (self.first_s or 0.0)
        return (self.answered - 1) / span_s if self.answered > 1 and span_s > 0 else None

    def measure(self, state: State, mine: Container[str | None], dropped_before: int) -> None:
        """Look at the worker's newest measurements; `mine` holds the ids of the jobs of this run."""
        self.peak_load = _greater(self.peak_load, state.load.load)
        self.peak_all_mb = _greater(self.peak_all_mb, state.load.memory_mb)
        for process in state.processes.values():
            if process.job_id in mine:
                self.peak_job_mb = _greater(self.peak_job_mb, process.memory_mb)
        self.lines_dropped = max(state.counters["log_lines_dropped"] - dropped_before, 0)

    def count_end(self, status: str, reason: str | None, asked: bool) -> None:
        """A job of this run has ended; `asked`: this run wanted it to."""
        self.ended[status, reason or "-"] += 1
        self.not_ours += status == "cancelled" and not asked

    def to_json(self) -> dict[str, Any]:
        """For scripts: null where there is too little to tell."""
        ended: dict[str, dict[str, int]] = {}
        for (status, reason), number in sorted(self.ended.items()):
            ended.setdefault(status, {})[reason] = number
        return {
            "handed_in": self.handed_in,
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "ended": ended,
            "cancelled_by_others": self.not_ours,
            "lost": self.lost,
            "warm_share": _rounded(self.warm_share, 3),
            "start_latency_ms": _percentiles(self.starts, (50, 95, 99)),
            "plan_to_start_ms": _percentiles(self.from_plan, (50, 95, 99)),
            "turn_latency_ms": _percentiles(self.turns, (50, 95)),
            "first_words_ms": _percentiles(self.first_words, (50, 95)),
            "turns_without_reply": self.silent,
            "peak_job_memory_mb": _rounded(self.peak_job_mb, 1),
            "peak_memory_mb": _rounded(self.peak_all_mb, 1),
            "peak_load": _rounded(self.peak_load, 3),
            "log_lines_dropped": self.lines_dropped,
            "duration_s": round(self.duration_s, 3),
            "rate_per_s": _rounded(self.rate_per_s, 2),
            "stopped": self.stopped,
            "trouble": self.trouble,
            "good": self.good,
        }


def _percentiles(values: Sequence[float], wanted: tuple[int, ...]) -> dict[str, Any]:
    found = {f"p{number}": _rounded(percentile(values, number / 100), 2) for number in wanted}
    return {"samples": len(values), **found}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _greater(known: float | None, new: float | None) -> float | None:
    return known if new is None else new if known is None else max(known, new)
