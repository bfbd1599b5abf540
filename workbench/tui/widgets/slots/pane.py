"""The process pane: a bar with the pool in words, and the table."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.model.text import plural
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean
from workbench.tui.widgets.gauges.pool import pool_words, waiting
from workbench.tui.widgets.pane_bar import PaneBar
from workbench.tui.widgets.slots.table import SlotTable


class SlotPane(Vertical):
    """Bar and table."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._laid_out = (0, False)

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("processes")
        yield SlotTable(id="table")

    @property
    def table(self) -> SlotTable:
        """The table."""
        return self.query_one(SlotTable)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        bar, table = self.query_one(PaneBar), self.table
        bar.show(board)
        in_panel = self.screen.has_class("-panels")
        parts: list[tuple[int, Line]] = [(1, watch_words(board) if in_panel else pool_words(board))]
        if in_panel and (kept := board.state.worker.reserved):
            parts.append((0, [(f"{kept} reserved", "info")]))
        if wait := waiting(board):
            parts.append((0, wait))
        if table.attention:
            parts.append((0, [("sick first", "accent"), (", S stable", "dim")]))
        bar.tell(*parts)
        table.show(board)
        wanted = (len(board.places.rows), self.screen.has_class("-card"))  # what the table's height depends on
        if wanted != self._laid_out:
            self._laid_out = wanted
            table.refresh(layout=True)

    @on(SlotTable.Sorted)
    def _sorted(self, event: SlotTable.Sorted) -> None:
        event.stop()
        if self.table.board is not None:
            self.show(self.table.board)


def watch_words(board: Board) -> Line:
    """Whether saves are followed, and how; what becomes of running jobs then."""
    reload = board.state.reload
    parts = [clean(reload.mode, 16)]
    parts += ["restarts jobs"] if reload.jobs == "restart" and reload.mode != "off" else []
    parts += [f"{plural(reload.watched, 'file')} watched"] if reload.watched else []
    parts += [f"polling ({clean(reload.polling, 80)})"] if reload.polling else []
    return [("reload ", "faint"), (", ".join(parts), "dim")]
