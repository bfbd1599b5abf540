"""The line above the keys: the last thing that went wrong, or that nothing did."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, Span, clean, spread
from workbench.tui.notes import CANNOT_SERVE
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.slots.notes import stack_line
from workbench.tui.words import SUSPENDED, retry_words, suspended_words

RECENT_S = 600.0
HOG_CPU = 0.3  # of one CPU: less is no cause of a load


class StatusLine(LineWidget):
    """What stands now comes before what happened."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        return [spread([(" ", ""), *(standing(board) or latest(board))], dropped(board), width - 1)]


def standing(board: Board) -> Line:
    """A trouble that lasts; nobody knows of any where the worker is not heard of."""
    if board.stale_since is not None:
        return []
    for process in board.state.processes.values():
        if process.stalled:
            line = stack_line(process.stack)
            at = f" at {line}" if line else ""
            beat = fmt.beat(process.heartbeat_age_s)
            return [(f"▲ process {process.pid} stands still for {beat}{at}", "bad")]
    reload, link = board.state.reload, board.state.link
    if link.state == "failed":
        return [(f"✗ registry: {clean(link.why, 300)}", "bad"), ("  L tries again", "dim")]
    if reload.step == "loading" and reload.detail:
        return [(f"◌ loading generation {reload.generation} stands at {clean(reload.detail, 160)}", "info")]
    worker = board.state.worker
    if worker.status == "over_load":
        return over_load(board)
    if worker.degraded or worker.held_why:
        return [(f"! {clean(worker.held_why)}", "bad" if worker.degraded else "warn")]
    if link.state == "waiting":
        again = f"  {retry_words(board.state, board.clock())}; L tries now"
        return [(f"◐ registry: {clean(link.why, 300)}", "warn"), (again, "dim")]
    if reload.suspended:
        return [(f"! {suspended_words(reload.suspended)}", "warn")]
    return []


def over_load(board: Board) -> Line:
    """Who keeps the CPUs busy: the greediest process, or nobody of ours."""
    processes = [process for process in board.state.processes.values() if process.cpu is not None]
    hog = max(processes, key=lambda process: process.cpu or 0.0, default=None)
    refused: Span = ("  new jobs are refused", "dim")
    if hog is None or (hog.cpu or 0.0) < HOG_CPU:
        ours = sum(process.cpu or 0.0 for process in processes)
        return [(f"▲ over load by other programs: the worker's own use {fmt.share(ours)} of a CPU", "warn"), refused]
    return [(f"▲ over load: process {hog.pid} uses {fmt.share(hog.cpu)} of a CPU", "warn"), refused]


def latest(board: Board) -> Line:
    """The last note that is bad and recent, else the last of all."""
    reload = board.state.reload
    lasting = {CANNOT_SERVE: bool(reload.problem), SUSPENDED: bool(reload.suspended)}
    lasting |= {f"registry {state}": board.state.link.state == state for state in ("waiting", "failed")}
    over = tuple(words for words, stands in lasting.items() if not stands)
    notes = [n for n in board.notes if not n.text.startswith(over)]
    recent = [n for n in notes if n.tone in ("bad", "warn") and board.clock() - n.at < RECENT_S]
    if not recent and unfollowed(board):
        return [(f"○ registry: {clean(board.state.link.why, 300)}", "info")]
    note = recent[-1] if recent else notes[-1] if notes else None
    if note is None:
        return [("nothing to report", "faint")]
    tone = note.tone if note.tone in ("bad", "warn") else "dim"
    return [(f"{note.sign} {fmt.clock_time(note.at)} ", "dim"), (note.text, tone)]


def unfollowed(board: Board) -> bool:
    """The options say that the worker registers, and it does not."""
    return board.state.link.state == "local" and bool(board.state.option("register"))


def dropped(board: Board) -> Line:
    """Log lines that the supervisor could not keep."""
    number = board.state.counters["log_lines_dropped"]
    return [(f"! {fmt.count(number)} log lines dropped", "warn")] if number else []
