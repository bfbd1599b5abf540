"""The load pane: bar, fields and what became of the jobs."""

import asyncio
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical

from workbench.model.errors import UsageError
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean
from workbench.tui.messages import FieldsLeft, LoadEndWanted, LoadWanted, PourWanted
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.pane_bar import PaneBar

if TYPE_CHECKING:
    from workbench.tui.widgets.load.form import LoadForm


class LoadView(LineWidget, can_focus=True):
    """How far it is, and the result while it fills."""

    BINDING_GROUP_TITLE = "Load"
    BINDINGS = [
        Binding("g,enter", "pour", "Pour", key_display="g", tooltip="pour these jobs into the worker", id="load.pour"),
        Binding("x", "stop", "Stop", tooltip="no job more; those that run are ended", id="load.stop"),
        Binding("e", "edit", "Edit", tooltip="change the fields", id="load.edit"),
    ]

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        run = board.load_run
        if run is None:
            return [[], *_hint()]
        from workbench.tui.widgets.load.drawing import drawn

        return drawn(run, width)

    def action_pour(self) -> None:
        """As the fields say."""
        self.post_message(PourWanted())

    def action_stop(self) -> None:
        """End it."""
        self.post_message(LoadEndWanted())

    async def action_edit(self) -> None:
        """To the fields, also when the key came before they were made."""
        await self.screen.query_one(LoadPane).make_form()
        self.screen.set_focus(self.screen.query_one("#load-jobs"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Jobs are poured in once at a time. `x` is always this pane's: else it would end the selected job."""
        return action != "pour" or not _runs(self.board)


class LoadPane(Vertical):
    """Bar, fields and result. The fields are made when the pane is first looked at."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._wrong = False  # the bar tells what is wrong in the fields
        self._ran = False
        self._making = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("load")
        yield LoadView(id="load-view")

    async def on_show(self) -> None:
        """Somebody looks."""
        await self.make_form()

    async def make_form(self) -> None:
        """The fields are there from now on."""
        from workbench.tui.widgets.load.form import LoadForm

        async with self._making:
            if not self.query("#load-form"):
                await self.mount(LoadForm(id="load-form"), before="#load-view")

    @property
    def form(self) -> "LoadForm":
        """The fields, once the pane was looked at."""
        from workbench.tui.widgets.load.form import LoadForm

        return self.query_one(LoadForm)

    @property
    def view(self) -> LoadView:
        """The result."""
        return self.query_one(LoadView)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        bar, runs = self.query_one(PaneBar), _runs(board)
        bar.show(board)
        self.view.show(board)
        if not self._wrong:
            bar.tell((0, _standing(board)))
        if self._ran != runs:
            self._ran = runs
            self.screen.refresh_bindings()

    @on(PourWanted)
    async def _entered(self, event: PourWanted) -> None:
        event.stop()
        if _runs(self.view.board):
            return
        await self.on_show()  # keys may come faster than what they look at
        try:
            plan = self.form.plan()
        except UsageError as error:
            self._wrong = True
            self.query_one(PaneBar).tell((0, [(clean(error, 100), "bad")]))
            return
        self._wrong = False
        self.screen.set_focus(self.view)
        self.post_message(LoadWanted(plan))

    @on(FieldsLeft)
    def _left(self, event: FieldsLeft) -> None:
        event.stop()
        self._wrong = False
        self.screen.set_focus(self.view)
        if self.view.board is not None:
            self.show(self.view.board)


def _runs(board: Board | None) -> bool:
    return board is not None and board.load_run is not None and not board.load_run.over


def _standing(board: Board) -> Line:
    if board.load_run is None:
        return [("no load yet", "faint")]
    from workbench.tui.widgets.load.drawing import standing

    return standing(board.load_run)


def _hint() -> list[Line]:
    return [
        [("  ", ""), ("g", "accent"), (" pours these jobs into the worker, at this rate whatever it does", "faint")],
        [("  ", ""), ("e", "accent"), (" changes the fields; Tab goes on, Enter starts, Esc leaves them", "faint")],
        [],
        [("  here stands then what became of the jobs, and how fast they began", "faint")],
    ]
