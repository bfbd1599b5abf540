"""The tuning pane: bar, list, the field for a value or a name, and what the option under the cursor means."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from workbench.model.option_words import value_words
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean
from workbench.tui.tuning import range_words
from workbench.tui.widgets.clean_input import CleanInput
from workbench.tui.widgets.pane_bar import PaneBar
from workbench.tui.widgets.tune.rows import PENDING, running
from workbench.tui.widgets.tune.view import TuneDetail, TuneView


class TunePane(Vertical):
    """Values are tried here; nothing is sent before it is applied."""

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("tune")
        view = TuneView(self._edit, self._find, id="tune-view")
        yield view
        for name in ("tune-field", "tune-find"):
            field = CleanInput(compact=True, id=name)
            field.display = False
            yield field
        yield TuneDetail(view, id="tune-detail")

    @property
    def view(self) -> TuneView:
        """The list."""
        return self.query_one(TuneView)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.view.show(board)
        self.query_one(TuneDetail).show(board)
        if self.display:
            self.query_one(PaneBar).tell(*told(self.view, board))

    @on(TuneView.Changed)
    def _changed(self, event: TuneView.Changed) -> None:
        event.stop()
        if self.view.board is not None:
            self.show(self.view.board)

    # --- a value --------------------------------------------------------------------------------

    def _edit(self) -> None:
        view, field = self.view, self.query_one("#tune-field", CleanInput)
        assert view.board is not None
        value = value_words(view.option, view.board.tuning.now(view.option, view.board.state.options))
        field.placeholder = f"{view.option}: {range_words(view.option)}"
        field.value = "" if value == "-" else clean(value)
        self._open(field)

    @on(Input.Submitted, "#tune-field")
    def _typed(self, event: Input.Submitted) -> None:
        event.stop()
        view = self.view
        assert view.board is not None
        if view.board.tuning.type(view.option, event.value, view.board.state.options):
            self._close(event.input)
        view.tried()

    # --- a name ---------------------------------------------------------------------------------

    def _find(self) -> None:
        field = self.query_one("#tune-find", CleanInput)
        field.placeholder = "part of an option's name"
        self._open(field)

    @on(Input.Changed, "#tune-find")
    def _searched(self, event: Input.Changed) -> None:
        event.stop()
        self.view.search(event.value)

    @on(Input.Submitted, "#tune-find")
    def _found(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(event.input)

    @on(TuneView.ClearWanted)
    def _clear(self, event: TuneView.ClearWanted) -> None:
        event.stop()
        self.query_one("#tune-find", CleanInput).value = ""

    # --- fields ---------------------------------------------------------------------------------

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        if event.field.id == "tune-find":
            event.field.value = ""
        elif self.view.board is not None:
            self.view.board.tuning.quiet()
        self._close(event.field)
        self.view.post_message(TuneView.Changed())

    def _open(self, field: Input) -> None:
        field.display = True
        self.screen.set_focus(field)  # now: what is typed fast must not go to the keys

    def _close(self, field: Input) -> None:
        self.screen.set_focus(self.view)
        field.display = False


def told(view: TuneView, board: Board) -> list[tuple[int, Line]]:
    """What stands in the bar."""
    parts: list[tuple[int, Line]] = []
    if pending := len(board.tuning.pending):
        parts.append((0, [(f"{PENDING} {pending} pending", "accent")]))
    if count := running(board):
        parts.append((1, count))
    if view.wanted:
        parts.append((2, [(f"/{clean(view.wanted, 40)}", "accent")]))
    changed = sum(str(item["origin"]) == "live" for item in board.state.options.values())
    parts.append((3, [(f"{len(view.names)} of {len(board.state.options)}, {changed} live", "dim")]))
    return parts
