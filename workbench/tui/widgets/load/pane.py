"""The load pane: bar and what became of the jobs."""

from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.tui.board import Board
from workbench.tui.lines import Line
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.pane_bar import PaneBar


class LoadPane(Vertical):
    """Bar and result."""

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("load")
        yield LoadView(id="load-view")

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.query_one(LoadView).show(board)


class LoadView(LineWidget, can_focus=True):
    """The jobs by how they ended."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        counters = board.state.counters
        names = [name for name in sorted(counters) if name.startswith("jobs_")]
        return [[(f" {name.replace('_', ' ')} {counters[name]}", "dim")] for name in names]
