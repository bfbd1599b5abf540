"""Heartbeats in shared memory: each child's loop writes the time, the supervisor reads all of them for nothing.

A socket would need the child's loop to answer; a page of memory shows the age of the last turn even when the
loop stands still, and reading a hundred of them costs microseconds.
"""

import asyncio
import fcntl
import itertools
import mmap
import os
import struct
import time

INTERVAL_S = 0.25
SLOTS = 2048
_BEAT = struct.Struct("dd")  # monotonic time of the last beat, lag of the loop at that beat; both seconds
_TAKEN = struct.Struct("d")  # how many jobs it has read: asked for only when it has died
_SLOT_SIZE = _BEAT.size + _TAKEN.size
HELPERS = 1024
_HELPER = struct.Struct("qq")  # pid of a helper, and when it was started, in kernel ticks
_HELPERS_AT = SLOTS * _SLOT_SIZE
_SIZE = _HELPERS_AT + HELPERS * _HELPER.size


def create() -> int:
    """A descriptor of the shared page, to be inherited by every child."""
    fd = os.memfd_create("workbench-beats", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _SIZE)
    # An agent that writes to every descriptor it finds would write into the beats of others: what is written by the
    # descriptor goes to the end, and there is no room.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    return fd


class Beats:
    """The page as one side sees it."""

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, _SIZE)

    def read(self, slot: int) -> tuple[float, float]:
        """Monotonic time of the last beat (0 before the first), and the loop's lag at it."""
        at, lag = _BEAT.unpack_from(self._page, slot * _SLOT_SIZE)
        return at, lag

    def write(self, slot: int, at: float, lag: float) -> None:
        """One beat."""
        _BEAT.pack_into(self._page, slot * _SLOT_SIZE, at, lag)

    def take(self, slot: int, jobs: int) -> None:
        """The child has read that many jobs."""
        _TAKEN.pack_into(self._page, slot * _SLOT_SIZE + _BEAT.size, jobs)

    def taken(self, slot: int) -> int:
        """How many jobs the child has read."""
        return int(_TAKEN.unpack_from(self._page, slot * _SLOT_SIZE + _BEAT.size)[0])

    def clear(self, slot: int) -> None:
        """Before a slot goes to a new child; only after the last one was reaped."""
        self.write(slot, 0.0, 0.0)
        self.take(slot, 0)

    def note_helpers(self, started: dict[int, int]) -> None:
        """The helpers of all jobs, by pid with when each was started: whom to end if the supervisor cannot."""
        known = list(started.items())[:HELPERS]
        for number, (pid, start) in enumerate([*known, (0, 0)][:HELPERS]):
            _HELPER.pack_into(self._page, _HELPERS_AT + number * _HELPER.size, pid, start)

    def helpers(self) -> dict[int, int]:
        """What was noted last."""
        noted = self._page[_HELPERS_AT:]
        return dict(itertools.takewhile(lambda one: one[0], _HELPER.iter_unpack(noted)))

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
