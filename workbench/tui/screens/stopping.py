"""What is left while the supervisor ends."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, fit
from workbench.tui.widgets.line_widget import LineWidget

SHOWN = 8
KILLED_AFTER_S = 5.0  # the supervisor's own bound, where `close_timeout` is not less


class StoppingList(LineWidget):
    """The jobs and processes that have not ended yet, and how long they still have."""

    kill_at: float | None = None

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        jobs = board.state.active_jobs()
        words = f"{plural(len(jobs), 'job')}, {plural(len(board.state.processes), 'process')} left"
        lines: list[Line] = [[(words, "strong")]]
        if jobs and self.kill_at is not None:
            left = self.kill_at - board.clock()
            lines[0].append((f"   killed in {fmt.age(left + 0.99)}" if left > 0 else "   being killed", "warn"))
        for job in jobs[:SHOWN]:
            asked = f"  {clean(job.asked, 20)}" if job.asked else ""
            lines.append(fit([("● ", "busy"), (clean(job.id, 40), "plain"), (asked, "warn")], width))
        if len(jobs) > SHOWN:
            lines.append([(f"  and {len(jobs) - SHOWN} more", "dim")])
        return [*lines, [], [("K", "accent"), (" kill everything now", "dim")]]


class StoppingScreen(ModalScreen[None]):
    """Stays until the supervisor is gone; the app leaves then."""

    BINDINGS = [Binding("K", "app.kill_supervisor", "Kill now", tooltip="kill the supervisor and all jobs at once")]

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def compose(self) -> ComposeResult:
        """The parts."""
        yield StoppingList(id="stopping")

    def on_mount(self) -> None:
        """First look."""
        close_s = self._board.state.option("close_timeout")
        close_s = KILLED_AFTER_S if close_s is None else min(KILLED_AFTER_S, float(close_s))
        self.query_one(StoppingList).kill_at = self._board.clock() + close_s
        self.query_one(StoppingList).border_title = "Stopping"
        self.show(self._board)

    def show(self, board: Board) -> None:
        """What is left now."""
        self.query_one(StoppingList).show(board)
        self.query_one(StoppingList).refresh(layout=True)
