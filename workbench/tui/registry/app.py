"""The app over a registry: it only looks, asks, and never owns what it looks at."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.model.errors import WorkbenchError
from workbench.tui.house import HOUSE_KEYS, PAINT_EVERY_S, HouseApp
from workbench.tui.lines import clean, cut
from workbench.tui.messages import LinkLost
from workbench.tui.preferences import Preferences
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.feed import RegistryChanged, RegistryConnection, RegistryFeed, RegistrySource
from workbench.tui.registry.notes import short, who
from workbench.tui.report import ExitReport
from workbench.tui.screens.registry import RegistryScreen
from workbench.tui.widgets.registry.detail import jobs_words

if TYPE_CHECKING:
    from workbench.tui.screens.dispatch import Wanted

ALL_WORDS = "all about the selected worker or job"


class RegistryApp(HouseApp):
    """The TUI over a registry.

    Args:
        source: where the board's data comes from.
        title: the registry's address as the user gave it.
        clock: epoch seconds; tests pin it.
        paint_every_s: least time between two paints of news.
    """

    CSS_PATH = "../workbench.tcss"
    BINDING_GROUP_TITLE = "Registry"
    BINDINGS = [
        Binding("n", "dispatch", "Dispatch", tooltip="dispatch a job to an agent", id="job.dispatch"),
        Binding("enter", "detail", "Detail", key_display="enter", tooltip=ALL_WORDS, id="row.detail"),
        Binding("x", "end_job", "End", tooltip="ask the selected job to end", id="job.end"),
        Binding("D", "drain", "Drain", tooltip="offer the selected worker nothing more", id="worker.drain"),
        Binding("U", "admit", "Admit", tooltip="offer the selected worker jobs again", id="worker.admit"),
        Binding("R", "try_again", "Try again", tooltip="connect to the registry again at once", id="registry.try"),
        *HOUSE_KEYS,
    ]

    def __init__(
        self,
        source: RegistrySource,
        title: str = "",
        *,
        preferences: Preferences | None = None,
        clock: Callable[[], float] = time.time,
        paint_every_s: float = PAINT_EVERY_S,
    ) -> None:
        super().__init__(preferences)
        self.board = RegistryBoard(clock, title)
        self.feed = RegistryFeed(source, self.board, self.post_message, paint_every_s)
        self.registry_screen = RegistryScreen(self.board)

    def get_default_screen(self) -> Screen[None]:
        """The one below details and questions."""
        return self.registry_screen

    def begin(self) -> None:
        """Follow the registry."""
        self.run_worker(self.feed.run(), group="feed", exit_on_error=True)

    def quit_asked(self) -> None:
        """Nothing here is ours: leave."""
        self.leave(ExitReport("detached"))

    # --- news -----------------------------------------------------------------------------------

    def on_registry_changed(self, message: RegistryChanged) -> None:
        """Draw what is new."""
        self._show()

    def on_link_lost(self, message: LinkLost) -> None:
        """Say that everything shown is old."""
        self._show()

    def _tick(self) -> None:
        self.board.tick()
        super()._tick()

    def show_all(self) -> None:
        """Draw what is known now."""
        if self.registry_screen.is_mounted:
            self.registry_screen.show(self.board)
        if self.screen is not self.registry_screen and hasattr(self.screen, "show"):
            self.screen.show(self.board)

    # --- what keys ask for ----------------------------------------------------------------------

    @property
    def _worker(self) -> SeenWorker | None:
        """What keys act on: the worker that the screen on top is about, or has its cursor on."""
        return getattr(self.screen, "worker", None)

    @property
    def _job(self) -> SeenJob | None:
        return getattr(self.screen, "job", None)

    def _ask(self, call: Callable[[RegistryConnection], Awaitable[str]]) -> None:
        self.run_worker(self._asked(call), group="ask")

    async def _asked(self, call: Callable[[RegistryConnection], Awaitable[str]]) -> None:
        connection = self.feed.connection
        if connection is None:
            self.tell("not connected to the registry", "warning")
            return
        try:
            self.tell(await call(connection))
        except WorkbenchError as error:
            self.tell(str(error), "error")

    def action_detail(self) -> None:
        """All about the selected worker or job."""
        subject = self._worker or self._job
        if subject is not None:
            from workbench.tui.screens.registry_detail import RegistryDetail

            self.push_screen(RegistryDetail(self.board, subject))

    def action_drain(self) -> None:
        """Offer the worker nothing more: nothing is lost by that."""
        self._drain(True)

    def action_admit(self) -> None:
        """Offer the worker jobs again."""
        self._drain(False)

    def _drain(self, on: bool) -> None:
        worker = self._worker
        if worker is None:
            return
        done = f"is offered nothing more{jobs_words(worker)}; U offers again" if on else "is offered jobs again"

        async def call(connection: RegistryConnection) -> str:
            await connection.drain(worker.id, on)
            return f"{who(worker)} {done}"

        self._ask(call)

    def action_end_job(self) -> None:
        """Ask a job to end; asked first, since it is somebody's."""
        job = self._job
        if job is None:
            return

        async def call(connection: RegistryConnection) -> str:
            await connection.end_job(job.id)
            return f"job {short(job.id)} is asked to end"

        agent = cut(clean(job.agent_name, 80), 40)
        where = f"It is {clean(job.status, 20)} in room {clean(job.room_id, 60)}."
        self.confirm("End job", [f"End job {short(job.id)} of {agent}?", where], "End it", lambda: self._ask(call))

    def action_dispatch(self) -> None:
        """A form; it begins with the agent of what is selected."""
        from workbench.tui.screens.dispatch import DispatchScreen

        subject = self._worker or self._job or next(iter(self.board.seen.workers.values()), None)
        self.push_screen(DispatchScreen(subject.agent_name if subject is not None else ""), self._dispatch)

    def _dispatch(self, wanted: "Wanted | None") -> None:
        if wanted is None:
            return

        async def call(connection: RegistryConnection) -> str:
            job, worker = await connection.dispatch(wanted.agent, wanted.room, wanted.metadata)
            return f"job {short(job)} goes to worker {short(worker)}"

        self._ask(call)

    def action_try_again(self) -> None:
        """Do not wait for the next try to connect."""
        self.feed.retry_now()

    def help_nodes(self) -> list[DOMNode]:
        """The keys of all panes, or of the detail on top."""
        if self.screen is not self.registry_screen:
            return [self.screen, self]
        return [self, self.registry_screen, self.registry_screen.workers_table]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        linked = self.feed.connection is not None
        if action == "try_again":
            return self.board.retry_at is not None
        if action == "dispatch":
            return linked and self.screen is self.registry_screen
        if action == "detail":
            return self.screen is self.registry_screen and (self._worker or self._job) is not None
        if action == "end_job":
            return linked and self._job is not None and not self._job.ended
        if action in ("drain", "admit"):
            return linked and self._worker is not None and self._worker.draining == (action == "admit")
        return True
