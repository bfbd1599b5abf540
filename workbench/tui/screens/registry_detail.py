"""Everything about one worker or one job of a registry, on the whole terminal."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.tui import format as fmt
from workbench.tui.lines import Line, spread
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.line_widget import Painted
from workbench.tui.widgets.registry.detail import head_of, lines_of
from workbench.tui.widgets.scrolled import Scrolled

Subject = SeenWorker | SeenJob


class RegistryDetailHead(Painted[RegistryBoard]):
    """How it stands, and which one it is."""

    subject: Subject | None = None
    gone = False

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        if self.subject is None:
            return []
        how, which = head_of(self.subject, board)
        if board.stale_since is not None:
            which = [(f"as of {fmt.clock_time(board.now())}  ", "warn"), *which]
        elif self.gone:
            which = [("the registry has it no more  ", "warn"), *which]
        return [spread(how, which, width - 1)]


class RegistryDetailView(Scrolled):
    """The page."""

    subject: Subject | None = None
    board: RegistryBoard | None = None

    def make(self, width: int) -> list[Line] | None:
        """See `Scrolled`."""
        if self.subject is None or self.board is None:
            return None
        return lines_of(self.subject, self.board, width)


class RegistryDetail(Screen[None]):
    """Follows its worker or job as the registry tells of it; the last that was told stays."""

    BINDING_GROUP_TITLE = "Detail"
    BINDINGS = [
        Binding("escape,enter", "dismiss", "Back", tooltip="back to the tables", id="detail.back"),
        Binding("j,down", "move(1)", "Down", show=False, id="detail.down"),
        Binding("k,up", "move(-1)", "Up", show=False, id="detail.up"),
        Binding("ctrl+d,space,pagedown", "pages(0.5)", "Page down", show=False, id="detail.page_down"),
        Binding("ctrl+u,b,pageup", "pages(-0.5)", "Page up", show=False, id="detail.page_up"),
        Binding("g,home", "move(-100000)", "Top", show=False, id="detail.top"),
        Binding("G,end", "move(100000)", "Bottom", show=False, id="detail.bottom"),
    ]

    def __init__(self, board: RegistryBoard, subject: Subject) -> None:
        super().__init__()
        self._board, self._subject = board, subject

    def compose(self) -> ComposeResult:
        """The parts."""
        yield RegistryDetailHead(id="detail-head")
        yield RegistryDetailView(id="detail-view")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """First look."""
        self.query_one(RegistryDetailView).focus()
        self.show(self._board)

    @property
    def worker(self) -> SeenWorker | None:
        """The worker that keys act on."""
        return self._board.seen.workers.get(self._subject.id) if isinstance(self._subject, SeenWorker) else None

    @property
    def job(self) -> SeenJob | None:
        """The job that keys act on."""
        return self._board.seen.jobs.get(self._subject.id) if isinstance(self._subject, SeenJob) else None

    def show(self, board: RegistryBoard) -> None:
        """Draw what is known now."""
        now = self.worker or self.job
        self._subject = now or self._subject
        head, view = self.query_one(RegistryDetailHead), self.query_one(RegistryDetailView)
        head.subject, head.gone = self._subject, now is None
        view.subject, view.board = self._subject, board
        self.set_class(board.stale_since is not None, "-stale")
        head.show(board)
        view.redraw()
        self.query_one(KeyBar).show(board)
        self.refresh_bindings()

    def action_move(self, rows: int) -> None:
        """Scroll."""
        self.query_one(RegistryDetailView).move(rows)

    def action_pages(self, pages: float) -> None:
        """Scroll by pages."""
        self.query_one(RegistryDetailView).move_pages(pages)
