"""The tables of workers and of jobs: the cursor stays on its row's worker or job, wherever that moves."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.tui.columns import Column, cells, fitted, head
from workbench.tui.lines import Line, fit
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.words import job_rank, matches, worker_rank
from workbench.tui.widgets.line_widget import Painted
from workbench.tui.widgets.registry.columns import JOBS, WORKERS

PAGE = 10
FOOT_ROWS = 2
Row = SeenWorker | SeenJob


class RegistryTable(Painted[RegistryBoard], can_focus=True):
    """Rows of one kind, filtered and in an order."""

    BINDING_GROUP_TITLE = "Tables"
    BINDINGS = [
        Binding("j,down", "move(1)", "Down", show=False, tooltip="next row", id="rows.down"),
        Binding("k,up", "move(-1)", "Up", show=False, tooltip="previous row", id="rows.up"),
        Binding("ctrl+d,pagedown", f"move({PAGE})", "Page down", show=False, id="rows.page_down"),
        Binding("ctrl+u,pageup", f"move(-{PAGE})", "Page up", show=False, id="rows.page_up"),
        Binding("g,home", "move(-100000)", "First", show=False, tooltip="first row", id="rows.first"),
        Binding("G,end", "move(100000)", "Last", show=False, tooltip="last row", id="rows.last"),
        Binding("S", "sort", "Sort", show=False, tooltip="who needs a look first; again: as they came", id="rows.sort"),
    ]
    COLUMNS: ClassVar[Sequence[Column]] = ()
    NOTHING: ClassVar[str] = ""

    class Moved(Message):
        """Another row, another order or another filter."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.filter = ""
        self.attention = False
        self.selected_id = ""
        self._top = self._at = 0
        self._held = False  # somebody was here, and has a row under the cursor; until then it is the first one
        self._ids: list[str] = []

    # --- rows -----------------------------------------------------------------------------------

    def items(self, board: RegistryBoard) -> list[Row]:
        """All rows, as they came."""
        raise NotImplementedError

    def texts(self, item: Row) -> tuple[str, ...]:
        """What a filter looks at."""
        raise NotImplementedError

    def rank(self, item: Row, board: RegistryBoard) -> int:
        """The less the sooner it needs a look."""
        raise NotImplementedError

    def rows(self, board: RegistryBoard) -> list[Row]:
        """Those that are shown, in their order."""
        found = [item for item in self.items(board) if not self.filter or matches(self.filter, *self.texts(item))]
        return sorted(found, key=lambda item: self.rank(item, board)) if self.attention else found

    # --- drawing --------------------------------------------------------------------------------

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        rows = self.rows(board)
        self._ids = [item.id for item in rows]
        if not rows:
            self.selected_id = ""
            return [fit([(f"  {'nothing matches the filter' if self.filter else self.NOTHING}", "dim")], width)]
        if self._held and self.selected_id in self._ids:
            self._at = self._ids.index(self.selected_id)
        self._at = min(self._at, len(rows) - 1)
        self.selected_id = self._ids[self._at]
        columns, room = fitted(self.COLUMNS, width - 2), max(height - 1 if height else len(rows), 1)
        self._top = min(max(self._top, self._at - room + 1, 0), self._at, max(len(rows) - room, 0))
        lines = [head(columns)]
        for index in range(self._top, min(self._top + room, len(rows))):
            lead = ("▌" if index == self._at else " ", "accent" if self.has_focus else "faint")
            lines.append(cells(columns, rows[index], board, lead))
        return lines

    def row_tone(self, y: int) -> str:
        """See `Painted`."""
        return "cursor" if self.has_focus and self._ids and y and y - 1 + self._top == self._at else ""

    # --- keys and mouse -------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        if self._ids:
            self._at = min(max(self._at + rows, 0), len(self._ids) - 1)
            self.selected_id = self._ids[self._at]
        self.changed()

    def action_sort(self) -> None:
        """Who needs a look first, or as they came; the cursor stays on its row."""
        self.attention = not self.attention
        self.changed()

    def changed(self) -> None:
        """Draw, and let the keys follow."""
        self.redraw()
        self.refresh_bindings()
        self.post_message(self.Moved())

    def on_focus(self) -> None:
        """The cursor becomes visible, and keeps its row from here on."""
        self._held = True
        self.redraw()

    def on_blur(self) -> None:
        """The cursor fades."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """A click selects."""
        if event.y >= 1:
            self.action_move(self._top + event.y - 1 - self._at)

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self.action_move(-1)


class WorkersTable(RegistryTable):
    """The workers, in the order in which they registered."""

    COLUMNS = WORKERS
    NOTHING = "no worker is registered: workbench AGENT --register --registry-url THIS REGISTRY"

    def items(self, board: RegistryBoard) -> list[Row]:
        """See `RegistryTable`."""
        return list(board.seen.workers.values())

    def texts(self, item: Row) -> tuple[str, ...]:
        """See `RegistryTable`."""
        assert isinstance(item, SeenWorker)
        return item.id, item.agent_name, item.kind, item.status, item.address, *item.notes

    def rank(self, item: Row, board: RegistryBoard) -> int:
        """See `RegistryTable`."""
        assert isinstance(item, SeenWorker)
        return worker_rank(item, board)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The head and every worker, but with the bar above no more of the screen than the pane may have."""
        rows = 1 + max(len(self.board.seen.workers) if self.board is not None else 0, 1)
        return min(rows, max((viewport.height - FOOT_ROWS) // 2 - 1, 2))


class JobsTable(RegistryTable):
    """The jobs, newest first."""

    COLUMNS = JOBS
    NOTHING = "no job yet: n dispatches one"

    def items(self, board: RegistryBoard) -> list[Row]:
        """See `RegistryTable`."""
        return [*sorted(board.seen.jobs.values(), key=lambda job: job.queued_at, reverse=True)]

    def texts(self, item: Row) -> tuple[str, ...]:
        """See `RegistryTable`."""
        assert isinstance(item, SeenJob)
        worker, reason, error = item.worker_id or "", item.reason or "", item.error or ""
        return item.id, item.agent_name, item.room_id, item.status, worker, reason, error

    def rank(self, item: Row, board: RegistryBoard) -> int:
        """See `RegistryTable`."""
        assert isinstance(item, SeenJob)
        return job_rank(item, board)
