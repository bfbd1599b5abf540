"""Heartbeats in shared memory: each child's loop writes the time, the supervisor reads all of them for nothing.

A socket would need the child's loop to answer; a page of memory shows the age of the last turn even when the
loop stands still, and reading a hundred of them costs microseconds.
"""

import asyncio
import mmap
import os
import struct
import time

INTERVAL_S = 0.25
SLOTS = 2048
_SLOT = struct.Struct("dd")  # monotonic time of the last beat, lag of the loop at that beat; both seconds
_SIZE = SLOTS * _SLOT.size


def create() -> int:
    """A descriptor of the shared page, to be inherited by every child."""
    fd = os.memfd_create("workbench-beats", os.MFD_CLOEXEC)
    os.ftruncate(fd, _SIZE)
    return fd


class Beats:
    """The page as one side sees it."""

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, _SIZE)

    def read(self, slot: int) -> tuple[float, float]:
        """Monotonic time of the last beat (0 before the first), and the loop's lag at it."""
        at, lag = _SLOT.unpack_from(self._page, slot * _SLOT.size)
        return at, lag

    def write(self, slot: int, at: float, lag: float) -> None:
        """One beat."""
        _SLOT.pack_into(self._page, slot * _SLOT.size, at, lag)

    def clear(self, slot: int) -> None:
        """Before a slot goes to a new child; only after the last one was reaped."""
        self.write(slot, 0.0, 0.0)

    def close(self) -> None:
        """Unmap the page."""
        self._page.close()


def start_beating(beats: Beats, slot: int, loop: asyncio.AbstractEventLoop) -> None:
    """Let `loop` write its beat four times a second for as long as it turns."""

    def beat(due: float) -> None:
        now = time.monotonic()
        beats.write(slot, now, max(0.0, now - due))
        loop.call_later(INTERVAL_S, beat, now + INTERVAL_S)

    beat(time.monotonic())
