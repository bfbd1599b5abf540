"""The one big screen: every pane, and the keys that act on what is selected."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical

from workbench.tui.board import Board
from workbench.tui.layout import WHOLE, shown_of, tabs_of
from workbench.tui.messages import PendingChanged
from workbench.tui.screens.paned import PanedScreen
from workbench.tui.widgets.cards import EndedCard, ReloadCard
from workbench.tui.widgets.drain_card import DrainCard
from workbench.tui.widgets.events_pane import EventsPane
from workbench.tui.widgets.gauges.jobs import JobsPanel
from workbench.tui.widgets.gauges.load import LoadGauge
from workbench.tui.widgets.gauges.memory import MemoryGauge
from workbench.tui.widgets.gauges.pool import PoolPanel
from workbench.tui.widgets.header import Header
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.load.pane import LoadPane
from workbench.tui.widgets.logs.pane import LogPane
from workbench.tui.widgets.pane_bar import PANES
from workbench.tui.widgets.slots.pane import SlotPane
from workbench.tui.widgets.slots.table import SlotTable
from workbench.tui.widgets.status_line import StatusLine
from workbench.tui.widgets.talk.pane import TalkPane
from workbench.tui.widgets.tune.pane import TunePane

FOCUS = {
    "processes": "#table",
    "logs": "#log-view",
    "talk": "#say",
    "events": "#events-view",
    "tune": "#tune-view",
    "load": "#load-view",
}


class BoardScreen(PanedScreen):
    """Composes and routes; what keys mean to the supervisor is the app's."""

    PANES, FOCUS = PANES, FOCUS
    BINDING_GROUP_TITLE = "Panes"
    BINDINGS = [
        *(
            Binding(
                str(n),
                f"go('{name}')",
                name.capitalize(),
                show=False,
                tooltip=f"go to {name}",
                id=f"go.{name}",
            )
            for n, name in enumerate(PANES, 1)
        ),
        Binding(
            "T",
            "go('tune')",
            "Tune",
            tooltip="see and change options; try them, undo them, keep them",
            id="options.tune",
        ),
        Binding("slash", "filter", "Filter", key_display="/", tooltip="filter the logs by text", id="logs.filter"),
        Binding("ctrl+f", "search", "Search", show=False, tooltip="search the logs, hiding nothing", id="logs.search"),
        Binding(
            "l",
            "logs",
            "Logs",
            tooltip="show logs of the selected process only; again for all",
            id="process.logs",
        ),
        Binding("z", "zoom", "Zoom", show=False, tooltip="show the focused pane alone, and back", id="zoom"),
        Binding("escape", "back", "Back", show=False, tooltip="go one step back; never quits", id="back"),
    ]

    def __init__(self, board: Board) -> None:
        super().__init__(lower="logs")
        self._board = board
        self._chosen = False

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        self.lay_out(*self.app.size)  # before there is anything that would be styled twice
        yield Header(id="header")
        with Container(id="gauges"):
            yield LoadGauge(classes="gauge")
            yield MemoryGauge(classes="gauge")
            yield PoolPanel(classes="panel")
            yield JobsPanel(classes="panel")
        yield SlotPane(id="processes")
        yield EndedCard(id="ended", classes="card")
        yield ReloadCard(id="reload", classes="card")
        yield DrainCard(id="drain", classes="card")
        with Container(id="lower"):
            yield LogPane(id="logs")
            with Container(id="side"):
                yield TalkPane(id="talk")
                yield EventsPane(id="events")
            yield TunePane(id="tune")
            yield LoadPane(id="load")
        with Vertical(id="foot"):
            yield StatusLine(id="status")
            yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """The table has the first focus."""
        for card in self.query(".card"):
            card.display = False
        self.table.focus()
        self.show(self._board)

    def show(self, board: Board) -> None:
        """Draw every pane from the board; each repaints what changed."""
        self.set_class(board.stale_since is not None, "-stale")
        for shown in (Header, LoadGauge, MemoryGauge, PoolPanel, JobsPanel, EndedCard, ReloadCard, DrainCard):
            self.query_one(shown).show(board)
        self.set_class(any(card.display for card in self.query(".card")), "-card")
        for pane in (self.query_one(SlotPane), self.logs, self.talk, self.query_one(EventsPane)):
            pane.show(board)
        self.tune.show(board)
        self.load.show(board)
        self.query_one(StatusLine).show(board)
        self.query_one(KeyBar).show(board)

    # --- parts ----------------------------------------------------------------------------------

    @property
    def table(self) -> SlotTable:
        """The process table."""
        return self.query_one(SlotTable)

    @property
    def logs(self) -> LogPane:
        """The log pane."""
        return self.query_one(LogPane)

    @property
    def talk(self) -> TalkPane:
        """The talk pane."""
        return self.query_one(TalkPane)

    @property
    def tune(self) -> TunePane:
        """The tuning pane."""
        return self.query_one(TunePane)

    @property
    def load(self) -> LoadPane:
        """The load pane."""
        return self.query_one(LoadPane)

    @property
    def ended(self) -> EndedCard:
        """The card of a supervisor that is gone."""
        return self.query_one(EndedCard)

    @property
    def drain(self) -> DrainCard:
        """The card of a drain."""
        return self.query_one(DrainCard)

    # --- places ---------------------------------------------------------------------------------

    def places(self, classes: set[str]) -> tuple[tuple[str, ...], str]:
        """See `PanedScreen`."""
        return tabs_of(classes, self.zoomed), shown_of(classes, self.zoomed, self.pane, self.lower)

    def on_descendant_focus(self) -> None:
        """After `PanedScreen`'s, which Textual calls as well."""
        self.table.redraw()  # its cursor is another one where it has not the focus

    @on(PendingChanged)
    def _tried(self, event: PendingChanged) -> None:
        event.stop()
        for gauge in (LoadGauge, MemoryGauge):
            self.query_one(gauge).show(self._board)

    def turn_to(self, pane: str) -> None:
        """See `PanedScreen`."""
        self._chosen = self._chosen or pane != "processes"
        super().turn_to(pane)

    def tune_option(self, name: str) -> None:
        """Go to an option."""
        self.tune.view.select(name)
        self.action_go("tune")

    def offer_talk(self) -> None:
        """There is somebody to talk to: where panes share one place, that shows, unless the user chose one."""
        if not self._chosen:
            self.lower = "talk"
            self.lay_out(*self.size)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        return action != "logs" or not self.is_mounted or self.table.process is not None

    def action_back(self) -> None:
        """One step back: zoom, then filter, then the table; what took the whole lower part goes first."""
        if self.zoomed:
            self.action_zoom()
            return
        if self.lower in WHOLE:
            self.lower = "logs"
        self.action_go("processes")

    def action_filter(self) -> None:
        """Open the filter of the logs."""
        self.action_go("logs")
        self.logs.open_field("filter")

    def action_search(self) -> None:
        """Open the search of the logs."""
        self.action_go("logs")
        self.logs.open_field("search")

    def action_logs(self) -> None:
        """The selected process's lines only, or all again."""
        process = self.table.process
        if process is not None:
            self.logs.only(process.id)
            self._uncover_logs()

    def show_logs_of(self, process_id: int) -> None:
        """The lines of a process only, whichever is selected."""
        if self.logs.view.store.filter.process_id != process_id:
            self.logs.only(process_id)
        self._uncover_logs()

    def _uncover_logs(self) -> None:
        if self.has_class("-tabs", "-one"):
            self.lower = "logs"
            self.lay_out(*self.size)
