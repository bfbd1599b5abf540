"""The child's side of logging: records as JSON lines on a pipe of their own, beside raw stdout and stderr."""

import contextlib
import json
import logging
import os
import sys
import traceback
from io import TextIOWrapper
from typing import TextIO

from workbench.process.wire import RECORDS_FD

LONGEST = 32 * 1024
LONGEST_LINE = 60 * 1024  # the supervisor cuts a line at 64 KB, and half a record is none


class RecordHandler(logging.Handler):
    """Writes each record as one JSON line to the records pipe. Sits on the root logger."""

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
            write_all(RECORDS_FD, line)


def _line(level: str, name: str, text: str) -> bytes:
    """One JSON line, its text cut until it fits: a character may need six bytes."""
    room = LONGEST
    while True:
        line = json.dumps([level, name[:200], text[:room]], ensure_ascii=False).encode("utf-8", "backslashreplace")
        if len(line) < LONGEST_LINE:
            return line + b"\n"
        room //= 2


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data` to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def install(level: str) -> None:
    """Send every log record of this process to the supervisor, and let prints appear line by line."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, RecordHandler):
            root.removeHandler(handler)
    root.addHandler(RecordHandler())
    root.setLevel(level)
    logging.captureWarnings(True)
    sys.stdout = _by_lines(sys.stdout, 1)
    sys.stderr = _by_lines(sys.stderr, 2)


def _by_lines(stream: TextIO | None, fd: int) -> TextIO:
    """The stream, line by line: Python block-buffers a pipe, and a user's print would show up at exit, or never.

    One that the agent closed, or took away, is made anew; what it put in its place of its own stays.
    """
    if stream is None or stream.closed:
        return open(fd, "w", buffering=1, errors="backslashreplace", closefd=False)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    return stream
