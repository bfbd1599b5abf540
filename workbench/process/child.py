"""The supervisor's end of one child: its channel, its output, its beat, its figures in procfs."""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections import deque
from typing import Protocol

from workbench.agent.problem import Problem
from workbench.process import speech, wire
from workbench.process.pipes import LinePipe
from workbench.process.sampling import ProcFiles

MAX_UNSENT = 8 * 1024 * 1024
MOST_AT_ONCE = 64 * 1024  # bytes of frames that are heard before others have their turn
DUMP_KEPT = 400  # lines of stack dumps: the last ones may be its last words


class ChildEvents(Protocol):
    """Whom a child reports to."""

    def child_said(self, child: "Child", said: speech.Said) -> None:
        """A frame of its channel, understood."""

    def child_closed(self, child: "Child") -> None:
        """Its channel is closed: mostly it has just ended."""

    def child_spoilt(self, child: "Child", why: str) -> None:
        """Its channel cannot be used any more."""

    def child_wrote(self, child: "Child", lines: list[bytes], cut: int) -> None:
        """Raw output."""

    def child_logged(self, child: "Child", lines: list[bytes], cut: int) -> None:
        """Lines of the records pipe: JSON records, and stack dumps between them."""


class Child:
    """A job's process. Made before the process exists: its slot and descriptors come first."""

    def __init__(self, process_id: int, generation: int, beat_slot: int, events: ChildEvents) -> None:
        self.id = process_id
        self.generation = generation
        self.beat_slot = beat_slot
        self.asked_at = time.monotonic()
        self.pid = 0
        self.killed = False  # by us
        self.ended = False  # reaped: its pid may be somebody else's by now
        self.job_id: str | None = None
        self.launched = 0  # jobs it was sent
        self.files: ProcFiles | None = None
        self.helpers: list[int] = []  # what it started, as last seen
        self.dump: deque[str] = deque(maxlen=DUMP_KEPT)
        self.dumped_at: float | None = None  # when the last piece of it came
        self.tasks: list[str] | None = None  # where its tasks waited then, if it could tell
        self.asked: asyncio.Event | None = None  # set for who waits for a dump, whenever a piece of it came
        self.init_problem: Problem | None = None  # why it could not become ready, in its own words
        self.ready_ms: float | None = None  # it was ready before its pid was known
        self.pinged_at: float | None = None
        self.turns_at_ping = self.turns_at_stall = (0.0, 0.0)  # see `sampling.turns_s`
        self.asked_for_stack = False
        self.unknown = 0  # messages of kinds that this version does not know
        self._events = events
        self._decoder = wire.Decoder()
        self._unsent = bytearray()
        self._reading = False
        self._sock, self._far = socket.socketpair()
        self._sock.setblocking(False)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._sock.close)
            on_failure.callback(self._far.close)
            self.output = LinePipe(lambda lines, cut: events.child_wrote(self, lines, cut))
            on_failure.callback(self.output.close)
            self.records = LinePipe(lambda lines, cut: events.child_logged(self, lines, cut))
            on_failure.pop_all()

    def far_fds(self) -> list[int]:
        """What the child gets: channel, output, records."""
        return [self._far.fileno(), self.output.write_fd, self.records.write_fd]

    def handed_over(self) -> None:
        """The far ends are in the child's hands (or in flight to it)."""
        self._far.close()
        self.output.close_write()
        self.records.close_write()
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)
        self._reading = True
        self.output.start()
        self.records.start()

    def born(self, pid: int) -> None:
        """The kernel's name for it is known.

        Raises:
            OSError: no descriptors are left to watch it by.
        """
        self.pid = pid
        self.files = ProcFiles(pid)

    def send(self, message: dict[str, object]) -> None:
        """Send a frame; never blocks. A child that does not read is cut off at `MAX_UNSENT`."""
        if not self._reading:
            return
        data = wire.encode(message)
        if len(self._unsent) + len(data) > MAX_UNSENT:
            self._spoilt(f"it does not read: {len(self._unsent)} bytes wait")
            return
        self._unsent += data
        self._flush()

    def begin_dump(self) -> None:
        """What comes from now on is a dump of its own."""
        self.dump.clear()
        self.dumped_at = self.tasks = None

    def signal(self, number: int, *, group: bool) -> None:
        """Signal the process, or its whole group; one that has gone is no error."""
        if self.pid and not self.ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self.pid, number)

    def hear_out(self) -> None:
        """Take what it has printed and logged so far: what it says next on its channel came after that."""
        self.output.drain()
        self.records.drain()

    def close(self) -> None:
        """Take what it still had to say, then let go of every descriptor. Call it after the reaping."""
        if self._reading:
            while self._read():
                continue
            self._stop_reading()
        self._sock.close()
        self._far.close()
        self.output.close()
        self.records.close()
        if self.files is not None:
            self.files.close()

    def _stop_reading(self) -> None:
        if self._reading:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._reading = False

    def _spoilt(self, why: str) -> None:
        self._stop_reading()
        self._events.child_spoilt(self, why)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except BlockingIOError:
                loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self._unsent.clear()  # it is going: the reaper tells how
                break
            del self._unsent[:sent]
        loop.remove_writer(self._sock.fileno())

    def _read(self) -> bool:
        try:
            data = self._sock.recv(MOST_AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # reset: it died with frames of ours unread
        if not data:
            self._stop_reading()
            self._events.child_closed(self)
            return False
        try:
            said = [speech.understand(message) for message in self._decoder.feed(data)]
        except wire.WireError as error:
            self._spoilt(f"it does not speak our protocol: {error}")
            return False
        for one in said:
            self._events.child_said(self, one)
        return self._reading


def parse_record(line: bytes) -> tuple[str, str, str] | None:
    """Level, logger and text of a structured record; None for a line of a stack dump."""
    if not line.startswith(b"["):
        return None
    try:
        level, logger, text = json.loads(line)
        return (str(level), str(logger), str(text)) if isinstance(text, str) else None
    except (ValueError, TypeError, RecursionError):
        return None
