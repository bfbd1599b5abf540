"""How jobs went: running now, and the ends counted."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, spread
from workbench.tui.widgets.line_widget import LineWidget


class JobsPanel(LineWidget):
    """Numbers of jobs by how they stand."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        running: Line = [("now ", "dim"), (str(len(board.state.active_jobs())), "busy")]
        return [spread([("JOBS", "dim")], running, width), ended(board), other(board)]


def ended(board: Board) -> Line:
    """Completed and failed."""
    counters = board.state.counters
    failed = counters["jobs_failed"]
    line: Line = [
        ("✓ ", "good"),
        (fmt.count(counters["jobs_completed"]), "plain"),
        ("  ✗ ", "bad" if failed else "dim"),
    ]
    return [*line, (fmt.count(failed), "bad" if failed else "plain"), (" failed", "dim")]


def other(board: Board) -> Line:
    """Cancelled and refused."""
    counters = board.state.counters
    refused = counters["jobs_refused"]
    line: Line = [
        ("■ ", "dim"),
        (fmt.count(counters["jobs_cancelled"]), "plain"),
        ("  ! ", "warn" if refused else "dim"),
    ]
    return [*line, (fmt.count(refused), "warn" if refused else "plain"), (" refused", "dim")]
