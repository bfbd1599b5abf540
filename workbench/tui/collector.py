"""The garbage collector waits for a moment in which nobody types: a whole collection would let a key wait for 20 ms."""

import gc
import time
from collections.abc import Callable

QUIET_S = 2.0
EVERY_S = 20.0
AT_LAST_S = 300.0  # somebody who types for so long without a pause waits once


class Collector:
    """When the old generation is collected; the young ones stay the interpreter's.

    Args:
        collect: collects everything.
        clock: monotonic seconds.
    """

    def __init__(self, collect: Callable[[], object] = gc.collect, clock: Callable[[], float] = time.monotonic) -> None:
        self._collect, self._clock = collect, clock
        self._key_at = self._collected_at = clock()
        self._begun = False

    def begin(self) -> None:
        """From now on; what exists stays, and is looked through no more."""
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], 1_000_000)
        gc.enable()
        self._begun = True

    def key(self) -> None:
        """A key was pressed."""
        self._key_at = self._clock()

    def tick(self) -> None:
        """Collect, when it is time."""
        now = self._clock()
        since = now - self._collected_at
        if self._begun and since >= EVERY_S and (now - self._key_at >= QUIET_S or since >= AT_LAST_S):
            self._collect()
            self._collected_at = now
