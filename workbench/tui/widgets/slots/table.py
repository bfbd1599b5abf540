"""All places for processes in rows that never move, with a cursor."""

from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message

from workbench.model.state import Job, Process
from workbench.tui.board import Board
from workbench.tui.columns import head
from workbench.tui.lines import Line, fit
from workbench.tui.places import Place
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.slots.attention import in_order
from workbench.tui.widgets.slots.columns import fitting, row

PAGE = 10
FOOT_ROWS = 2


class SlotTable(LineWidget, can_focus=True):
    """The table; the place under the cursor is what the keys act on."""

    BINDING_GROUP_TITLE = "Processes"
    BINDINGS = [
        Binding("j,down", "move(1)", "Down", show=False, tooltip="next process", id="processes.down"),
        Binding("k,up", "move(-1)", "Up", show=False, tooltip="previous process", id="processes.up"),
        Binding("ctrl+d,pagedown", f"move({PAGE})", "Page down", show=False, id="processes.page_down"),
        Binding("ctrl+u,pageup", f"move(-{PAGE})", "Page up", show=False, id="processes.page_up"),
        Binding("enter", "app.detail", "Detail", show=False, tooltip="all about it", id="processes.detail"),
        Binding(
            "S", "sort", "Sort", show=False, tooltip="sick processes first; again: stable places", id="processes.sort"
        ),
        Binding("g,home", "move(-10000)", "First", show=False, tooltip="first process", id="processes.first"),
        Binding("G,end", "move(10000)", "Last", show=False, tooltip="last process", id="processes.last"),
    ]

    class Sorted(Message):
        """The order is another one."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.cursor = 0  # a place, wherever it is shown
        self.attention = False  # the sick are shown first
        self._top = 0
        self._order: list[int] = []
        self._job_id = ""

    # --- what is selected -----------------------------------------------------------------------

    @property
    def place(self) -> Place:
        """The place under the cursor."""
        rows = self.board.places.rows if self.board is not None else []
        return rows[min(self.cursor, len(rows) - 1)] if rows else Place()

    @property
    def process(self) -> Process | None:
        """The process under the cursor."""
        return self.place.process

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        return self.place.job

    # --- drawing --------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """Draw; a selected job that went on in another place (on new code) takes the cursor along."""
        selected = board.state.jobs.get(self._job_id)
        for index, place in enumerate(board.places.rows):
            if place.job is not None and place.job is selected:
                self.cursor = index
        super().show(board)
        if self.job is not None or selected is None or not selected.active:
            self._select()

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        columns, rows = fitting(width - 2), board.places.rows
        if not rows:
            return [fit([("  waiting for the worker to tell its processes", "dim")], width)]
        self.cursor = min(self.cursor, len(rows) - 1)
        self._order = in_order(board) if self.attention else list(range(len(rows)))
        lines = [head(columns)]
        for index in self._window(height - 1 if height else len(rows)):
            lead = ("▌" if index == self.cursor else " ", "accent" if self.has_focus else "faint")
            lines.append(row(columns, rows[index], board, lead))
        return lines

    def _window(self, room: int) -> list[int]:
        """The places on screen, in the order in which they are shown."""
        room, row = max(room, 1), self._row
        self._top = min(max(self._top, row - room + 1, 0), row, max(len(self._order) - room, 0))
        return self._order[self._top : self._top + room]

    @property
    def _row(self) -> int:
        """Where the cursor's place is shown."""
        return self._order.index(self.cursor) if self.cursor in self._order else 0

    def row_tone(self, y: int) -> str:
        """See `LineWidget`."""
        return "cursor" if self.has_focus and y and y - 1 + self._top == self._row else ""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The head and every place, but with the bar above no more of the screen than the pane may have."""
        rows = 1 + max(len(self.board.places.rows) if self.board is not None else 0, 1)
        share = 0.3 if self.screen.has_class("-card") else 0.5  # as in the style sheet
        return min(rows, max(int((viewport.height - FOOT_ROWS) * share) - 1, 2))

    # --- keys and mouse -------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        if self._order:
            self.cursor = self._order[min(max(self._row + rows, 0), len(self._order) - 1)]
        self._select()
        self.redraw()
        self.refresh_bindings()

    def action_sort(self) -> None:
        """The sick first, or stable places again; the cursor stays on its process."""
        self.attention = not self.attention
        self.redraw()
        self.post_message(self.Sorted())

    def _select(self) -> None:
        self._job_id = self.job.id if self.job is not None else ""

    def on_focus(self) -> None:
        """The cursor becomes visible."""
        self.redraw()

    def on_blur(self) -> None:
        """The cursor fades."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """A click selects."""
        if event.y >= 1:
            self.action_move(self._top + event.y - 1 - self._row)

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(-1)
