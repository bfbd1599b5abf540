"""How fast a dying process may be replaced: at once, then ever later, then only as a probe."""

import random
from collections import deque
from dataclasses import dataclass, field

BUDGET = 5
WINDOW_S = 60.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


@dataclass(slots=True)
class Backoff:
    """Failures in a sliding window. Full jitter keeps many workers from moving in step."""

    rng: random.Random = field(default_factory=random.Random)
    failures: deque[float] = field(default_factory=deque)
    held_until: float = 0.0
    degraded: bool = False

    def failed(self, now: float) -> float:
        """Note a failure; the seconds to wait before the next start."""
        self.failures.append(now)
        while self.failures and self.failures[0] <= now - WINDOW_S:
            self.failures.popleft()
        count = len(self.failures)
        if count >= BUDGET:
            self.degraded = True
        if self.degraded:
            delay = LONGEST_DELAY_S
        elif count == 1:
            delay = 0.0
        else:
            delay = self.rng.uniform(0, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (count - 2)))
        self.held_until = now + delay
        return delay

    def healed(self) -> bool:
        """Note a process that stayed; True when this ends a hold or a degraded state."""
        was = self.degraded or bool(self.failures)
        self.failures.clear()
        self.degraded, self.held_until = False, 0.0
        return was

    def may_start(self, now: float) -> bool:
        """No hold stands in the way."""
        return now >= self.held_until
