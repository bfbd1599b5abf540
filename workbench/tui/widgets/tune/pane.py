"""The tuning pane: bar and list."""

from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.model.options import meta
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, pad
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.pane_bar import PaneBar


class TunePane(Vertical):
    """Bar and list."""

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("tune")
        yield TuneView(id="tune-view")

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.query_one(TuneView).show(board)


class TuneView(LineWidget, can_focus=True):
    """The options."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        return [
            [
                (pad(f" {name}", 24), "plain"),
                (pad(clean(found["value"], 24), 26), "strong"),
                (meta(name)["effect"], "dim"),
            ]
            for name, found in board.state.options.items()
        ]
