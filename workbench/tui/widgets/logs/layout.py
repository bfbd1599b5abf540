"""Which rows the records shown take: a traceback folded, lines that repeat as one, long lines on several rows.

A *unit* is what folds as one: a line, a traceback, or the same line many times. It is known by the serial of its
first record (its head), and stands at a running row number, so that nothing before it has to be counted.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from workbench.model.text import plural
from workbench.tui.widgets.logs.filter import MARK
from workbench.tui.widgets.logs.folding import breaks
from workbench.tui.widgets.logs.matches import Matches
from workbench.tui.widgets.logs.tracebacks import LIBRARY, LIBRARY_FRAME, USER, Lined, Trace

LINE, TRACE, REPEATS, HIDDEN = "line", "trace", "repeats", "hidden"
HEADERS = (TRACE, REPEATS)
FOLDED, OWN, ALL = range(3)


class Record(Lined, Protocol):
    """What is laid out."""

    @property
    def level(self) -> str:
        """Its level's name."""
        ...

    @property
    def job_id(self) -> str:
        """In which job it was said."""
        ...


class Records(Protocol):
    """Where the records are."""

    def record(self, serial: int) -> Record:
        """The record with that serial."""
        ...

    def trace(self, serial: int) -> Trace | None:
        """The traceback it belongs to."""
        ...


class Piece(NamedTuple):
    """What stands on one row, or on several that were one line: a record, or the head of its unit."""

    serial: int
    kind: str = LINE
    number: int = 0  # of repeats, or of frames hidden


class Row(NamedTuple):
    """A row: the unit, the piece of it, and which of the piece's rows."""

    head: int
    piece: Piece
    part: int = 0


class Layout:
    """What stands where. What is new is added at the end; what has changed is cut off and laid out again."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.heads: deque[int] = deque()
        self._starts: deque[int] = deque()
        self._end = 0
        self._repeats: dict[int, deque[int]] = {}
        self._traces: dict[int, Trace] = {}
        self._pieces: dict[int, list[Piece]] = {}
        self._opened: dict[int, int] = {}
        self._last: Record | None = None  # the line that the next one may repeat
        self.matches = Matches()
        self.room = 0  # cells for a line's text; 0: lines are not broken

    def __len__(self) -> int:
        return self._end - self._starts[0] if self._starts else 0

    # --- laying out -----------------------------------------------------------------------------

    def append(self, serial: int, record: Record) -> None:
        """The next record that is shown, which is part of no traceback."""
        last = self._last
        if (
            last is not None
            and last.text == record.text
            and last.process_id == record.process_id
            and last.level == record.level
            and last.job_id == record.job_id
            and record.text
        ):
            head = self.heads[-1]
            self._repeats.setdefault(head, deque((head,))).append(serial)
            if self.room or head in self._opened:
                self._end = self._starts[-1] + self.unit_height(head)
            return
        self._last = record if record.level != MARK else None
        self.heads.append(serial)
        self._starts.append(self._end)
        self._end += self.unit_height(serial) if self.room else 1
        if self.matches.matcher.active:
            self.matches.add(serial, serial, record.text)

    def append_trace(self, trace: Trace) -> None:
        """A traceback, with all lines that it has so far."""
        head = trace.head
        self._last = None
        self._traces[head] = trace
        self.heads.append(head)
        self._starts.append(self._end)
        self._lay_out(head)
        self._end += self.unit_height(head)
        if self.matches.matcher.active:
            for serial in trace.members:
                self.matches.add(head, serial, self._records.record(serial).text)

    def cut(self, serial: int) -> None:
        """Forget all units from that serial on, and what other ones hold of it."""
        while self.heads and self.heads[-1] >= serial:
            self._drop(self.heads.pop())
            self._end = self._starts.pop()
        self.matches.cut(serial)
        self._last = None
        if not self.heads:
            return
        head = self.heads[-1]
        members = self._repeats.get(head)
        if members is not None:
            while members[-1] >= serial:
                members.pop()
            if len(members) == 1:
                del self._repeats[head]
        record = self._records.record(head)
        if head not in self._traces and record.level != MARK:
            self._last = record
        self._end = self._starts[-1] + self.unit_height(head)

    def evict(self, first: int) -> bool:
        """The records before `first` are gone; a unit that has others goes on with them.

        False when such a unit no longer comes first: then everything is to be laid out anew.
        """
        while self.heads and self.heads[0] < first:
            head = self.heads[0]
            if head not in self._repeats and head not in self._traces:
                self.heads.popleft()
                self._starts.popleft()
                self._opened.pop(head, None)
                if self.matches.matcher.active:
                    self.matches.drop(head)
                continue
            trace, members = self._traces.get(head), self._repeats.get(head)
            held = trace.members if trace is not None else members
            while members and members[0] < first:
                members.popleft()
            opened = self._opened.get(head, FOLDED)
            self._drop(head)
            found = self.matches.drop(head)
            if not held:
                self.heads.popleft()
                self._starts.popleft()
                self._opened.pop(head, None)
                continue
            self._move_head(head, held[0], trace, members, opened)
            if found:
                alike = trace is None  # then the next one matches as this one did
                self.matches.put_first(held[0], [held[0]] if alike else [line for line in found if line >= first])
            if len(self.heads) > 1 and self.heads[0] > self.heads[1]:
                return False  # lines of others came between those of a traceback
        return True

    def _move_head(self, old: int, head: int, trace: Trace | None, members: deque[int] | None, opened: int) -> None:
        self._opened.pop(old, None)
        if opened:
            self._opened[head] = opened
        if trace is not None:
            self._traces[head] = trace
        elif members is not None and len(members) > 1:
            self._repeats[head] = members
        self.heads[0] = head
        self._lay_out(head)
        end = self._starts[1] if len(self._starts) > 1 else self._end
        self._starts[0] = end - self.unit_height(head)

    def _drop(self, head: int) -> None:
        self._repeats.pop(head, None)
        self._traces.pop(head, None)
        self._pieces.pop(head, None)

    # --- folds ----------------------------------------------------------------------------------

    def opened(self, head: int) -> int:
        """How far a unit is opened."""
        return self._opened.get(head, FOLDED)

    def folds(self, head: int) -> bool:
        """Whether a unit can be opened or folded."""
        return head in self._traces or head in self._repeats

    def toggle(self, head: int) -> None:
        """One step further open, or folded again."""
        trace = self._traces.get(head)
        if trace is None or USER not in trace.kinds:
            steps = [FOLDED, ALL]
        else:
            steps = [FOLDED, OWN, ALL] if LIBRARY_FRAME in trace.kinds else [FOLDED, OWN]
        now = self.opened(head)
        self.open(head, steps[(steps.index(now) + 1) % len(steps)] if now in steps else FOLDED)

    def open(self, head: int, step: int) -> None:
        """Open a unit so far."""
        index = bisect_left(self.heads, head)
        before = self.unit_height(head)
        self._opened.pop(head, None)
        if step:
            self._opened[head] = step
        self._lay_out(head)
        more = self.unit_height(head) - before
        self._end += more
        self._starts = deque(start + more if n > index else start for n, start in enumerate(self._starts))

    def reveal(self, serial: int) -> None:
        """Open a traceback as far as that line of it is seen."""
        trace = self._records.trace(serial)
        if trace is None or trace.head not in self._traces:
            return
        between = USER in trace.kinds and LIBRARY_FRAME in trace.kinds
        least = OWN if between and trace.kind(serial) not in (LIBRARY, LIBRARY_FRAME) else ALL
        if self.opened(trace.head) < least:
            self.open(trace.head, least)

    def _lay_out(self, head: int) -> None:
        """The pieces of an opened traceback."""
        self._pieces.pop(head, None)
        if head in self._traces and self.opened(head):
            self._pieces[head] = list(_pieces(self._traces[head], self.opened(head)))

    # --- sizes ----------------------------------------------------------------------------------

    def unit_height(self, head: int) -> int:
        """How many rows a unit takes."""
        opened = self._opened.get(head)
        if not opened and not self.room:
            return 1
        members = self._repeats.get(head)
        if members is not None and opened:
            each = self._size(head, Piece(head))
            return self._size(head, Piece(head, REPEATS, len(members))) + each * len(members)
        return sum(height for _, height in self._measured(head, 0))

    def _measured(self, head: int, row: int) -> Iterator[tuple[Piece, int]]:
        """The pieces of a unit with their heights; those that end before `row` may be left out of repeats."""
        members, size = self._repeats.get(head), self._size
        if members is not None:
            header = Piece(head, REPEATS, len(members))
            first = size(head, header)
            yield header, first
            if self._opened.get(head):
                each = size(head, Piece(head))
                skipped = max(row - first, 0) // each
                if skipped:
                    yield header, skipped * each
                for serial in islice(members, skipped, None):
                    yield Piece(serial), each
        elif head in self._traces:
            for piece in self._pieces.get(head) or [Piece(head, TRACE)]:
                yield piece, size(head, piece)
        else:
            yield Piece(head), size(head, Piece(head))

    def _size(self, head: int, piece: Piece) -> int:
        return len(breaks(self.text(head, piece), self.room)) if self.room else 1

    def text(self, head: int, piece: Piece) -> str:
        """What stands there."""
        sign = "▾" if self._opened.get(head) else "▸"
        if piece.kind == TRACE:
            return f"{sign} {self._traces[head].words()}"
        if piece.kind == REPEATS:
            return f"{sign} x{piece.number:,} {self._records.record(head).text}"
        if piece.kind == HIDDEN:
            return f"  {plural(piece.number, 'library frame')} hidden, Enter shows them"
        return self._records.record(piece.serial).text


def _pieces(trace: Trace, step: int) -> Iterator[Piece]:
    """An opened traceback: its head, and its lines, of libraries only their number unless all are wanted."""
    yield Piece(trace.head, TRACE)
    hidden = Piece(0, HIDDEN)
    for serial, kind in zip(trace.members, trace.kinds, strict=True):
        if step == ALL or kind not in (LIBRARY, LIBRARY_FRAME):
            if hidden.serial:
                yield hidden
                hidden = Piece(0, HIDDEN)
            yield Piece(serial)
        else:
            hidden = Piece(hidden.serial or serial, HIDDEN, hidden.number + (kind == LIBRARY_FRAME))
    if hidden.serial:
        yield hidden
