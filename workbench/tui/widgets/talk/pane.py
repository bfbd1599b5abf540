"""The talk pane: bar, conversation and the field to say something."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from workbench.model.state import Job
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean
from workbench.tui.messages import RoomJoined, RoomLeft, RoomSaid, SayWanted
from workbench.tui.widgets.clean_input import CleanInput
from workbench.tui.widgets.pane_bar import PaneBar
from workbench.tui.widgets.talk.transcript import Transcript
from workbench.tui.widgets.talk.view import TalkView

SAY = "say something, Enter sends"


class TalkPane(Vertical):
    """A conversation with one job at a time."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.job_id = ""
        self.joined = False
        self._board: Board | None = None

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("talk")
        yield TalkView(id="talk-view")
        yield CleanInput(placeholder=SAY, compact=True, id="say")

    @property
    def view(self) -> TalkView:
        """The conversation."""
        return self.query_one(TalkView)

    @property
    def field(self) -> CleanInput:
        """Where one types."""
        return self.query_one("#say", CleanInput)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self._board = board
        self.view.hint = hint(board)
        self.query_one(PaneBar).show(board)
        self.view.show(board)
        self._tell()

    def open(self, job: Job) -> None:
        """Another job's conversation; the former one goes."""
        self.job_id, self.joined = job.id, False
        self.view.transcript = Transcript()
        self.view.redraw()
        self._tell()

    def on_room_joined(self, message: RoomJoined) -> None:
        """What is typed is heard from now on."""
        self._set_joined(message.job_id, True)

    def on_room_left(self, message: RoomLeft) -> None:
        """The room's line closed."""
        self._set_joined(message.job_id, False)

    def on_room_said(self, message: RoomSaid) -> None:
        """Somebody said something."""
        if message.job_id == self.job_id:
            self.view.transcript.take(message.news)
            self.view.redraw_soon()

    def _set_joined(self, job_id: str, joined: bool) -> None:
        if job_id == self.job_id:
            self.joined = joined
            self._tell()

    def _tell(self) -> None:
        state = self._board.state if self._board is not None else None
        job = state.jobs.get(self.job_id) if state is not None else None
        self.query_one(PaneBar).tell((0, room_words(job, self.joined)))
        over = job is not None and not job.active
        gone = self._board is not None and self._board.ended
        words = "the job has ended; Esc, then n starts another" if over else SAY
        self.field.placeholder = "the supervisor has ended; Esc, then R starts it again" if gone else words

    @on(Input.Submitted, "#say")
    def _said(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self.field.value = ""
            self.post_message(SayWanted(text))

    def give_back(self, text: str) -> None:
        """It could not be said: it stands in the field again, before what was typed meanwhile."""
        self.field.value = f"{text} {self.field.value}".rstrip()

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        self.view.focus()


def room_words(job: Job | None, joined: bool) -> Line:
    """Which room this is, and whether one is in it."""
    if job is None:
        return []
    room = clean(job.room_id, 32)
    if not job.active:
        return [(f"■ {room} ended", "dim")]
    return [("● " if joined else "◌ ", "busy" if joined else "info"), (room, "dim")]


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
