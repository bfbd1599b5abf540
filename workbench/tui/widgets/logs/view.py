"""The log view. What is read does not move: a place in the log is a record's serial, not a row number."""

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.messages import CopyWanted
from workbench.tui.widgets.line_widget import ToneStyles
from workbench.tui.widgets.logs.filter import LogFilter
from workbench.tui.widgets.logs.lines import copy_text, log_line
from workbench.tui.widgets.logs.store import LogRecord, LogStore

SIDEWAYS = 16


class LogView(ToneStyles, ScrollView, can_focus=True):
    """The records that the filter lets through, painted only where they are on screen."""

    BINDING_GROUP_TITLE = "Logs"
    BINDINGS = [
        Binding("f", "follow", "Follow", tooltip="follow the newest line, or stop following", id="logs.follow"),
        Binding("L", "level", "Level", tooltip="hide lines below INFO, WARNING, ERROR", id="logs.level"),
        Binding("y", "copy_line", "Copy", tooltip="copy the line under the cursor", id="logs.copy_line"),
        Binding("Y", "copy_all", "Copy all", show=False, tooltip="copy all lines shown", id="logs.copy_all"),
        Binding(
            "G,end",
            "newest",
            "Newest",
            show=False,
            tooltip="go to the newest line, and follow",
            id="logs.newest",
        ),
        Binding("g,home", "oldest", "Oldest", show=False, tooltip="go to the oldest line", id="logs.oldest"),
        Binding("j,down", "move(1)", "Down", show=False, tooltip="next line", id="logs.down"),
        Binding("k,up", "move(-1)", "Up", show=False, tooltip="previous line", id="logs.up"),
        Binding("ctrl+d", "move_page(0.5)", "Half down", show=False, id="logs.half_down"),
        Binding("ctrl+u", "move_page(-0.5)", "Half up", show=False, id="logs.half_up"),
        Binding("space,pagedown", "move_page(1)", "Page down", show=False, id="logs.page_down"),
        Binding("b,pageup", "move_page(-1)", "Page up", show=False, id="logs.page_up"),
        Binding("left", "shift(-1)", "Left", show=False, tooltip="see the start of long lines", id="logs.left"),
        Binding("right", "shift(1)", "Right", show=False, tooltip="see the rest of long lines", id="logs.right"),
    ]

    class Changed(Message):
        """What the bar of the pane tells is different."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.store = LogStore()
        self.following = True
        self._seen = 0
        self._cursor = 0
        self._anchor = 0
        self._shift = 0
        self._placing = False
        self._serving = 0

    # --- what comes in --------------------------------------------------------------------------

    def add(self, records: list[LogRecord]) -> None:
        """Take new records; the view moves only while it follows."""
        if not records:
            return
        self.store.add(records)
        self._settle()

    def serve(self, generation: int) -> None:
        """Lines of other code than this are marked."""
        if generation != self._serving:
            self._serving = generation
            self.refresh()

    def set_filter(self, changed: LogFilter) -> None:
        """Show what another filter lets through, with the same line in its place where it is still shown."""
        self.store.refilter(changed)
        self._settle()

    # --- where one is ---------------------------------------------------------------------------

    @property
    def cursor(self) -> LogRecord | None:
        """The record under the cursor: the newest one while following."""
        shown = self.store.shown
        return self.store.record(shown[self._cursor_row]) if shown else None

    @property
    def unseen(self) -> int:
        """Lines shown that came after one stopped following."""
        return 0 if self.following else len(self.store.shown) - self.store.place(self._seen)

    @property
    def _cursor_row(self) -> int:
        last = len(self.store.shown) - 1
        return last if self.following else min(self.store.place(self._cursor), last)

    def _settle(self) -> None:
        """After any change of what is shown: the anchored record stays in its row."""
        shown = self.store.shown
        self._placing = True
        self.virtual_size = Size(self.content_size.width, len(shown))
        row = self.max_scroll_y if self.following else self.store.place(self._anchor)
        self.scroll_to(y=row, animate=False, immediate=True)
        self._placing = False
        self.refresh()
        self.post_message(self.Changed())

    def pause(self) -> None:
        """Stop following; what is on screen stays there."""
        if self.following:
            shown = self.store.shown
            self._cursor = shown[-1] if shown else 0
            self.following, self._seen = False, self.store.next_serial
            self._keep_anchor()
            self.post_message(self.Changed())

    def _keep_anchor(self) -> None:
        shown = self.store.shown
        if not shown:
            self._anchor = self.store.next_serial
            return
        top = min(round(self.scroll_y), len(shown) - 1)
        self._anchor = shown[top]
        bottom = min(top + max(self.content_size.height, 1), len(shown)) - 1
        self._cursor = min(max(self._cursor, shown[top]), shown[bottom])

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
        self._settle()

    # --- painting -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One row on screen; nothing off screen is ever rendered."""
        width, shown = self.content_size.width, self.store.shown
        row = round(self.scroll_y) + y
        if row >= len(shown):
            return self._empty(y, width)
        seen = self.scrollable_content_region.width  # without the scrollbar
        line = log_line(self.store.record(shown[row]), seen, self._shift, self._serving)
        return self.strip(line, "cursor" if self.has_focus and row == self._cursor_row else "")

    def _empty(self, y: int, width: int) -> Strip:
        if y or self.store.shown:
            return Strip.blank(width, self.rich_style)
        if len(self.store):
            words = f"  no line of {len(self.store):,} passes the filter; Esc clears it"
        else:
            words = "  no output yet: what the agent prints and logs appears here"
        return self.strip([(words, "faint")])

    # --- keys -----------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow, or stop following."""
        if self.following:
            self.pause()
        else:
            self.action_newest()
        self.refresh()

    def action_newest(self) -> None:
        """Go to the end and follow."""
        self.following = True
        self._settle()

    def action_oldest(self) -> None:
        """Go to the beginning."""
        self.action_move(-len(self.store.shown))

    def action_move(self, rows: int) -> None:
        """Move the cursor; the view comes along only where it must."""
        shown = self.store.shown
        if not shown or (self.following and rows > 0):
            return
        self.pause()
        row = min(max(self._cursor_row + rows, 0), len(shown) - 1)
        self._cursor = shown[row]
        top, height = round(self.scroll_y), max(self.content_size.height, 1)
        self.scroll_to(y=min(max(top, row - height + 1), row), animate=False, immediate=True)
        self.refresh()

    def action_move_page(self, pages: float) -> None:
        """Move by pages."""
        self.action_move(round(pages * max(self.content_size.height - 1, 1)))

    def action_shift(self, steps: int) -> None:
        """Move the text sideways, as far as the longest line on screen."""
        top = round(self.scroll_y)
        rows = range(top, min(top + self.content_size.height, len(self.store.shown)))
        longest = max((cell_len(self.store.record(self.store.shown[row]).text) for row in rows), default=0)
        self._shift = min(max(self._shift + steps * SIDEWAYS, 0), max(longest - SIDEWAYS, 0))
        self.refresh()

    def action_level(self) -> None:
        """One level stricter, and round again."""
        self.set_filter(self.store.filter.next_level())

    def action_copy_line(self) -> None:
        """Copy the line under the cursor."""
        record = self.cursor
        if record is not None:
            self.post_message(CopyWanted(copy_text(record), 1))

    def action_copy_all(self) -> None:
        """Copy all lines shown."""
        lines = [copy_text(self.store.record(serial)) for serial in self.store.shown]
        if lines:
            self.post_message(CopyWanted("\n".join(lines), len(lines)))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a line, and pauses."""
        row = round(self.scroll_y) + event.y
        if row < len(self.store.shown):
            self.pause()
            self._cursor = self.store.shown[row]
            self.refresh()

    def on_focus(self) -> None:
        """The cursor becomes visible."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor goes."""
        self.refresh()
