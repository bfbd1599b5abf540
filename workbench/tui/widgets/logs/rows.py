"""From a row of the log to the records in it, and back from a record to its row."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from workbench.tui.widgets.logs.filter import is_error
from workbench.tui.widgets.logs.layout import HEADERS, LINE, REPEATS, TRACE, Layout, Piece, Row
from workbench.tui.widgets.logs.tracebacks import Trace


class Rows(Layout):
    """The layout as it is read: by row number, or by a row that was seen before."""

    # --- rows and records -----------------------------------------------------------------------

    def at(self, row: int) -> Row:
        """What stands in a row, which must be there."""
        index = bisect_right(self._starts, self._starts[0] + row) - 1
        head = self.heads[index]
        left = row + self._starts[0] - self._starts[index]
        for piece, height in self._measured(head, left):
            if left < height:
                return Row(head, piece, left)
            left -= height
        raise IndexError(row)

    def row_of(self, row: Row) -> int:
        """Where a row is now; where it is no longer shown, the one that stands in its place."""
        serial = row.piece.serial
        index = self._index(serial)
        if index == len(self.heads):
            return len(self)
        head = self.heads[index]
        top = self._starts[index] - self._starts[0]
        if head > serial:
            return top
        if not self.room and not self._opened.get(head):
            return top
        return top + self._offset(head, row)

    def find(self, row: Row) -> Row:
        """The row as it is now; there must be any."""
        return self.at(min(self.row_of(row), len(self) - 1))

    def height(self, row: Row) -> int:
        """How many rows its piece takes."""
        return self._size(row.head, row.piece)

    def kind(self, head: int) -> str:
        """What stands in a unit's first row."""
        return TRACE if head in self._traces else REPEATS if head in self._repeats else LINE

    def members(self, head: int) -> Sequence[int]:
        """The serials of a unit's records."""
        trace = self._traces.get(head)
        return trace.members if trace is not None else self._repeats.get(head, (head,))

    def serials(self, row: Row) -> list[int]:
        """The records that stand in a row: of a head all that fold into it, of hidden frames theirs."""
        head, piece = row.head, row.piece
        if piece.kind in HEADERS:
            return list(self.members(head))
        if piece.kind == LINE:
            return [piece.serial]
        after = next((other.serial for other in self._pieces[head] if other.serial > piece.serial), None)
        return [n for n in self.members(head) if n >= piece.serial and (after is None or n < after)]

    def between(self, first: int, last: int) -> Iterator[int]:
        """The records in a range of rows, each once, in the order of the screen."""
        begin = self._starts[0]
        index = bisect_right(self._starts, begin + first) - 1
        for head, start in zip(islice(self.heads, index, None), islice(self._starts, index, None), strict=True):
            top = start - begin
            if top > last:
                return
            if not self.opened(head):
                yield from self.members(head)
            else:
                yield from self._opened_between(max(first, top), min(last, top + self.unit_height(head) - 1))

    def _opened_between(self, first: int, last: int) -> Iterator[int]:
        row, found = first, self.at(first)
        if found.piece.kind in HEADERS:
            yield from self.members(found.head)
            return
        while row <= last:
            found = self.at(row)
            yield from self.serials(found)
            row += self.height(found) - found.part

    def trace(self, head: int) -> Trace | None:
        """The traceback that the unit is."""
        return self._traces.get(head)

    def _index(self, serial: int) -> int:
        """The unit that holds a record, or the next one."""
        trace = self._records.trace(serial)
        key = trace.head if trace is not None else serial
        index = bisect_right(self.heads, key) - 1
        if index < 0:
            return 0
        head = self.heads[index]
        held = head == key or (head in self._repeats and key <= self._repeats[head][-1])
        return index if held else index + 1

    def _offset(self, head: int, row: Row) -> int:
        """How far below the top of its unit a row stands."""
        serial, members, pieces = row.piece.serial, self._repeats.get(head), self._pieces.get(head)
        within, folded = row.piece.kind not in HEADERS, not self._opened.get(head)
        if members is not None and within and not folded:
            first, each = self._size(head, Piece(head, REPEATS, len(members))), self._size(head, Piece(head))
            return first + each * min(bisect_left(members, serial), len(members) - 1) + min(row.part, each - 1)
        if pieces is not None and within:
            at = max(bisect_right(pieces, serial, lo=1, key=lambda piece: piece.serial) - 1, 1)
            offset = sum(self._size(head, piece) for piece in pieces[:at])
            return offset + min(row.part, self._size(head, pieces[at]) - 1)
        piece, _ = next(self._measured(head, 0))
        return min(row.part, self._size(head, piece) - 1)

    # --- looking for units ----------------------------------------------------------------------

    def errors(self) -> list[int]:
        """The heads of all errors: a message and the traceback of the same record are one."""
        found, before = [], None
        for head in self.heads:
            trace, record = self._traces.get(head), self._records.record(head)
            same = before is not None and (before.at, before.process_id) == (record.at, record.process_id)
            if trace is not None or is_error(record.level):
                if not (same and not record.raw):
                    found.append(head)
                before = record if trace is None else None
            else:
                before = None
        return found
