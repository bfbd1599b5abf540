"""The log pane: bar, view, and the fields of filter and search."""

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
from workbench.tui.widgets.logs.filter import LogFilter
from workbench.tui.widgets.logs.lines import part_words
from workbench.tui.widgets.logs.match import Matcher
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
        for name, words in (("filter", "text   !text hides it   re:pattern"), ("search", "search: text   re:pattern")):
            field = CleanInput(placeholder=words, compact=True, id=f"log-{name}")
            field.display = False
            yield field

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def show(self, board: Board) -> None:
        """Draw from the board."""
        self.query_one(PaneBar).show(board)
        self.view.clock = board.clock
        self.view.serve(board.state.worker.generation)

    def add(self, records: list[LogRecord]) -> None:
        """Take new records."""
        self.view.add(records)

    def only(self, process_id: int | None) -> None:
        """Show one process, or all when it is shown already."""
        view = self.view
        wanted = None if view.store.filter.process_id == process_id else process_id
        view.set_filter(view.store.filter.of_process(wanted))

    # --- the fields -----------------------------------------------------------------------------

    def open_field(self, name: str) -> None:
        """Open the field of the filter or of the search."""
        for field in self.query(CleanInput):
            field.display = field.id == f"log-{name}"
        self.query_one(f"#log-{name}").focus()

    @on(Input.Changed, "#log-filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        event.stop()
        self.view.set_filter(self.view.store.filter.with_text(event.value))

    @on(Input.Changed, "#log-search")
    def _search_typed(self, event: Input.Changed) -> None:
        event.stop()
        self.view.search(Matcher.of(event.value))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.display = False
        self.view.focus()
        if (
            event.input.id == "log-search"
            and self.view.store.rows.matches.matcher.active
            and not self.view.match_number
        ):
            self.view.action_match(-1)  # the newest one above, as following stands below all

    @on(CleanInput.Left)
    def _left(self, event: CleanInput.Left) -> None:
        event.stop()
        if event.field.id == "log-search":
            self._end_search()
        else:
            self._clear_filter()
        self.view.focus()

    def action_clear(self) -> None:
        """One step back: the range, the search, the filters; where there is none, Esc leads back to the processes."""
        view = self.view
        if view.range_start is not None:
            view.action_range()
        elif view.store.rows.matches.matcher.text:
            self._end_search()
        elif view.store.filter.hides:
            self._clear_filter()
        else:
            raise SkipAction

    def _end_search(self) -> None:
        field = self.query_one("#log-search", CleanInput)
        field.display, field.value = False, ""
        self.view.search(Matcher())

    def _clear_filter(self) -> None:
        field = self.query_one("#log-filter", CleanInput)
        field.display, field.value = False, ""
        self.view.set_filter(LogFilter())

    # --- the bar --------------------------------------------------------------------------------

    @on(LogView.Changed)
    def _told(self, event: LogView.Changed) -> None:
        event.stop()
        view = self.view
        hint: list[tuple[int, Line]] = [] if view.following else [(3, [("f follows", "dim")])]
        parts = (0, follow_words(view)), *hint, (1, count_words(view)), *search_words(view), *chips(view)
        self.query_one(PaneBar).tell(*parts)


def follow_words(view: LogView) -> Line:
    """`PAUSED +37 new`."""
    if view.following:
        return [("▼ following", "dim")]
    new = f" +{fmt.count(view.unseen)} new" if view.unseen else ""
    return [(f"‖ PAUSED{new}", "warn")]


def count_words(view: LogView) -> Line:
    """`412 of 9,981`, or the number alone when nothing is hidden."""
    shown, held = view.store.lines, len(view.store)
    return [(plural(held, "line") if shown == held else f"{fmt.count(shown)} of {fmt.count(held)}", "dim")]


def search_words(view: LogView) -> list[tuple[int, Line]]:
    """The range that is being chosen, and `match 3 of 17`."""
    parts: list[tuple[int, Line]] = []
    if view.range_start is not None:
        parts += [(0, [(f"range of {plural(len(view.taken), 'line')}", "accent")]), (3, [("y copies", "dim")])]
    found = view.store.rows.matches
    if found.matcher.error:
        parts.append((0, [(cut(clean(found.matcher.error), 40), "bad")]))
    elif found.matcher.active:
        number, total = view.match_number, len(found)
        words = f"match {number:,} of {total:,}" if number else f"{total:,} match{'' if total == 1 else 'es'}"
        parts.append((0, [(words, "accent" if total else "warn"), ("  n N", "dim")]))
    return parts


def chips(view: LogView) -> list[tuple[int, Line]]:
    """What the filter hides, each part with the key that takes it away; Esc takes all."""
    chosen = view.store.filter
    parts: list[tuple[int, Line]] = []
    for part in chosen.parts():
        if part.error:
            parts.append((0, [(cut(clean(part.error), 40), "bad")]))
            continue
        key, words = part_words(part)
        parts.append((2, [(f"{key} " if key else "", "dim"), (words, "accent")]))
    return [*parts, (4, [("Esc shows all", "dim")])] if parts else []
