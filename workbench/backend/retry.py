"""When a lost link is tried again. No I/O."""

import random

FIRST_S = 5.0
LONGEST_S = 30.0
STABLE_S = 30.0  # a link that held for so long ends the count of tries


class Retry:
    """Failures in a row, and the wait after each: full jitter, so that many workers do not come back in step.

    A link that registers and drops counts like one that never came up, unless it held for `STABLE_S`.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._up_since: float | None = None
        self.failures = 0

    def up(self, now: float) -> None:
        """The link is registered."""
        self._up_since = now

    def failed(self, now: float, most: int, at_least_s: float = 0.0) -> float | None:
        """The link could not be had, or was lost: the seconds until the next try; None when the tries are used up.

        Args:
            most: tries in a row; 0 is without end.
            at_least_s: what the registry asked for.
        """
        if self._up_since is not None and now - self._up_since >= STABLE_S:
            self.failures = 0
        self._up_since = None
        self.failures += 1
        if 0 < most <= self.failures:
            return None
        longest = min(LONGEST_S, FIRST_S * 2 ** min(self.failures - 1, 10))
        return at_least_s + self._rng.uniform(0, longest)

    def start_again(self) -> None:
        """Somebody asked for a try now: the count begins anew."""
        self.failures, self._up_since = 0, None
