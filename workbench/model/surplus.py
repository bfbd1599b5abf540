"""Idle processes beyond the ones wanted: how many of them nobody has needed for a while. No I/O."""

from dataclasses import dataclass

STAY_S = 5.0


@dataclass(slots=True)
class Surplus:
    """A process that runs several jobs is idle again after each: to end it then, only to make another for the next
    job, would cost more than to keep it. So only those leave that were too many all the while."""

    since: float | None = None
    least: int = 0

    def unneeded(self, surplus: int, now: float, stay_s: float) -> int:
        """How many have been too many for `stay_s` seconds, now that there are `surplus`."""
        if surplus <= 0:
            self.since = None
            return 0
        if self.since is None:
            self.since, self.least = now, surplus
        self.least = min(self.least, surplus)
        if now - self.since < stay_s:
            return 0
        self.since = None
        return self.least
