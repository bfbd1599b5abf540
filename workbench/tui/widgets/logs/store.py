"""A bounded ring of log records, and the serials of those that the filter shows.

A record keeps its serial for life, so a reader's place survives eviction and filtering.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.client.client import LogLine
from workbench.model.text import clean_text
from workbench.tui.widgets.logs.filter import LogFilter

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line as shown: its text is clean and bounded."""

    at: float
    process_id: int
    pid: int
    level: str
    text: str
    job_id: str = ""
    generation: int = 0

    @classmethod
    def of(cls, line: LogLine) -> "LogRecord":
        """The record of a line from the wire."""
        text, level = clean_text(line.text), clean_text(line.level, 16)
        return cls(line.at, line.process_id, line.pid, level, text, line.job_id or "", line.generation)

    @classmethod
    def dropped(cls, number: int, at: float) -> "LogRecord":
        """The mark that stands where lines are missing."""
        return cls(at, 0, 0, "WARNING", f"{number:,} lines were dropped here: too many to carry")


class LogStore:
    """The last records, the filter, and what it lets through."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._records: deque[LogRecord] = deque()
        self._first = 0
        self.shown: deque[int] = deque()
        self.filter = LogFilter()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def next_serial(self) -> int:
        """The serial the next record will get."""
        return self._first + len(self._records)

    def add(self, records: Iterable[LogRecord]) -> None:
        """Append, and forget the oldest beyond the capacity."""
        for record in records:
            if self.filter.shows(record):
                self.shown.append(self.next_serial)
            self._records.append(record)
        while len(self._records) > self._capacity:
            self._records.popleft()
            self._first += 1
        while self.shown and self.shown[0] < self._first:
            self.shown.popleft()

    def refilter(self, changed: LogFilter) -> None:
        """Show what `changed` lets through."""
        self.filter = changed
        shows = changed.shows
        self.shown = deque(n for n, record in enumerate(self._records, self._first) if shows(record))

    def record(self, serial: int) -> LogRecord:
        """The record with that serial, which must be held."""
        return self._records[serial - self._first]

    def place(self, serial: int) -> int:
        """Where among the shown the serial stands, or the next one that is still shown."""
        return bisect_left(self.shown, serial)
