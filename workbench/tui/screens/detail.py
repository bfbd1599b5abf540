"""Everything about one process, on the whole terminal: what is wrong with it in the first line, the rest below."""

from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.timer import Timer

from workbench.model.state import Process
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, spread, width_of
from workbench.tui.messages import CopyWanted, DetailWanted, OpenWanted, StackWanted
from workbench.tui.places import Place
from workbench.tui.widgets.detail.cause import cause
from workbench.tui.widgets.detail.sections import SECTIONS
from workbench.tui.widgets.detail.stack import copied
from workbench.tui.widgets.detail.subject import Subject
from workbench.tui.widgets.detail.view import DetailView
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.logs.tracebacks import Frame

ASK_EVERY_S = 1.0
ENVIRONMENT_WORDS = "show the environment, or fold it"
BEFORE_WORDS = "the process that was in this place before"
PRESENT_WORDS = "the process that is in this place now"
STACK = next(number for number, (name, _) in enumerate(SECTIONS, 1) if name == "Stack")


class DetailHead(LineWidget):
    """What is wrong with the process, and which one it is."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.subject: Subject | None = None

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        if self.subject is None:
            return []
        who: Line = [(f"process {self.subject.shown.pid or '…'}", "dim")]
        if self.subject.old:
            who = [(f"as of {fmt.clock_time(self.subject.told_at)}  ", "warn"), *who]
        elif self.subject.trouble:
            who = [(f"{clean(self.subject.trouble, 60)}  ", "warn"), *who]
        what: Line = [(" ", ""), *cause(self.subject)]
        if width_of(what) + width_of(who) >= width and not self.subject.old:
            who = []  # the first section tells it, too
        return [spread(what, who, width - 1)]


class DetailScreen(Screen[None]):
    """Asks for news of its process once a second, as long as it is the screen on top."""

    BINDING_GROUP_TITLE = "Process detail"
    BINDINGS = [
        Binding("s", "stack", "Stack", tooltip="dump the stack of all threads and tasks now", id="detail.stack"),
        Binding("y", "copy", "Copy", tooltip="copy the stack", id="detail.copy"),
        Binding("o", "open", "Open", tooltip="open the line of the stack in $EDITOR", id="detail.open"),
        Binding("e", "environment", "Env", show=False, tooltip=ENVIRONMENT_WORDS, id="detail.environment"),
        Binding("left_square_bracket", "before", "Before", key_display="[", tooltip=BEFORE_WORDS, id="detail.before"),
        Binding("right_square_bracket", "present", "Now", key_display="]", tooltip=PRESENT_WORDS, id="detail.present"),
        Binding("t", "leave('app.talk')", "Talk", tooltip="join the room of its job", id="detail.talk"),
        Binding("l", "leave('app.logs_of')", "Logs", tooltip="show its logs only", id="detail.logs"),
        Binding("escape,i", "leave", "Back", tooltip="back to the board", id="detail.back"),
        *(
            Binding(str(n), f"section({n})", name, show=False, tooltip=f"go to {name.lower()}", id=f"detail.go{n}")
            for n, (name, _) in enumerate(SECTIONS, 1)
        ),
        Binding("tab", "step(1)", "Next", show=False, tooltip="next section", id="detail.next"),
        Binding("shift+tab", "step(-1)", "Previous", show=False, tooltip="previous section", id="detail.previous"),
        Binding("j,down", "move(1)", "Down", show=False, id="detail.down"),
        Binding("k,up", "move(-1)", "Up", show=False, id="detail.up"),
        Binding("ctrl+d", "pages(0.5)", "Half down", show=False, id="detail.half_down"),
        Binding("ctrl+u", "pages(-0.5)", "Half up", show=False, id="detail.half_up"),
        Binding("space,pagedown", "pages(1)", "Page down", show=False, id="detail.page_down"),
        Binding("b,pageup", "pages(-1)", "Page up", show=False, id="detail.page_up"),
        Binding("g,home", "move(-100000)", "Top", show=False, id="detail.top"),
        Binding("G,end", "move(100000)", "Bottom", show=False, id="detail.bottom"),
    ]  # fmt: skip

    def __init__(self, board: Board, place: Place, process: Process) -> None:
        super().__init__()
        self._board = board
        self.subject = Subject(board, place, process)
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """The parts."""
        yield DetailHead(id="detail-head")
        yield DetailView(id="detail-view")
        yield KeyBar(id="keys")

    @property
    def view(self) -> DetailView:
        """The page."""
        return self.query_one(DetailView)

    def on_mount(self) -> None:
        """Ask at once, then every second."""
        self.view.focus()
        self._timer = self.set_interval(ASK_EVERY_S, self._ask)
        self.show(self._board)
        self._ask()

    def on_screen_suspend(self) -> None:
        """Something is asked on top: nobody reads here."""
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self) -> None:
        """Shown again."""
        if self._timer is not None:
            self._timer.resume()

    def show(self, board: Board) -> None:
        """Draw what is known now."""
        self.set_class(self.subject.old, "-stale")
        head = self.query_one(DetailHead)
        head.subject = self.subject
        head.show(board)
        self.view.show(self.subject)
        self.query_one(KeyBar).show(board)

    # --- what is asked and told -----------------------------------------------------------------

    def _ask(self) -> None:
        pid = self.subject.shown.pid
        if pid and not self.subject.finished:
            self.post_message(DetailWanted(pid))

    def took(self, pid: int, told: dict[str, Any]) -> None:
        """An answer about a process."""
        if told["id"] == self.subject.last.id:
            self.subject.told, self.subject.told_at, self.subject.trouble = told, self._board.clock(), ""
            self.show(self._board)
            self.refresh_bindings()

    def failed(self, pid: int, why: str) -> None:
        """There is no answer."""
        if pid == self.subject.last.pid:
            self.subject.trouble = why
            self.show(self._board)

    def dumped(self, pid: int, dump: dict[str, Any]) -> None:
        """A stack that was asked for here."""
        if pid == self.subject.last.pid and self.subject.told is not None:
            self.subject.told = {**self.subject.told, "dump": dump}
            self.show(self._board)
            self.view.go(STACK)
            self.refresh_bindings()

    # --- keys -----------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        subject, dump = self.subject, self.subject.get("dump")
        if action == "stack":
            return subject.process is not None and subject.process.pid > 0
        if action == "copy":
            return dump is not None
        if action == "open":
            return dump is not None and bool(dump["file"])
        if action == "before":
            return subject.place.gone is not None and subject.place.gone.id != subject.last.id
        if action == "present":
            return subject.place.process is not None and subject.place.process.id != subject.last.id
        return True

    def action_stack(self) -> None:
        """Ask for a dump."""
        self.post_message(StackWanted(self.subject.shown.pid))

    def action_copy(self) -> None:
        """Copy the last dump."""
        text = copied(self.subject.get("dump"))
        self.post_message(CopyWanted(text, text.count("\n") + 1))

    def action_open(self) -> None:
        """Open the user's line."""
        dump = self.subject.get("dump")
        self.post_message(OpenWanted(Frame(dump["file"], dump["number"], ""), []))

    def action_environment(self) -> None:
        """Show all variables, or how many there are."""
        self.view.environment = not self.view.environment
        self.view.redraw()
        if self.view.environment:
            self.view.go(len(SECTIONS))

    def action_before(self) -> None:
        """The process that was in this place before."""
        if self.subject.place.gone is not None:
            self._turn_to(self.subject.place.gone)

    def action_present(self) -> None:
        """The process that is there now."""
        if self.subject.place.process is not None:
            self._turn_to(self.subject.place.process)

    def _turn_to(self, process: Process) -> None:
        self.subject = Subject(self._board, self.subject.place, process)
        self.view.move(-100000)
        self.show(self._board)
        self.refresh_bindings()
        self._ask()

    def action_section(self, number: int) -> None:
        """Go to a section."""
        self.view.go(number)

    def action_step(self, by: int) -> None:
        """Go to the section below or above."""
        self.view.step(by)

    def action_move(self, rows: int) -> None:
        """Scroll."""
        self.view.move(rows)

    def action_pages(self, pages: float) -> None:
        """Scroll by pages."""
        self.view.move_pages(pages)

    async def action_leave(self, then: str = "") -> None:
        """Back to the board, and what is to be done there with this process."""
        if then:
            await self.app.run_action(then)
        self.dismiss()
