"""Output of children: pipes that are always drained, lines that are bounded, losses that are counted."""

import asyncio
import os
from collections.abc import Callable

READ_SIZE = 256 * 1024
LONGEST_LINE = 64 * 1024
READS_PER_TURN = 4  # one flooding child cannot starve the others


class LinePipe:
    """The reading end of a child's output. `lines(batch, cut)` gets whole lines as bytes, without newlines.

    A line longer than `LONGEST_LINE` is cut, and says at its end how much is missing; `cut` says how many bytes of
    the batch were left out.
    """

    def __init__(self, lines: Callable[[list[bytes], int], None]) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self._lines = lines
        self._tail = b""
        self._skipping = 0
        self._open = False

    def start(self) -> None:
        """Read on the running loop."""
        asyncio.get_running_loop().add_reader(self.read_fd, self._readable)
        self._open = True

    def close_write(self) -> None:
        """Close our copy of the writing end, once the child has its own."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def drain(self) -> None:
        """Take what is in the pipe now: its writer has said something elsewhere that comes after it."""
        if self.read_fd >= 0:
            for _ in range(READS_PER_TURN):
                if not self._read_some():
                    return

    def close(self) -> None:
        """Take what is in the pipe, then close it; a helper that still holds the other end is not waited for."""
        self.close_write()
        if self.read_fd < 0:
            return
        for _ in range(64):
            if not self._read_some():
                break
        if self._tail:
            self._lines([_marked(self._tail, self._skipping)], self._skipping)
            self._tail, self._skipping = b"", 0
        if self._open:
            asyncio.get_running_loop().remove_reader(self.read_fd)
        os.close(self.read_fd)
        self.read_fd = -1

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            if not self._read_some():
                return

    def _read_some(self) -> bool:
        try:
            data = os.read(self.read_fd, READ_SIZE)
        except BlockingIOError:
            return False
        if not data:
            if self._open:
                asyncio.get_running_loop().remove_reader(self.read_fd)
                self._open = False
            return False
        self._split(data)
        return len(data) == READ_SIZE

    def _split(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        cut = 0
        if whole:
            whole[0] = self._tail + whole[0]
            if self._skipping or max(map(len, whole)) > LONGEST_LINE:
                beyond = [max(0, len(line) - LONGEST_LINE) for line in whole]
                beyond[0] += self._skipping
                whole, cut = [_marked(*one) for one in zip(whole, beyond, strict=True)], sum(beyond)
            self._tail, self._skipping = b"", 0
        # A line without an end keeps its first part; adding up megabytes would copy them again and again.
        room = LONGEST_LINE - len(self._tail)
        self._tail += rest[:room]
        self._skipping += max(0, len(rest) - room)
        if whole:
            self._lines(whole, cut)


def _marked(line: bytes, beyond: int) -> bytes:
    """The first part of a line, and how many bytes of it are missing."""
    return line[:LONGEST_LINE] + f" \u2026 +{beyond} bytes".encode() if beyond else line
