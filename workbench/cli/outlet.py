"""Where the worker's lines go, descriptor 2, whatever is behind it: a terminal, a pipe, a file on a full disk."""

import errno
import os
import select
import stat
from collections.abc import Callable

STDERR = 2
MOST_BYTES = 16 * 1024 * 1024  # of a file of our own
KEPT_BYTES = 64 * 1024  # of its end, when it grew to that
NEVER_AGAIN = frozenset({errno.EPIPE, errno.EBADF})  # nobody reads any more


class Outlet:
    """Writes past Python's own buffer: a thread that is stuck in that would keep the process from ending.

    Args:
        pause: called with the words of an error that may pass (no room, a medium that is read-only); False gives up.
        own_file: the file is the workbench's own, in its run folder: it must not grow without end.
    """

    def __init__(self, pause: Callable[[str], bool], *, own_file: bool = False) -> None:
        self._pause = pause
        self._bounded = own_file and stat.S_ISREG(os.fstat(STDERR).st_mode)
        self._written = 0
        self._end = b""
        self.gone = False  # nobody will ever read

    def write(self, data: bytes) -> bytes:
        """Write all of `data`; what could not be written and never will be."""
        view = memoryview(data)
        while view:
            try:
                taken = os.write(STDERR, view)
            except BlockingIOError:  # whoever shares the terminal made it non-blocking
                select.select([], [STDERR], [])
            except OSError as error:
                self.gone = error.errno in NEVER_AGAIN
                if self.gone or not self._pause(error.strerror or str(error)):
                    break
            else:
                self._wrote(view[:taken])
                view = view[taken:]
        return bytes(view)

    def _wrote(self, data: memoryview) -> None:
        if not self._bounded:
            return
        self._written += len(data)
        self._end = (self._end + bytes(data[-KEPT_BYTES:]))[-KEPT_BYTES:]
        if self._written > MOST_BYTES:
            os.ftruncate(STDERR, 0)
            os.lseek(STDERR, 0, os.SEEK_SET)
            kept = b"(older lines were removed: this file had grown too long)\n" + self._end.partition(b"\n")[2]
            self._written, self._end = 0, b""
            self.write(kept)
