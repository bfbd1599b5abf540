"""The line above the keys: what stands now, else the last note that is bad, else the last of all."""

from workbench.tui import format as fmt
from workbench.tui.lines import Line, clean, fit
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.notes import who
from workbench.tui.registry.words import worker_note
from workbench.tui.widgets.line_widget import Painted

RECENT_S = 600.0


class RegistryStatus(Painted[RegistryBoard]):
    """One row."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        return [fit([(" ", ""), *(standing(board) or latest(board))], width - 1)]


def standing(board: RegistryBoard) -> Line:
    """A trouble that lasts; nobody knows of any where the registry is not heard of."""
    if board.stale_since is not None or not board.known:
        return []
    seen = board.seen
    for worker in seen.workers.values():
        if not worker.connected:
            return [(f"✗ {who(worker)} is lost", "bad"), (f"  {clean(worker_note(worker, board)[0])}", "dim")]
    if seen.about.queue:
        used, most = seen.slots
        return [(f"◌ {seen.about.queue} waiting", "warn"), (f"  {used} of {most} slots are taken", "dim")]
    return []


def latest(board: RegistryBoard) -> Line:
    """The last note that is bad and recent, else the last of all."""
    recent = [n for n in board.notes if n.tone in ("bad", "warn") and board.now() - n.at < RECENT_S]
    note = recent[-1] if recent else board.notes[-1] if board.notes else None
    if note is None:
        return [("nothing to report", "faint")]
    tone = note.tone if note.tone in ("bad", "warn") else "dim"
    return [(f"{note.sign} {fmt.clock_time(note.at)} ", "dim"), (note.text, tone)]
