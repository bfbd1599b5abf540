"""The pool of processes: one sign for each place, the numbers, and why none is started."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, spread, width_of
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.words import process_look


class PoolPanel(LineWidget):
    """Busy, idle, starting and stopping, of how many, and how many idle ones are wanted."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        most = board.state.option("max_processes")
        total: Line = [(f"of {most}" if most is not None else "", "strong")]
        head = spread([("POOL", "dim")], total, width)
        return [head, *_signs(board, width), *_numbers(board, width)]


def _signs(board: Board, width: int) -> list[Line]:
    line: Line = []
    for place in board.places.rows[: max((width + 1) // 2, 1)]:
        look = process_look(place.process) if place.process else None
        line.append((f"{look.sign} ", look.tone) if look else ("· ", "faint"))
    return [line]


def _numbers(board: Board, width: int) -> list[Line]:
    """On one row where it fits, else on two."""
    words = pool_words(board)
    if width_of(words) <= width:
        return [words]
    return [words[:4], words[4:]]


def pool_words(board: Board) -> Line:
    """`busy 3  idle 1/1  reserved 1` (slots kept for jobs that were offered); what is zero and unusual is left out."""
    state = board.state
    line: Line = [("busy ", "dim"), (str(len(state.live("busy"))), "busy"), ("  idle ", "dim")]
    line.append((f"{len(state.live('idle'))}/{board.idle_target()}", "good"))
    for name, tone in (("starting", "info"), ("stopping", "warn")):
        if number := len(state.live(name)):
            line += [(f"  {name} ", "dim"), (str(number), tone)]
    if reserved := state.worker.reserved:
        line += [("  reserved ", "dim"), (str(reserved), "info")]
    return line


def waiting(board: Board) -> Line:
    """Why the next process is not started yet; empty when nothing holds it."""
    until = board.state.worker.held_until_at
    if until is None:
        return []
    left = max(until - board.clock(), 0)
    return [(f"! next start in {fmt.age(left)}: {clean(board.state.worker.held_why, 80)}", "warn")]
