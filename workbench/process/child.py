"""The supervisor's end of one child: its channel, its output, its beat, its figures in procfs."""

import asyncio
import json
import os
import signal
import socket
from typing import Any, Protocol

from workbench.process import wire
from workbench.process.pipes import LinePipe
from workbench.process.sampling import ProcFiles

MAX_UNSENT = 8 * 1024 * 1024


class ChildEvents(Protocol):
    """Whom a child reports to."""

    def child_said(self, child: "Child", message: dict[str, Any]) -> None:
        """A frame of its channel."""

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
        self.pid = 0
        self.job_id: str | None = None
        self.files: ProcFiles | None = None
        self.dump: list[str] = []
        self._events = events
        self._sock, self._far = socket.socketpair()
        self._sock.setblocking(False)
        self._decoder = wire.Decoder()
        self._unsent = bytearray()
        self._reading = False
        self.output = LinePipe(lambda lines, cut: events.child_wrote(self, lines, cut))
        self.records = LinePipe(lambda lines, cut: events.child_logged(self, lines, cut))

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
        """The kernel's name for it is known."""
        self.pid = pid
        self.files = ProcFiles(pid)

    def send(self, message: dict[str, Any]) -> None:
        """Send a frame; never blocks. A child that does not read is cut off at `MAX_UNSENT`."""
        if not self._reading:
            return
        data = wire.encode(message)
        if len(self._unsent) + len(data) > MAX_UNSENT:
            self._spoilt(f"it does not read: {len(self._unsent)} bytes wait")
            return
        self._unsent += data
        self._flush()

    def signal(self, number: int, *, group: bool) -> None:
        """Signal the process, or its whole group; one that has gone is no error."""
        if not self.pid:
            return
        try:
            if group:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            if group and number == signal.SIGKILL:  # forked, but not yet the leader of its own group
                self.signal(number, group=False)

    def close(self) -> None:
        """Take what it still had to say, then let go of every descriptor. Call it once, after the reaping."""
        if self._reading:
            while self._read():
                pass
            self._stop_reading()
        self._sock.close()
        if self._far.fileno() >= 0:
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
            data = self._sock.recv(256 * 1024)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # reset: it died with frames of ours unread
        if not data:
            self._stop_reading()
            self._events.child_closed(self)
            return False
        try:
            for message in self._decoder.feed(data):
                self._events.child_said(self, message)
        except (wire.WireError, KeyError, TypeError, ValueError) as error:
            self._spoilt(f"it does not speak our protocol: {error}")
            return False
        return self._reading


def parse_record(line: bytes) -> tuple[str, str, str] | None:
    """Level, logger and text of a structured record; None for a line of a stack dump."""
    if not line.startswith(b"["):
        return None
    try:
        level, logger, text = json.loads(line)
    except (ValueError, TypeError):
        return None
    return str(level), str(logger), str(text)
