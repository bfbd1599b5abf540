"""A view of the log that is only moved by whoever reads it: a place is a record's serial, not a row number."""

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.lines import cut
from workbench.tui.widgets.line_widget import ToneStyles
from workbench.tui.widgets.logs.filter import LogFilter
from workbench.tui.widgets.logs.layout import Piece, Row
from workbench.tui.widgets.logs.lines import Look, part_words, row_line, text_room
from workbench.tui.widgets.logs.store import LogRecord, LogStore

SIDEWAYS = 16
START = Row(0, Piece(0))


class LogPlace(ToneStyles, ScrollView):
    """The rows of a store, painted only where they are on screen; where one stands in them, and whether one follows."""

    class Changed(Message):
        """What the bar of the pane tells is different."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.store = LogStore()
        self.following = True
        self.wrapped = False
        self.range_start: Row | None = None
        self._seen = 0
        self._cursor = self._anchor = START
        self._shift = 0
        self._placing = False
        self._serving = 0
        self._hiding: list[LogFilter] = []

    # --- what comes in --------------------------------------------------------------------------

    def add(self, records: list[LogRecord]) -> None:
        """Take new records; the view moves only while it follows."""
        if not records:
            return
        self.store.add(records)
        self.settle()

    def serve(self, generation: int) -> None:
        """Lines of other code than this are marked."""
        if generation != self._serving:
            self._serving = generation
            self.settle()

    def set_filter(self, changed: LogFilter) -> None:
        """Show what another filter lets through, with the same line in its place where it is still shown."""
        self.store.refilter(changed)
        self.settle()

    # --- where one is ---------------------------------------------------------------------------

    @property
    def here(self) -> Row | None:
        """The row under the cursor: the newest one while following."""
        rows = self.store.rows
        if not len(rows):
            return None
        return rows.at(len(rows) - 1) if self.following else rows.find(self._cursor)

    @property
    def cursor(self) -> LogRecord | None:
        """The record under the cursor."""
        row = self.here
        return self.store.record(row.piece.serial) if row is not None else None

    @property
    def unseen(self) -> int:
        """Lines shown that came after one stopped following."""
        return 0 if self.following else len(self.store.shown) - self.store.place(self._seen)

    @property
    def range_rows(self) -> tuple[int, int] | None:
        """The first and the last row of the range that was begun."""
        row, rows = self.here, self.store.rows
        if self.range_start is None or row is None:
            return None
        ends = sorted((rows.row_of(rows.find(self.range_start)._replace(part=0)), rows.row_of(row._replace(part=0))))
        return ends[0], ends[1] + rows.height(rows.at(ends[1])) - 1

    def settle(self) -> None:
        """After any change of what is shown: the anchored row stays where it is."""
        rows, width = self.store.rows, self.scrollable_content_region.width
        self._placing = True
        if width:
            self.store.break_lines(text_room(width, self._serving) if self.wrapped else 0)
        self.virtual_size = Size(self.content_size.width, len(rows))
        self.scroll_to(
            y=self.max_scroll_y if self.following else rows.row_of(self._anchor), animate=False, immediate=True
        )
        self._placing = False
        self._hiding = self.store.hiding() if len(self.store) and not len(rows) else []
        self.refresh()
        self.post_message(self.Changed())

    def pause(self) -> None:
        """Stop following; what is on screen stays there."""
        if self.following:
            self._cursor = self.here or START
            self.following, self._seen = False, self.store.next_serial
            self._keep_anchor()
            self.post_message(self.Changed())

    def go(self, row: Row) -> None:
        """Put the cursor on a row, with some lines before it when it was not on screen."""
        self.pause()
        self._cursor = row._replace(part=0)
        first, top, height = self.store.rows.row_of(self._cursor), round(self.scroll_y), self.content_size.height
        if not top <= first < top + height:
            self.scroll_to(y=max(first - height // 3, 0), animate=False, immediate=True)
        self.settle()

    def _keep_anchor(self) -> None:
        rows = self.store.rows
        if not len(rows):
            self._anchor = Row(self.store.next_serial, Piece(self.store.next_serial))
            return
        top = min(round(self.scroll_y), len(rows) - 1)
        bottom = min(top + max(self.content_size.height, 1), len(rows)) - 1
        self._anchor = rows.at(top)
        row = rows.row_of(self._cursor._replace(part=0))
        if not top <= row <= bottom:
            self._cursor = rows.at(top if row < top else bottom)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Any way up pauses; where one stands is kept as a serial."""
        super().watch_scroll_y(old_value, new_value)
        if self._placing:
            return
        if self.following and new_value < old_value and round(new_value) < self.max_scroll_y:
            self.pause()
        if not self.following:
            self._keep_anchor()

    def on_resize(self) -> None:
        """Another height: stay where one was."""
        self.settle()

    # --- moving ---------------------------------------------------------------------------------

    def action_newest(self) -> None:
        """Go to the end and follow."""
        self.following = True
        self.settle()

    def action_oldest(self) -> None:
        """Go to the beginning."""
        self.action_move(-len(self.store.rows))

    def action_move(self, rows: int) -> None:
        """Move the cursor; the view comes along only where it must."""
        laid, here = self.store.rows, self.here
        if here is None or (self.following and rows > 0):
            return
        self.pause()
        row = laid.row_of(here._replace(part=0))
        wanted = row + (laid.height(here) if rows == 1 else rows)  # one down is the next line, however long this one is
        self._cursor = laid.at(min(max(wanted, 0), len(laid) - 1))._replace(part=0)
        self._bring_in(self._cursor)

    def _bring_in(self, row: Row, rows: int = 0) -> None:
        """Scroll no further than needed to see a line whole, or that many rows, or as many as there is room for."""
        laid, top, height = self.store.rows, round(self.scroll_y), max(self.content_size.height, 1)
        first = laid.row_of(row)
        last = first + (rows or laid.height(row)) - 1
        self.scroll_to(y=min(max(top, last - height + 1), first), animate=False, immediate=True)
        self.refresh()
        if self.range_start is not None:
            self.post_message(self.Changed())

    def action_move_page(self, pages: float) -> None:
        """Move by pages."""
        self.action_move(round(pages * max(self.content_size.height - 1, 1)))

    def action_shift(self, steps: int) -> None:
        """Move the text sideways, as far as the longest line on screen."""
        top, laid = round(self.scroll_y), self.store.rows
        found = map(laid.at, range(top, min(top + self.content_size.height, len(laid))))
        longest = max((cell_len(laid.text(row.head, row.piece)) for row in found), default=0)
        self._shift = min(max(self._shift + steps * SIDEWAYS, 0), max(longest - SIDEWAYS, 0))
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a line, and pauses."""
        row = round(self.scroll_y) + event.y
        if row < len(self.store.rows):
            self.pause()
            self._cursor = self.store.rows.at(row)._replace(part=0)
            self.refresh()

    def on_focus(self) -> None:
        """The cursor becomes visible."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor goes."""
        self.refresh()

    # --- painting -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One row on screen; nothing off screen is ever rendered."""
        laid = self.store.rows
        number = round(self.scroll_y) + y
        if number >= len(laid):
            return self._empty(y)
        width = self.scrollable_content_region.width  # without the scrollbar
        room, matcher = laid.room, laid.matches.matcher
        row, shift = laid.at(number), 0 if room else self._shift
        line = row_line(self.store, row, Look(width, shift, self._serving, room, matcher))
        return self.strip(line, "cursor" if self.has_focus and self._is_chosen(row, number) else "")

    def _is_chosen(self, row: Row, number: int) -> bool:
        """Whether the cursor is on the row's line, or the range reaches over it."""
        here, ends = self.here, self.range_rows
        if ends is not None and ends[0] <= number <= ends[1]:
            return True
        return here is not None and (row.head, row.piece) == (here.head, here.piece)

    def _empty(self, y: int) -> Strip:
        words = "" if len(self.store.rows) else self._why_empty(y)
        if not words:
            return Strip.blank(self.content_size.width, self.rich_style)
        return self.strip([(f"  {cut(words, self.content_size.width - 2)}", "faint")])

    def _why_empty(self, y: int) -> str:
        """What a row says where no line is shown."""
        if y == 0 and len(self.store):
            return f"no line of {len(self.store):,} passes the filter; Esc clears it"
        if y == 0:
            return "no output yet: what the agent prints and logs appears here"
        parts = " and ".join(part_words(part)[1] for part in self._hiding)
        return f"{parts} {'hides' if len(self._hiding) == 1 else 'hide'} all of them" if y == 1 and parts else ""
