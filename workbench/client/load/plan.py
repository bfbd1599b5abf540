"""When which job is to be handed in, and what is done with it: fixed before the first one is."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workbench.model.durations import UNITS, seconds_of
from workbench.model.errors import UsageError
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS

DEFAULT_JOBS = 20
DEFAULT_RATE = 5.0  # a second
MOST = 1_000_000.0
LONGEST_PREFIX = 100  # of the 128 signs of a room's name
RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/\s*(s|m|h))?")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is poured in. `make` fills in what was not said.

    Attributes:
        jobs: how many; None while `duration_s` alone ends it.
        rate_per_s: the mean of arrivals, kept to whatever the worker does; None hands the next one in as soon as
            `concurrency` allows it.
        burst: how many arrive together.
        concurrency: most of them at a time; 0 sets no bound. An arrival that must wait is measured from its time.
        duration_s: arrivals end after so long; 0 for as long as there are jobs.
        hold_s: how long a job that is not talked to may run.
        say: what is said in each job's room, line by line.
        retry: a refused job is handed in again, until it is taken.
    """

    jobs: int | None
    rate_per_s: float | None
    burst: int = 1
    concurrency: int = 0
    duration_s: float = 0.0
    hold_s: float = 1.0
    say: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    room_prefix: str = ""
    force: bool = False
    retry: bool = False

    def arrivals(self) -> Iterator[float]:
        """Seconds from the beginning at which each job is due; without a rate all are due at once."""
        number = 0
        while self.jobs is None or number < self.jobs:
            at = 0.0 if self.rate_per_s is None else number // self.burst * self.burst / self.rate_per_s
            if self.duration_s and at >= self.duration_s:
                return
            yield at
            number += 1

    @property
    def total(self) -> int | None:
        """How many arrivals there will be; None where only the time ends them."""
        if not self.duration_s or self.rate_per_s is None:
            return self.jobs
        groups = math.ceil(self.duration_s * self.rate_per_s / self.burst - 1e-9)
        due = groups * self.burst
        return due if self.jobs is None else min(due, self.jobs)

    def room(self, number: int) -> str | None:
        """The room of a job; None lets the worker name it."""
        return f"{self.room_prefix}{number}" if self.room_prefix else None


def make_plan(
    *, jobs: int | None = None, rate_per_s: float | None = None, burst: int | None = None, concurrency: int = 0,
    duration_s: float = 0.0, **more: Any,
) -> Plan:  # fmt: skip
    """A plan of what was said, and the usual for what was not.

    Raises:
        UsageError: it cannot be done.
    """
    for name, number in (("jobs", jobs), ("burst", burst)):
        if number is not None and not 1 <= number <= MOST:
            raise UsageError(f"{name} must be from 1 to {MOST:,.0f}, not {number}")
    if not 0 <= concurrency <= MOST:
        raise UsageError(f"concurrency must be from 1 to {MOST:,.0f}, not {concurrency}")
    if rate_per_s is not None and not 0 < rate_per_s <= MOST:
        raise UsageError(f"rate must be more than 0 a second, and at most {MOST:,.0f}")
    prefix = more.get("room_prefix", "")
    if prefix and not (ROOM_ID.fullmatch(prefix) and len(prefix) <= LONGEST_PREFIX):
        raise UsageError(f"the prefix of rooms must be {ROOM_ID_WORDS.replace('128', str(LONGEST_PREFIX))}")
    if jobs is None and not duration_s:
        jobs = burst or DEFAULT_JOBS
    if rate_per_s is None and (burst is not None or not concurrency):
        rate_per_s = DEFAULT_RATE
    return Plan(jobs, rate_per_s, burst or 1, concurrency, duration_s, **more)


def span_of(text: str, what: str) -> float:
    """`30`, `30s`, `500ms`, `2m` as seconds.

    Raises:
        UsageError: it is no duration.
    """
    seconds = seconds_of(text, bare=True)
    if seconds is None or seconds > MOST:
        raise UsageError(f"{what} must be a duration like 30s, 500ms or 2m, not {text[:40]!r}")
    return seconds


def rate_of(text: str) -> float:
    """`5`, `5/s`, `300/m` as a rate a second.

    Raises:
        UsageError: it is no rate.
    """
    match = RATE.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= MOST:
        raise UsageError(f"rate must be jobs a second like 5 or 5/s, or 300/m, not {text[:40]!r}")
    return float(match[1]) / UNITS[match[2] or "s"]


def whole_of(text: str, what: str) -> int:
    """A whole number from 1 on.

    Raises:
        UsageError: it is none.
    """
    given = text.strip()
    if not (given.isascii() and given.isdecimal() and len(given) < 8 and int(given)):
        raise UsageError(f"{what} must be a whole number from 1 on, not {given[:40]!r}")
    return int(given)
