"""The memory gauge: the largest job against the marks that hold for every job, and the total."""

from workbench.model.state import Process
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line
from workbench.tui.widgets.gauges.gauge import Reading, gauge_lines, over_words
from workbench.tui.widgets.line_widget import LineWidget

HEADROOM = 1.1


class MemoryGauge(LineWidget):
    """The worst process against `memory_warn_mb` and `memory_limit_mb`."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        return gauge_lines(reading(board), width, height)


def worst(board: Board) -> Process | None:
    """The process that holds most."""
    known = [process for process in board.state.processes.values() if process.memory_mb is not None]
    return max(known, key=lambda process: process.memory_mb or 0.0, default=None)


def reading(board: Board) -> Reading:
    """What the gauge shows of the board."""
    warn, limit = board.state.option("memory_warn_mb") or 0.0, board.state.option("memory_limit_mb") or 0.0
    process = worst(board)
    held = process.memory_mb if process else None
    level = fmt.grade(held, warn, limit)
    tried = [board.tuning.pending.get(name) or 0.0 for name in ("memory_warn_mb", "memory_limit_mb")]
    top = max(limit, warn, *tried, held or 0.0, 1.0) * HEADROOM
    marks = [(mark, sign) for mark, sign in ((warn, "┊"), (limit, "┃")) if mark]
    marks += [(mark, fmt.PENDING_MARK) for mark in tried if mark]
    trend, figures = list(board.history.worst_mb), _figures(held, limit or warn, level)
    over = over_words(board.history.memory_over, board.clock())
    return Reading("MEM", held, top, fmt.GRADE_TONES[level], figures, marks, trend, _detail(board, process), over)


def _figures(held: float | None, mark: float, level: int) -> Line:
    most: Line = [("of ", "dim"), (fmt.megabytes(mark), "strong")] if mark else [("no limit", "dim")]
    return [(f"{fmt.megabytes(held):>5}{fmt.GRADE_SIGNS[level]:<2} ", fmt.GRADE_TONES[level]), *most]


def _detail(board: Board, process: Process | None) -> Line:
    whose: Line = [("pid ", "faint"), (str(process.pid), "dim"), ("  ", "")] if process else []
    return [*whose, ("all ", "faint"), (fmt.megabytes(board.state.load.memory_mb), "dim")]
