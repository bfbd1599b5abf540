"""How much memory a job's process tree really holds: a cheap figure 20 times a second, put right by an exact one.

The cheap figure is the resident memory of the tree. It holds pages that are nobody's own: those of the zygote, of
libraries, of forked helpers. What they come to is learnt by an exact reading now and then, and before a job is judged.
"""

import time
from dataclasses import dataclass

from workbench.process.child import Child
from workbench.process.sampling import PAGE_MB, exact_mb, resident_mb

EXACT_EVERY_S = 2.0
EXACT_BEFORE_JUDGING_S = 0.25
FEW_HELPERS = 32  # of more than these each is looked at only every so often
HELPERS_EVERY_S = 0.25
COST_SHARE = 50  # never spend more than one part in so many on exact readings of one process


@dataclass(slots=True)
class Known:
    """What is known of one tree: how much of its resident memory is not its own, since when, until when to trust it."""

    shared_mb: float
    due: float = 0.0
    at: float = 0.0
    helpers: tuple[int, ...] = ()  # those it was learnt of


class MemoryMeter:
    """Measures trees. Exact readings of one cost 1 ms for 100 MB."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._helpers: dict[int, tuple[float, float]] = {}  # many helpers' memory, and when it was read
        self._fresh: dict[int, float] = {}  # shared memory of a fresh process, by generation

    def learn(self, child: Child) -> None:
        """A process has just become ready: what it shares now, its siblings do, too."""
        shared_mb = self._fresh.get(child.generation)
        if shared_mb is None:
            exact = exact_mb(child.pid, ())
            shared_mb = self._resident(child) - exact if exact is not None else 0.0
            self._fresh = {child.generation: shared_mb}
        self._known[child.id] = Known(shared_mb, time.monotonic() + EXACT_EVERY_S)

    def forget(self, process_id: int) -> None:
        """The process has gone."""
        self._known.pop(process_id, None)
        self._helpers.pop(process_id, None)

    def estimate(self, child: Child) -> float:
        """Megabytes of the tree now; microseconds."""
        known = self._known.get(child.id)
        return max(0.0, self._resident(child) - (known.shared_mb if known is not None else 0.0))

    def judged(self, child: Child, estimate_mb: float) -> float:
        """A figure to judge by: exact, unless an exact one of the same processes was had a moment ago."""
        known = self._known.get(child.id)
        now = time.monotonic()
        if known is None or now - known.at >= EXACT_BEFORE_JUDGING_S or known.helpers != tuple(child.helpers):
            return self.refresh(child)  # what a new helper shares is not known yet
        return estimate_mb

    def due(self, child: Child) -> bool:
        """An exact reading should be had again."""
        known = self._known.get(child.id)
        return known is None or time.monotonic() >= known.due

    def refresh(self, child: Child) -> float:
        """Read exactly; the figure."""
        began = time.monotonic()
        resident = self._resident(child)
        exact = exact_mb(child.pid, child.helpers)
        now = time.monotonic()
        known = self._known.setdefault(child.id, Known(0.0))
        known.due = now + max(EXACT_EVERY_S, COST_SHARE * (now - began))
        if exact is None:
            return max(0.0, resident - known.shared_mb)
        known.shared_mb, known.at, known.helpers = resident - exact, now, tuple(child.helpers)
        return exact

    def _resident(self, child: Child) -> float:
        assert child.files is not None
        own_mb = child.files.memory_pages() * PAGE_MB
        return own_mb + self._of_helpers(child) if child.helpers else own_mb

    def _of_helpers(self, child: Child) -> float:
        if len(child.helpers) <= FEW_HELPERS:
            return resident_mb(child.helpers)
        now, (mb, at) = time.monotonic(), self._helpers.get(child.id, (0.0, float("-inf")))
        if now - at >= HELPERS_EVERY_S:
            mb = resident_mb(child.helpers)
            self._helpers[child.id] = mb, now
        return mb
