"""What happened, newest last: jobs and processes that ended, reloads, refusals."""

from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from typing import Protocol

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from workbench.tui import format as fmt
from workbench.tui.lines import Line, wrap
from workbench.tui.notes import Note
from workbench.tui.widgets.line_widget import Painted
from workbench.tui.widgets.pane_bar import PANES, PaneBar

INDENT = 11
NOTHING = "nothing has happened yet: jobs that end, processes that die, reloads and refusals stand here; n starts a job"


class Telling(Protocol):
    """What has notes, newest last."""

    notes: deque[Note]


class EventsView(Painted[Telling], can_focus=True):
    """The notes, wrapped; the latest stay in sight unless one scrolls up."""

    BINDING_GROUP_TITLE = "Events"
    BINDINGS = [
        Binding("k,up", "scroll_rows(1)", "Up", show=False, tooltip="earlier events", id="events.up"),
        Binding("j,down", "scroll_rows(-1)", "Down", show=False, tooltip="later events", id="events.down"),
        Binding("ctrl+u,pageup", "scroll_rows(10)", "Page up", show=False, id="events.page_up"),
        Binding("ctrl+d,pagedown", "scroll_rows(-10)", "Page down", show=False, id="events.page_down"),
        Binding("G,end,f", "scroll_rows(-10000)", "Latest", show=False, id="events.latest"),
    ]

    def __init__(self, nothing: str = NOTHING, *, id: str) -> None:
        super().__init__(id=id)
        self._nothing = nothing
        self._back = 0
        self._last: Note | None = None

    def draw(self, board: Telling, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        if not board.notes:
            return [[(f"  {row}", "faint")] for row in wrap(self._nothing, width - 3)]
        rows = [row for note in board.notes for row in note_rows(note, width)]
        if self._back:  # what is read does not move when something new comes
            self._back += sum(len(note_rows(note, width)) for note in newer(board, self._last))
        self._last = board.notes[-1]
        self._back = min(self._back, max(len(rows) - height, 0))
        end = len(rows) - self._back
        return rows[max(end - height, 0) : end]

    def action_scroll_rows(self, rows: int) -> None:
        """Go back in time, or forth."""
        self._back = max(self._back + rows, 0)
        self.redraw()

    def on_mouse_scroll_up(self) -> None:
        """The wheel goes back in time."""
        self.action_scroll_rows(1)

    def on_mouse_scroll_down(self) -> None:
        """The wheel goes forth."""
        self.action_scroll_rows(-1)


def newer(board: Telling, last: Note | None) -> Iterator[Note]:
    """The notes after `last`; all of them when it is not there any more."""
    return takewhile(lambda note: note is not last, reversed(board.notes))


def note_rows(note: Note, width: int) -> list[Line]:
    """One note, with a hanging indent."""
    first, *more = wrap(note.text, width - INDENT - 1)
    tone = note.tone if note.tone in ("bad", "warn") else "plain"
    head: Line = [(f" {fmt.clock_time(note.at)} ", "faint"), (f"{note.sign} ", note.tone)]
    return [[*head, (first, tone)], *([(" " * (INDENT + 1), ""), (text, tone)] for text in more)]


class EventsPane(Vertical):
    """Bar and notes."""

    def __init__(self, nothing: str = NOTHING, panes: tuple[str, ...] = PANES, *, id: str) -> None:
        super().__init__(id=id)
        self._nothing, self._panes = nothing, panes

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("events", self._panes)
        yield EventsView(self._nothing, id="events-view")

    def show(self, board: Telling) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.query_one(EventsView).show(board)
