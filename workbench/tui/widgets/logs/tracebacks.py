"""Python tracebacks in the output: which lines belong together, and what they say in one line.

Lines of several processes come mixed, and so do a process's raw output and its log records: each is followed by itself.
"""

import os
import re
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

import workbench
from workbench.model.paths import shortest
from workbench.model.text import cut, plural

LONGEST_ERROR = 80  # characters, in the one line that tells of it
HEADER = "(most recent call last):"  # how the first line ends
OURS = os.path.dirname(workbench.__file__) + os.sep
INSTALLED = re.compile(r"/(?:site|dist)-packages/|/lib/python3\.\d+/|python3\d+\.zip/")
STANDARD = os.path.dirname(os.__file__) + os.sep  # the library of this interpreter, wherever it is
BEGINS = re.compile(r"\s*(?:[|+] )*(?:Exception Group )?Traceback \(most recent call last\):$")
FRAME = re.compile(r'[\s|]*File "([^"]+)", line (\d{1,9})(?:, in (.+))?$')
PLACE = re.compile(r'File "([^"]+)", line (\d{1,9})|([\w./~+-]+\.[A-Za-z]\w*):(\d{1,9})')
ERROR = re.compile(r"[^\W\d][\w.<>]*(?:: |:?$)")
BARS = re.compile(r"\s*[|+] ")
CHAINS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
OTHER, ERRORS, USER, LIBRARY, LIBRARY_FRAME = range(5)
CODE = (USER, LIBRARY, LIBRARY_FRAME)


class Frame(NamedTuple):
    """One step of a traceback."""

    file: str
    line: int
    function: str

    def words(self) -> str:
        """`bot.py:38 in entrypoint`: the path from here where that is down the tree, else the file's name."""
        path = shortest(self.file)
        place = f"{os.path.basename(path) if path.startswith(('..', '/')) else path}:{self.line}"
        return place if self.function in ("", "<module>") else f"{place} in {self.function}"


@lru_cache(1024)
def is_library(file: str) -> bool:
    """Whether a file is not the user's own: installed, of the standard library, of workbench, or none at all."""
    return file.startswith(("<", OURS, STANDARD)) or INSTALLED.search(file) is not None


def frame_in(text: str) -> Frame | None:
    """The frame that a line of a traceback names."""
    found = FRAME.match(text)
    return Frame(found[1], int(found[2]), found[3] or "") if found else None


def place_in(text: str) -> Frame | None:
    """The file and line that any line of text names: as tracebacks do, or as `bot.py:38`."""
    found = PLACE.search(text)
    return Frame(found[1] or found[3], int(found[2] or found[4]), "") if found else None


class Lined(Protocol):
    """What is looked at in a record."""

    @property
    def at(self) -> float:
        """When it came: all lines of one log record at once."""
        ...

    @property
    def text(self) -> str:
        """The line."""
        ...

    @property
    def process_id(self) -> int:
        """Whose it is."""
        ...

    @property
    def raw(self) -> bool:
        """Printed, and no log record."""
        ...


@dataclass(slots=True)
class Block:
    """One of the exceptions that are told in a chain."""

    error: str = ""
    user: Frame | None = None
    last: Frame | None = None


@dataclass(slots=True)
class Trace:
    """The lines of a traceback, by serial, and what each one is."""

    members: deque[int] = field(default_factory=deque)
    kinds: deque[int] = field(default_factory=deque)
    grouped: bool = False  # an exception group's, drawn with bars
    blocks: list[Block] = field(default_factory=list)
    frames: int = 0
    shown: bool = True  # what the filter says of it

    @property
    def head(self) -> int:
        """The serial of the first line that is still held."""
        return self.members[0]

    @property
    def place(self) -> Frame | None:
        """The innermost frame in the user's own files; of the last exception that has one, else any."""
        own = [block.user for block in self.blocks if block.user is not None]
        return own[-1] if own else next((block.last for block in reversed(self.blocks) if block.last), None)

    def kind(self, serial: int) -> int:
        """What one of its lines is."""
        return self.kinds[bisect_left(self.members, serial)]

    def words(self) -> str:
        """`Traceback, 9 frames: ValueError: boom at bot.py:38 in entrypoint`."""
        errors = [cut(block.error, LONGEST_ERROR) for block in self.blocks if block.error]
        if not self.grouped:
            errors.reverse()  # what was raised last comes last
        told = f"Traceback, {plural(self.frames, 'frame')}: {errors[0] if errors else 'without an end so far'}"
        told += f" at {self.place.words()}" if self.place else ""
        return told + "".join(f", {'with' if self.grouped else 'after'} {error}" for error in errors[1:])

    def add(self, serial: int, text: str) -> None:
        """Take the next line."""
        kind, frame = OTHER, frame_in(text)
        body = BARS.sub("", text) if self.grouped else text
        if BEGINS.match(text):
            self.blocks.append(Block())
        elif frame is not None:
            self.frames += 1
            kind = LIBRARY_FRAME if is_library(frame.file) else USER
            self.blocks[-1].last = frame
            if kind == USER:
                self.blocks[-1].user = frame
        elif self.kinds and self.kinds[-1] in CODE and body.startswith("  "):
            kind = USER if self.kinds[-1] == USER else LIBRARY  # the frame's code, and the marks below it
        elif not self.blocks[-1].error and ERROR.match(body):
            self.blocks[-1].error, kind = body, ERRORS
        self.members.append(serial)
        self.kinds.append(kind)


class _Open:
    """A traceback whose end has not come, and what may come next."""

    def __init__(self, trace: Trace, record: Lined, serial: int) -> None:
        self.trace, self._at, self._raw = trace, record.at, record.raw
        self._last, self._before = serial, record.text
        self._ended = self._chained = False

    def takes(self, record: Lined, serial: int) -> bool:
        """Whether the line belongs to it."""
        text, before = record.text, self._before
        follows, self._last, self._before = serial == self._last + 1, serial, text
        if not self._raw:
            return follows and record.at == self._at  # a record comes as a whole, with all that it says
        if self.trace.grouped:
            return text.startswith("  ") and text.lstrip()[:1] in ("|", "+")
        if self._ended:
            return self._goes_on(text, before)
        if text.startswith("  ") and text.strip():
            return True
        self._ended = True
        return ERROR.match(text) is not None

    def _goes_on(self, text: str, before: str) -> bool:
        """After an exception: a blank line, the words that chain it to another, a blank line, and the other one."""
        if not text:
            return bool(before)
        if before:
            return False
        if self._chained and BEGINS.match(text):
            self._ended = self._chained = False
            return True
        self._chained = text in CHAINS
        return self._chained


class Tracebacks:
    """Every traceback among the records held, as they come."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, bool], _Open] = {}
        self._of: dict[int, Trace] = {}

    def take(self, serial: int, record: Lined) -> Trace | None:
        """The traceback that the next record belongs to."""
        if self._open:
            key = (record.process_id, record.raw)
            going = self._open.get(key)
            if going is not None:
                if going.takes(record, serial):
                    return self._add(going.trace, serial, record.text)
                del self._open[key]
        if not record.text.endswith(HEADER) or not BEGINS.match(record.text):
            return None
        trace = Trace(grouped="Exception Group" in record.text)
        self._open[record.process_id, record.raw] = _Open(trace, record, serial)
        return self._add(trace, serial, record.text)

    def _add(self, trace: Trace, serial: int, text: str) -> Trace:
        trace.add(serial, text)
        self._of[serial] = trace
        return trace

    def of(self, serial: int) -> Trace | None:
        """The traceback that a record belongs to."""
        return self._of.get(serial)

    def forget(self, serials: range) -> None:
        """The oldest records left."""
        for serial in serials if self._of else ():
            trace = self._of.pop(serial, None)
            if trace is not None:
                trace.members.popleft()
                trace.kinds.popleft()
