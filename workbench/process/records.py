"""The child's side of logging: records as JSON lines on a pipe of their own, beside raw stdout and stderr."""

import contextlib
import json
import logging
import os
import select
import sys
import traceback
from io import TextIOWrapper
from typing import TextIO

from workbench.model.text import cut
from workbench.process.wire import RECORDS_FD

LONGEST = 32 * 1024
LONGEST_LINE = 60 * 1024  # the supervisor cuts a line at 64 KB, and half a record is none
PIECE = 4096  # bytes that a pipe with room takes at once, without blocking
PATIENCE_S = 0.1  # how long a job is held up by a supervisor that does not read


class RecordHandler(logging.Handler):
    """Writes each record as one JSON line to the records pipe. Sits on the root logger.

    A pipe that stays full makes no job wait for long: its records are lost then, and counted. The count is written
    as soon as there is room, as a JSON line of its own: `[number]`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lost = 0
        self._torn = False  # the last line has no end

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a record that cannot be formatted is told by logging's own error path."""
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            if record.stack_info:
                text += "\n" + record.stack_info
            line = _line(record.levelname, record.name, text)
        except Exception:
            self.handleError(record)
            return
        with contextlib.suppress(OSError):  # the supervisor no longer reads: it is gone, and this process follows
            self._pass_on(line)

    def flush(self) -> None:
        """Write the count, if there is one: nothing more may be logged, and all that is lost is to be known."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError):
            self._tell_lost(PATIENCE_S)

    def _tell_lost(self, patience_s: float) -> bool:
        if self._lost and self._write(b"[%d]\n" % self._lost, patience_s):
            self._lost = 0
        return not self._lost

    def _pass_on(self, line: bytes) -> None:
        patience_s = 0.0 if self._lost else PATIENCE_S  # it has been used up
        if self._lost and self._tell_lost(0):
            patience_s = PATIENCE_S
        if self._lost or not self._write(line, patience_s):
            self._lost += 1

    def _write(self, line: bytes, patience_s: float) -> bool:
        """Write a line piece by piece, each only when there is room for it."""
        if self._torn:
            line = b"\n" + line
        for at in range(0, len(line), PIECE):
            if not select.select([], [RECORDS_FD], [], patience_s)[1]:
                self._torn = self._torn or at > 0
                return False
            os.write(RECORDS_FD, line[at : at + PIECE])
            self._torn = False
        return True


def _line(level: str, name: str, text: str) -> bytes:
    """One JSON line, its text cut until it fits: a character may need six bytes."""
    room = LONGEST
    while True:
        made = json.dumps([level, cut(name, 200), cut(text, room)], ensure_ascii=False)
        line = made.encode("utf-8", "backslashreplace")
        if len(line) < LONGEST_LINE:
            return line + b"\n"
        room //= 2


def lost_in(line: bytes) -> int:
    """How many records a line says were lost before it; 0 for every other line."""
    digits = line[1:-1]
    if line[:1] != b"[" or line[-1:] != b"]" or not digits.isdigit() or len(digits) > 12:
        return 0
    return int(digits)


def flush() -> None:
    """Tell the supervisor of every record that is lost by now."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RecordHandler):
            handler.flush()


def install(level: str) -> None:
    """Send every log record of this process to the supervisor, and let prints appear line by line."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, RecordHandler):
            root.removeHandler(handler)
    root.handlers.insert(0, RecordHandler())  # first: one of the agent's own may raise
    root.setLevel(level)
    logging.captureWarnings(True)
    sys.stdout = _by_lines(sys.stdout, 1)
    sys.stderr = _by_lines(sys.stderr, 2)


def flush_output() -> None:
    """Hand over what was printed so far, as far as the agent has left its streams whole."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, replaced or taken away
            stream.flush()


def _by_lines(stream: TextIO | None, fd: int) -> TextIO:
    """The stream, line by line: Python block-buffers a pipe, and a user's print would show up at exit, or never.

    One that the agent closed, or took away, is made anew; what it put in its place of its own stays.
    """
    if stream is None or stream.closed:
        return open(fd, "w", buffering=1, errors="backslashreplace", closefd=False)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    return stream
