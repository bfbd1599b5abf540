"""The load gauge, with the mark from which jobs are refused."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line
from workbench.tui.widgets.gauges.gauge import Reading, gauge_lines, over_words
from workbench.tui.widgets.line_widget import LineWidget

NEAR = 0.8  # of the threshold


class LoadGauge(LineWidget):
    """Load against `load_threshold`."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        return gauge_lines(reading(board), width, height)


def reading(board: Board) -> Reading:
    """What the gauge shows of the board."""
    load, threshold = board.state.load.load, board.state.option("load_threshold")
    level = fmt.grade(load, threshold * NEAR if threshold else None, threshold)
    tone = fmt.GRADE_TONES[level]
    tried = board.tuning.pending.get("load_threshold")
    marks = [(float(at), sign) for at, sign in ((threshold, "┃"), (tried, fmt.PENDING_MARK)) if at]
    trend, figures = list(board.history.load), _figures(load, threshold, level)
    over = over_words(board.history.load_over, board.clock())
    return Reading("LOAD", load, 1.0, tone, figures, marks, trend, _detail(board), over)


def _figures(load: float | None, threshold: float | None, level: int) -> Line:
    if load is None:
        return [("measuring", "dim")]
    sign = fmt.GRADE_SIGNS[2] if level == 2 else ""  # only the threshold has a consequence
    limit: Line = [("of ", "dim"), (fmt.share(threshold), "strong")] if threshold else [("no limit", "dim")]
    return [(f"{fmt.share(load):>5}{sign:<2} ", fmt.GRADE_TONES[level]), *limit]


def _detail(board: Board) -> Line:
    if board.state.option("load") == "jobs":
        return [("jobs; cpu ", "faint"), (fmt.share(board.state.load.cpu), "dim")]
    return [("of the CPUs", "faint")]
