"""A bounded ring of log records, what of them the filter shows, and how that is laid out.

A record keeps its serial for life, so a reader's place survives eviction and filtering.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from workbench.client.client import LogLine
from workbench.model.text import clean_text, plural
from workbench.tui.widgets.logs.filter import MARK, LogFilter
from workbench.tui.widgets.logs.match import Matcher
from workbench.tui.widgets.logs.rows import Rows
from workbench.tui.widgets.logs.tracebacks import Trace, Tracebacks

CAPACITY = 10_000
RAW = "stdout"  # the logger of what was printed


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
    raw: bool = False

    @classmethod
    def of(cls, line: LogLine) -> "LogRecord":
        """The record of a line from the wire."""
        text, level = clean_text(line.text), clean_text(line.level, 16)
        raw = line.logger == RAW
        return cls(line.at, line.process_id, line.pid, level, text, line.job_id or "", line.generation, raw)

    @classmethod
    def dropped(cls, number: int, at: float) -> "LogRecord":
        """The mark that stands where lines are missing."""
        were = "was" if number == 1 else "were"
        return cls(at, 0, 0, "WARNING", f"{plural(number, 'line')} {were} dropped here: too many to carry")

    @classmethod
    def mark(cls, number: int, at: float) -> "LogRecord":
        """A mark that the user set."""
        return cls(at, 0, 0, MARK, f"mark {number}")


class LogStore:
    """The last records, the filter, what it lets through, and the rows of that."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._records: deque[LogRecord] = deque()
        self._first = 0
        self._traces = Tracebacks()
        self.shown: deque[int] = deque()
        self.marks: list[int] = []
        self._marked = 0
        self.filter = LogFilter()
        self.rows = Rows(self)

    @property
    def lines(self) -> int:
        """How many lines are shown, without the marks among them."""
        return len(self.shown) - len(self.marks)

    def __len__(self) -> int:
        return len(self._records) - len(self.marks)

    @property
    def next_serial(self) -> int:
        """The serial the next record will get."""
        return self._first + len(self._records)

    def add(self, records: Iterable[LogRecord]) -> None:
        """Append, and forget the oldest beyond the capacity."""
        held, take, shows, serial = self._records, self._traces.take, self.filter.shows, self.next_serial
        show, lay_out = self.shown.append, self.rows.append
        changed: int | None = None  # from here on everything is laid out again: a traceback has grown
        for record in records:
            held.append(record)
            trace = take(serial, record)
            if trace is not None:
                changed = trace.head if changed is None else min(changed, trace.head)
            elif changed is None and shows(record):
                show(serial)
                lay_out(serial, record)
            serial += 1
        if not self._evict():
            self._lay_out(self._first)
        elif changed is not None:
            self._lay_out(max(changed, self._first))

    def mark(self, at: float) -> int:
        """Set a mark below the newest record; its number."""
        self._marked += 1
        self.marks.append(self.next_serial)
        self.add([LogRecord.mark(self._marked, at)])
        return self._marked

    def _evict(self) -> bool:
        over = len(self._records) - self._capacity
        if over <= 0:
            return True
        for _ in range(over):
            self._records.popleft()
        self._traces.forget(range(self._first, self._first + over))
        self._first += over
        while self.shown and self.shown[0] < self._first:
            self.shown.popleft()
        while self.marks and self.marks[0] < self._first:
            del self.marks[0]
        return self.rows.evict(self._first)

    def refilter(self, changed: LogFilter) -> None:
        """Show what `changed` lets through."""
        self.filter = changed
        self._lay_out(self._first)

    def search(self, matcher: Matcher) -> None:
        """Look for something else in what is shown."""
        self.rows.matches.matcher = matcher
        self._lay_out(self._first)

    def break_lines(self, room: int) -> None:
        """Give each line's text so many cells in a row; 0 breaks no line."""
        if room != self.rows.room:
            self.rows.room = room
            self._lay_out(self._first)

    def _lay_out(self, begin: int) -> None:
        """Everything from that serial on, anew."""
        shown, rows, shows = self.shown, self.rows, self.filter.shows
        while shown and shown[-1] >= begin:
            shown.pop()
        rows.cut(begin if begin > self._first else 0)
        records = self._records if begin == self._first else self._since(begin)
        for serial, record in enumerate(records, begin):
            trace = self._traces.of(serial)
            if trace is None:
                if shows(record):
                    shown.append(serial)
                    rows.append(serial, record)
                continue
            if trace.head == serial:
                texts = (self.record(member).text for member in trace.members)
                trace.shown = self.filter.shows_traceback(record, (*texts, trace.words()))
                if trace.shown:
                    rows.append_trace(trace)
            if trace.shown:
                shown.append(serial)

    def _since(self, serial: int) -> list[LogRecord]:
        return list(islice(reversed(self._records), self.next_serial - serial))[::-1]

    # --- records --------------------------------------------------------------------------------

    def record(self, serial: int) -> LogRecord:
        """The record with that serial, which must be held."""
        return self._records[serial - self._first]

    def trace(self, serial: int) -> Trace | None:
        """The traceback that a record belongs to."""
        return self._traces.of(serial)

    def place(self, serial: int) -> int:
        """Where among the shown the serial stands, or the next one that is still shown."""
        return bisect_left(self.shown, serial)

    def hiding(self) -> list[LogFilter]:
        """The parts of the filter that let nothing of what is held through; all, where only together they do."""
        parts = self.filter.parts()
        alone = [part for part in parts if not any(map(part.shows, reversed(self._records)))]
        return alone or parts
