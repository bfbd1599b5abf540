"""The rows round a conversation: the open rooms, what the job reports, and what can be said again."""

from textual import events

from workbench.model.state import Job, State
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, cut, fit, width_of
from workbench.tui.messages import RoomLook
from workbench.tui.widgets.cards import Card
from workbench.tui.widgets.talk.rooms import Conversation, Conversations

NAME_CELLS = 16
GAP = 2
VALUE_CHARACTERS = 60


class RoomBar(Card):
    """The open rooms, where there is more than one; a click chooses."""

    def __init__(self, rooms: Conversations) -> None:
        super().__init__(id="rooms")
        self._rooms = rooms
        self._spots: list[tuple[int, Conversation]] = []  # where each ends

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        if len(self._rooms.all) < 2:
            return []
        line: Line = []
        self._spots = []
        for talk, words in self._fitting(board.state, width):
            line += [*words, (" " * (GAP - 1), "")]
            self._spots.append((width_of(line), talk))
        return [fit(line, width)]

    def _fitting(self, state: State, width: int) -> list[tuple[Conversation, Line]]:
        """As many as have room; those that are farthest from the shown one leave first."""
        shown = self._rooms.shown
        kept = [(talk, room_tab(talk, talk is shown, state)) for talk in self._rooms.all]
        while len(kept) > 1 and sum(width_of(words) + GAP - 1 for _, words in kept) > width:
            at = next((index for index, (talk, _) in enumerate(kept) if talk is shown), 0)
            kept.pop(0 if at > len(kept) - 1 - at else -1)
        return kept

    def on_click(self, event: events.Click) -> None:
        """A click on a name looks at that room."""
        for end, talk in self._spots:
            if event.x < end:
                self.post_message(RoomLook(talk.job.id))
                return


def room_tab(talk: Conversation, here: bool, state: State) -> Line:
    """Sign, short name, and how much is unread."""
    sign, tone = room_sign(talk, state)
    name = cut(clean(talk.job.room_id, 60), NAME_CELLS)
    new: Line = [(f" +{talk.unread}", "accent")] if talk.unread else []
    return [("▌" if here else " ", "accent"), (f"{sign} ", tone), (name, "head" if here else "dim"), *new]


def room_sign(talk: Conversation, state: State) -> tuple[str, str]:
    """Joined, not joined yet, or over."""
    if talk.over(state):
        return "■", "dim"
    return ("●", "busy") if talk.joined else ("◌", "info")


class ReportLine(Card):
    """The newest values of what the shown room's job reports."""

    def __init__(self, rooms: Conversations) -> None:
        super().__init__(id="report")
        self._rooms = rooms

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        talk = self._rooms.shown
        job = board.state.jobs.get(talk.job.id) if talk is not None else None
        return [fit(report_words(job), width)] if job is not None and job.report else []


def report_words(job: Job) -> Line:
    """`turn 14  topic refund`."""
    line: Line = []
    for name, value in job.report.items():
        line += [(f" {clean(name, VALUE_CHARACTERS)} ", "faint"), (f"{clean(value, VALUE_CHARACTERS)} ", "dim")]
    return line


class AgainLine(Card):
    """What can be said again, or how far that has come."""

    def __init__(self, rooms: Conversations) -> None:
        super().__init__(id="again")
        self._rooms = rooms
        self.sending: tuple[int, int] | None = None

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        if self.sending is not None:
            number, most = self.sending
            words = f"sending {number} of {most} again" if number else f"about to send {most} again"
            return [fit([(f" {words}", "info"), ("   Esc stops", "faint")], width)]
        offered = len(self._rooms.offers(board.state)) if board.stale_since is None else 0
        if not offered:
            return []
        words = "says this again" if offered == 1 else f"says these {offered} again"
        if self._rooms.shown is not None and self._rooms.shown.past(board.state):
            words += " to a new job"
        return [fit([(" Ctrl-r ", "accent"), (words, "faint")], width)]
