"""The log pane: bar, view and the field of the filter."""

from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input

from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, cut
from workbench.tui.widgets.clean_input import CleanInput
from workbench.tui.widgets.logs.store import LogRecord
from workbench.tui.widgets.logs.view import LogView
from workbench.tui.widgets.pane_bar import PaneBar


class LogPane(Vertical):
    """What is shown and why is always told in the bar."""

    BINDINGS = [Binding("escape", "clear", "Clear filter", show=False, tooltip="show all lines", id="logs.clear")]

    def compose(self) -> ComposeResult:
        """The parts."""
        yield PaneBar("logs")
        yield LogView(id="log-view")
        field = CleanInput(placeholder="text   !text hides it   re:pattern", compact=True, id="log-filter")
        field.display = False
        yield field

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.view.serve(board.state.worker.generation)

    def add(self, records: list[LogRecord]) -> None:
        """Take new records."""
        self.view.add(records)

    def only(self, process_id: int | None) -> None:
        """Show one process, or all when it is shown already."""
        view = self.view
        wanted = None if view.store.filter.process_id == process_id else process_id
        view.set_filter(view.store.filter.of_process(wanted))

    # --- the filter -----------------------------------------------------------------------------

    def open_filter(self) -> None:
        """Open the field."""
        field = self.query_one("#log-filter", CleanInput)
        field.display = True
        field.focus()

    @on(Input.Changed, "#log-filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.view.set_filter(self.view.store.filter.with_text(event.value))

    @on(Input.Submitted, "#log-filter")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.display = False
        self.view.focus()

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        self.action_clear()
        self.view.focus()

    def action_clear(self) -> None:
        """Show all lines again; where nothing is hidden, Esc leads back to the processes."""
        field, chosen = self.query_one("#log-filter", CleanInput), self.view.store.filter
        if not field.display and not chosen.text and chosen.process_id is None:
            raise SkipAction
        field.display, field.value = False, ""
        self.view.set_filter(self.view.store.filter.with_text("").of_process(None))

    # --- the bar --------------------------------------------------------------------------------

    @on(LogView.Changed)
    def _told(self, event: LogView.Changed) -> None:
        event.stop()
        self.query_one(PaneBar).tell((0, follow_words(self.view)), (1, count_words(self.view)), *chips(self.view))


def follow_words(view: LogView) -> Line:
    """`PAUSED +37 new  f follows`."""
    if view.following:
        return [("▼ following", "dim")]
    new = f" +{fmt.count(view.unseen)} new" if view.unseen else ""
    return [(f"‖ PAUSED{new}", "warn"), ("  f follows", "dim")]


def count_words(view: LogView) -> Line:
    """`412 of 9,981`, or the number alone when nothing is hidden."""
    shown, held = len(view.store.shown), len(view.store)
    return [(plural(held, "line") if shown == held else f"{fmt.count(shown)} of {fmt.count(held)}", "dim")]


def chips(view: LogView) -> list[tuple[int, Line]]:
    """What the filter hides."""
    chosen = view.store.filter
    parts: list[tuple[int, Line]] = []
    if chosen.process_id is not None:
        parts.append((2, [(f"process #{chosen.process_id}", "accent")]))
    if chosen.level:
        parts.append((2, [(f"≥{chosen.level}", "accent")]))
    if chosen.error:
        parts.append((0, [(cut(clean(chosen.error), 40), "bad")]))
    elif chosen.text:
        parts.append((2, [(f"/{clean(chosen.text, 40)}", "accent")]))
    return parts
