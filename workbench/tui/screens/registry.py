"""The screen over a registry: every pane, and the keys that move between them."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.widgets import Input

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.screens.paned import PanedScreen
from workbench.tui.widgets.clean_input import CleanInput
from workbench.tui.widgets.events_pane import EventsPane
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.registry.gauges import RateGauge, SlotsGauge, TotalsPanel, WorkersPanel
from workbench.tui.widgets.registry.header import RegistryHeader
from workbench.tui.widgets.registry.panes import PANES, TablePane
from workbench.tui.widgets.registry.status import RegistryStatus
from workbench.tui.widgets.registry.table import JobsTable, RegistryTable, WorkersTable

FOCUS = {"workers": "#workers-table", "jobs": "#jobs-table", "events": "#events-view"}
NOTHING = "nothing has happened yet: workers that come and go, jobs that fail and refusals stand here"


class RegistryScreen(PanedScreen):
    """Composes and routes; what keys mean to the registry is the app's."""

    PANES, FOCUS = PANES, FOCUS
    BINDING_GROUP_TITLE = "Panes"
    BINDINGS = [
        *(
            Binding(str(n), f"go('{name}')", name.capitalize(), show=False, tooltip=f"go to {name}", id=f"go.{name}")
            for n, name in enumerate(PANES, 1)
        ),
        Binding("tab", "step(1)", "Next pane", show=False, tooltip="next pane", id="go.next"),
        Binding("shift+tab", "step(-1)", "Pane before", show=False, tooltip="pane before", id="go.before"),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="filter the table", id="rows.filter"),
        Binding("z", "zoom", "Zoom", show=False, tooltip="show the focused pane alone, and back", id="zoom"),
        Binding("escape", "back", "Back", show=False, tooltip="go one step back; never quits", id="back"),
    ]

    def __init__(self, board: RegistryBoard) -> None:
        super().__init__(lower="jobs")
        self._board = board

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        self.lay_out(*self.app.size)
        yield RegistryHeader(id="header")
        with Container(id="gauges"):
            yield SlotsGauge(classes="gauge")
            yield RateGauge(classes="gauge")
            yield WorkersPanel(classes="panel")
            yield TotalsPanel(classes="panel")
        yield TablePane(WorkersTable(id="workers-table"), id="workers")
        with Container(id="lower"):
            yield TablePane(JobsTable(id="jobs-table"), id="jobs")
            yield EventsPane(NOTHING, PANES, id="events")
        with Vertical(id="foot"):
            yield CleanInput(id="filter", placeholder="text, !text hides it; Esc shows all")
            yield RegistryStatus(id="status")
            yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """The workers have the first focus."""
        self.workers_table.focus()
        self.show(self._board)

    def show(self, board: RegistryBoard) -> None:
        """Draw every pane from the board; each repaints what changed."""
        self.set_class(board.stale_since is not None, "-stale")
        for part in (RegistryHeader, SlotsGauge, RateGauge, WorkersPanel, TotalsPanel, RegistryStatus):
            self.query_one(part).show(board)
        for pane in self.query(TablePane):
            pane.show(board)
        self.query_one(EventsPane).show(board)
        self.query_one(KeyBar).show(board)
        self.refresh_bindings()

    # --- parts ----------------------------------------------------------------------------------

    @property
    def workers_table(self) -> WorkersTable:
        """The workers."""
        return self.query_one(WorkersTable)

    @property
    def jobs_table(self) -> JobsTable:
        """The jobs."""
        return self.query_one(JobsTable)

    @property
    def table(self) -> RegistryTable:
        """The table that keys act on."""
        return self.jobs_table if self.pane == "jobs" else self.workers_table

    @property
    def worker(self) -> SeenWorker | None:
        """The worker under the cursor, while the workers have the focus."""
        return self._board.seen.workers.get(self.workers_table.selected_id) if self.pane == "workers" else None

    @property
    def job(self) -> SeenJob | None:
        """The job under the cursor, while the jobs have the focus."""
        return self._board.seen.jobs.get(self.jobs_table.selected_id) if self.pane == "jobs" else None

    # --- places ---------------------------------------------------------------------------------

    def places(self, classes: set[str]) -> tuple[tuple[str, ...], str]:
        """See `PanedScreen`."""
        alone = self.zoomed or "-one" in classes
        tabs = PANES if alone else ("jobs", "events") if "-tabs" in classes else ()
        return tabs, self.pane if alone else self.lower if tabs else ""

    @on(RegistryTable.Moved)
    def _moved(self, event: RegistryTable.Moved) -> None:
        event.stop()
        for pane in self.query(TablePane):
            pane.show(self._board)

    def action_step(self, by: int) -> None:
        """The next pane, or the one before."""
        self.action_go(PANES[(PANES.index(self.pane) + by) % len(PANES)])

    def turn_to(self, pane: str) -> None:
        """See `PanedScreen`."""
        super().turn_to(pane)
        self.refresh_bindings()

    def action_back(self) -> None:
        """One step back: zoom, then the filter, then the workers."""
        if self.zoomed:
            self.action_zoom()
        elif self.table.filter:
            self._filter("")
        else:
            self.action_go("workers")

    # --- filter ---------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Open the filter of the focused table."""
        if self.pane == "events":
            self.action_go("jobs")
        field = self.query_one(CleanInput)
        self.add_class("-filtering")
        field.value = self.table.filter
        self.app.stylesheet.update(self)
        self.set_focus(field)

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.has_class("-filtering"):
            self._filter(event.value)

    @on(Input.Submitted, "#filter")
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_filter()

    @on(CleanInput.Left)
    def _dropped(self, event: CleanInput.Left) -> None:
        event.stop()
        self._filter("")
        self._close_filter()

    def _filter(self, words: str) -> None:
        self.table.filter = words
        self.table.changed()

    def _close_filter(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(self.table)
