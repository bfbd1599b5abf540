"""A program on a real terminal: what it printed, with the time of every piece; looked at afterwards with pyte."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator

import pyte

COLUMNS, ROWS = 120, 40
READ_SIZE = 65536


class Terminal:
    """Starts the program; `began` is the moment before. Nothing is interpreted while it runs: that takes CPU."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.began = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.execve(argv[0], argv, {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"})

    def read(self, seconds: float, until: Callable[[bytes], bool] = lambda _: False) -> bool:
        """Take what comes for so long, or until a piece is it; False when the program has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                continue
            try:
                piece = os.read(self._fd, READ_SIZE)
            except OSError:
                return False  # EIO: nobody has the other end any more
            self.pieces.append((time.monotonic(), piece))
            if until(piece):
                return True
        return True

    def press(self, keys: str) -> float:
        """Type; the moment it was done at."""
        at = time.monotonic()
        os.write(self._fd, keys.encode())
        return at

    def close(self) -> None:
        """Wait for the program's end, and see to it if it does not come."""
        if self.read(10.0):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)

    def screens(self) -> Iterator[tuple[float, pyte.Screen]]:
        """The screen after each piece, and when that piece was read."""
        screen = pyte.Screen(COLUMNS, ROWS)
        stream = pyte.ByteStream(screen)
        for at, piece in self.pieces:
            stream.feed(piece)
            yield at, screen
