"""The order of places that shows the sick ones first; within equals each keeps its place."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.places import Place

RECENT_S = 600.0  # an end longer ago asks for nobody's attention


def in_order(board: Board) -> list[int]:
    """The numbers of the places as they are shown."""
    rows = board.places.rows
    return sorted(range(len(rows)), key=lambda index: rank(rows[index], board))


def rank(place: Place, board: Board) -> int:
    """Dead, stalled, over memory, stopping, all others."""
    process = place.process
    if process is None:
        return 0 if _died(place, board) else 4
    if process.stalled and process.state != "stopping":
        return 1
    marks = (board.state.option("memory_warn_mb"), board.state.option("memory_limit_mb"))
    if fmt.grade(process.memory_mb, *marks):
        return 2
    return 3 if process.state == "stopping" else 4


def _died(place: Place, board: Board) -> bool:
    """The last process here came to a bad end, and nothing has taken its place."""
    end, job = place.end, place.last_job
    since = board.clock() - RECENT_S
    if end is not None and end.at > since and end.unexpected:
        return True
    return job is not None and job.status == "failed" and (job.ended_at or 0.0) > since
