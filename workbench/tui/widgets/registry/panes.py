"""The panes of workers and of jobs: a bar with the filter and the order, and the table."""

from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.tui.lines import Line, clean
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.widgets.pane_bar import PaneBar
from workbench.tui.widgets.registry.table import RegistryTable

PANES = ("workers", "jobs", "events")


class TablePane(Vertical):
    """Bar and table."""

    def __init__(self, table: RegistryTable, *, id: str) -> None:
        super().__init__(id=id)
        self.table = table
        self._laid_out = -1

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar(str(self.id), PANES)
        yield self.table

    def show(self, board: RegistryBoard) -> None:
        """Draw from the board."""
        self.table.show(board)
        bar = self.query_one(PaneBar)
        bar.show(board)
        bar.tell(*self._told(board))
        number = len(self.table.items(board))
        if number != self._laid_out:  # what the height of the table may depend on
            self._laid_out = number
            self.table.refresh(layout=True)

    def _told(self, board: RegistryBoard) -> list[tuple[int, Line]]:
        everything, parts = len(self.table.items(board)), []
        if self.table.filter:
            shown = f" {len(self.table.rows(board))} of {everything}"
            parts.append((0, [(f"/{clean(self.table.filter, 40)}", "accent"), (shown, "dim")]))
        else:
            parts.append((2, [(str(everything), "dim")]))
        if self.table.attention:
            parts.append((1, [("sick first", "accent"), (", S as they came", "dim")]))
        return parts
