"""The talk pane: the open rooms, the conversation of one of them, and the field to say something."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean
from workbench.tui.messages import (
    RoomCloseWanted,
    RoomJoined,
    RoomLeft,
    RoomLook,
    RoomSaid,
    SayAgainStopped,
    SayAgainWanted,
    SayWanted,
)
from workbench.tui.widgets.clean_input import CleanInput
from workbench.tui.widgets.pane_bar import PaneBar
from workbench.tui.widgets.talk.bars import AgainLine, ReportLine, RoomBar, room_sign
from workbench.tui.widgets.talk.rooms import Conversation, Conversations, Recall
from workbench.tui.widgets.talk.view import TalkView

SAY = "say something, Enter sends"
NEXT, BEFORE = "show the next open room", "show the open room before"


class TalkPane(Vertical):
    """Conversations with jobs, one of them shown."""

    BINDING_GROUP_TITLE = "Rooms"
    BINDINGS = [
        Binding("right_square_bracket", "step(1)", "Next room", key_display="]", tooltip=NEXT, id="talk.next"),
        Binding(
            "left_square_bracket", "step(-1)", "Room before", False, key_display="[", tooltip=BEFORE, id="talk.before"
        ),
        Binding("alt+right", "step(1)", "Next room", key_display="alt+→", tooltip=NEXT, id="talk.next"),
        Binding("alt+left", "step(-1)", "Room before", False, key_display="alt+←", tooltip=BEFORE, id="talk.before"),
        Binding(
            "w", "close", "Close room", show=False, tooltip="leave the shown room; its job runs on", id="talk.close"
        ),
        Binding(
            "ctrl+r",
            "again",
            "Say again",
            tooltip="say the messages of the last conversation again",
            id="talk.again",
        ),
        Binding("escape", "stop", "Stop", tooltip="stop saying messages again", id="talk.stop"),
        Binding("up", "recall(-1)", "Earlier words", show=False, tooltip="recall earlier words", id="talk.earlier"),
        Binding("down", "recall(1)", "Later words", show=False, tooltip="recall later words", id="talk.later"),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.rooms = Conversations()
        self._recall = Recall()
        self._board: Board | None = None
        self._queued = False
        self._could: list[bool | None] = []

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("talk")
        yield RoomBar(self.rooms)
        yield ReportLine(self.rooms)
        yield TalkView(id="talk-view")
        yield AgainLine(self.rooms)
        yield CleanInput(placeholder=SAY, compact=True, id="say")

    @property
    def view(self) -> TalkView:
        """The conversation."""
        return self.query_one(TalkView)

    @property
    def field(self) -> CleanInput:
        """Where one types."""
        return self.query_one("#say", CleanInput)

    @property
    def job_id(self) -> str:
        """Whose room is shown."""
        return self.rooms.shown.job.id if self.rooms.shown is not None else ""

    @property
    def joined(self) -> bool:
        """Whether what is typed is heard."""
        return self.rooms.shown is not None and self.rooms.shown.joined

    @property
    def again(self) -> tuple[int, int] | None:
        """Which of how many messages is being said again."""
        return self.query_one(AgainLine).sending

    @again.setter
    def again(self, progress: tuple[int, int] | None) -> None:
        self.query_one(AgainLine).sending = progress

    # --- drawing --------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self._board = board
        self.view.hint = hint(board)
        self.query_one(PaneBar).show(board)
        self.view.show(board)
        self.redraw()

    def redraw(self) -> None:
        """The rows round the conversation."""
        board, talk = self._board, self.rooms.shown
        if board is None:
            return
        self.query_one(PaneBar).tell(*told(board, talk))
        for row in (RoomBar, ReportLine, AgainLine):
            self.query_one(row).show(board)
        can = [self.check_action(action, ()) for action in ("step", "close", "again", "stop")]
        if can != self._could:
            self._could = can
            self.refresh_bindings()
        words = SAY
        if talk is not None and talk.over(board.state):
            words = "the job has ended; Esc, then n starts another"
        self.field.placeholder = "the supervisor has ended; Esc, then R starts it again" if board.ended else words

    def look_at(self, talk: Conversation) -> None:
        """Show a conversation; what was typed stays with its own."""
        former = self.rooms.shown
        if former is not talk:
            if former is not None:
                former.draft = self.field.value
            self.rooms.show(talk)
            self._turn_to(talk)

    def close(self, talk: Conversation) -> None:
        """Forget a conversation."""
        was_shown = talk is self.rooms.shown
        self.rooms.close(talk)
        if was_shown:
            self._turn_to(self.rooms.shown)
        self.redraw()

    def _turn_to(self, talk: Conversation | None) -> None:
        self.view.talk = talk
        self.field.value = talk.draft if talk is not None else ""
        self.field.cursor_position = len(self.field.value)
        self.view.redraw()
        self.redraw()

    # --- news of rooms --------------------------------------------------------------------------

    def on_room_joined(self, message: RoomJoined) -> None:
        """What is typed is heard from now on."""
        self._set_joined(message.job_id, True)

    def on_room_left(self, message: RoomLeft) -> None:
        """The room's line closed."""
        self._set_joined(message.job_id, False)

    def _set_joined(self, job_id: str, joined: bool) -> None:
        talk = self.rooms.get(job_id)
        if talk is not None:
            talk.joined = joined
            talk.heard.set()
            self.redraw()

    def on_room_said(self, message: RoomSaid) -> None:
        """Somebody said something."""
        talk = self.rooms.get(message.job_id)
        if talk is None:
            return  # it was closed while this was on its way
        new = talk.transcript.take(message.news)
        talk.heard.set()
        if new and talk is not self.rooms.shown:
            talk.unread += 1
        if not self._queued:
            self._queued = True
            self.call_later(self._redraw_once)

    def _redraw_once(self) -> None:
        """Draw once for however many words came together."""
        self._queued = False
        self.view.redraw()
        self.redraw()

    # --- keys -----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        if not self.is_mounted or self._board is None:
            return False
        if action == "step":
            return len(self.rooms.all) > 1
        if action == "close":
            return self.rooms.shown is not None
        if action == "again":
            linked = self._board.stale_since is None
            return linked and self.again is None and bool(self.rooms.to_say_again(self._board.state))
        if action == "stop":
            return self.again is not None
        return True

    def action_step(self, by: int) -> None:
        """The next room, or the one before."""
        talk = self.rooms.step(by)
        if talk is not None:
            self.look_at(talk)

    @on(RoomLook)
    def _look(self, event: RoomLook) -> None:
        event.stop()
        talk = self.rooms.get(event.job_id)
        if talk is not None:
            self.look_at(talk)

    def action_close(self) -> None:
        """Leave the shown room."""
        self.post_message(RoomCloseWanted(self.job_id))

    def action_again(self) -> None:
        """Say what was said before again."""
        self.post_message(SayAgainWanted())

    def action_stop(self) -> None:
        """No more of it."""
        self.post_message(SayAgainStopped())

    def action_recall(self, by: int) -> None:
        """What was said earlier, or later."""
        words = self._recall.step(by, self.field.value)
        if words is not None:
            self.field.value = words
            self.field.cursor_position = len(words)

    # --- the field ------------------------------------------------------------------------------

    @on(Input.Submitted, "#say")
    def _said(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self.field.value = ""
            self._recall.add(text)
            self.post_message(SayWanted(self.job_id, text))

    def give_back(self, job_id: str, text: str) -> None:
        """It could not be said: it stands in the field again, before what was typed meanwhile."""
        talk = self.rooms.get(job_id)
        if talk is None and self.rooms.shown is not None:
            return  # its room was left: Up recalls it, and the next Enter must not say it to somebody else
        if talk is None or talk is self.rooms.shown:
            self.field.value = f"{text} {self.field.value}".rstrip()
        else:
            talk.draft = f"{text} {talk.draft}".rstrip()

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        if self.again is not None:
            self.action_stop()
        else:
            self.view.focus()


def told(board: Board, talk: Conversation | None) -> list[tuple[int, Line]]:
    """Which room this is, whether one is in it, and how fast it answers."""
    if talk is None:
        return []
    sign, tone = room_sign(talk, board.state)
    room, middle = clean(talk.job.room_id, 32), talk.transcript.median_s()
    over = talk.over(board.state)
    words: Line = [(f"{sign} {room} ended", tone)] if over else [(f"{sign} ", tone), (room, "dim")]
    speed: Line = [(f"median {fmt.millis(middle * 1000)}", "faint")] if middle is not None else []
    return [(0, words), *([(1, speed)] if speed else [])]


def hint(board: Board) -> list[Line]:
    """What stands here before anybody has said anything."""
    if not board.known:
        return [[("  waiting for the supervisor", "faint")]]
    if board.own_job() is not None:
        return [[("  say something to the agent", "faint")]]
    if board.state.active_jobs():
        return [
            [("  none of the running jobs is yours", "dim")],
            [("  ", ""), ("t", "accent"), (" joins the room of the process you selected", "faint")],
            [("  ", ""), ("n", "accent"), (" starts a job of your own", "faint")],
        ]
    return [
        [("  no job is running", "dim")],
        [("  ", ""), ("n", "accent"), (" starts one, and here you talk to it", "faint")],
        [("  ", ""), ("6", "accent"), (" pours in many", "faint")],
    ]
