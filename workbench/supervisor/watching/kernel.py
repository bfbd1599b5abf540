"""The kernel's news of changes: they only say when to look."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from workbench.supervisor.last_steps import ended
from workbench.supervisor.watching.tree import Identity

DEBOUNCE_MS = 50
STEP_MS = 10
TURN_MS = 5000  # how long one of watchfiles' threads waits; it is woken when it is to end
NO_WATCH = (OSError, RuntimeError)  # watchfiles' own error, when no watcher can be made, is of the second kind
AGAIN_S = 30.0  # a kernel that gave no watch may give one later


class Kernel:
    """Watches folders, not what lies below them.

    Args:
        counts: whether a changed path is worth a look.
        note: called with (level, text) of what a person should know.
    """

    def __init__(self, counts: Callable[[str], bool], note: Callable[[str, str], None]) -> None:
        self._counts, self._note = counts, note
        self.failure = ""  # why it tells of nothing
        self._places: dict[str, Identity] | None = None
        self._task: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._again_at = 0.0

    async def follow(self, places: dict[str, Identity]) -> bool:
        """Watch these folders from now on; True when that is new: what happened meanwhile was told by nobody."""
        lost = self._task is None or self._task.done()
        if places == self._places and (not lost or time.monotonic() < self._again_at):
            return False
        await self.close()
        self._places = dict(places)
        if not places:
            return True  # the project has gone
        self._task = asyncio.ensure_future(self._listen(sorted(places)))
        await asyncio.sleep(0)  # by then it has its watch, or none
        if not self._task.done():
            self.failure = ""
        return True

    async def heard(self, timeout_s: float) -> None:
        """Wait until something has changed that counts, or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), timeout_s)
        self._told.clear()

    async def close(self) -> None:
        """Watch nothing."""
        if self._task is not None:
            await ended(self._task)
            self._task = None

    async def _listen(self, folders: list[str]) -> None:
        from watchfiles import awatch

        try:
            async for _ in awatch(
                *folders, watch_filter=lambda _, path: self._counts(path), debounce=DEBOUNCE_MS, step=STEP_MS,
                rust_timeout=TURN_MS, recursive=False,
            ):  # fmt: skip
                self._told.set()
        except FileNotFoundError:
            self._again_at = 0.0  # a folder went while its watch was set: the next look does without it
        except NO_WATCH as error:
            self._again_at = time.monotonic() + AGAIN_S
            if str(error) != self.failure:
                self.failure = str(error)
                self._note("WARNING", f"the kernel does not tell of saves ({error}); looking twice a second")
