"""The workbench's terminal app: composes, and routes between screen, supervisor and the way out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen

from workbench.model.errors import WorkbenchError
from workbench.model.text import plural
from workbench.tui.board import Board
from workbench.tui.details import Details
from workbench.tui.feed import Feed
from workbench.tui.house import HOUSE_KEYS, PAINT_EVERY_S, HouseApp
from workbench.tui.leaving import Leaving
from workbench.tui.messages import (
    BoardChanged,
    CopyWanted,
    DetailWanted,
    ExportWanted,
    LinkLost,
    LoadEndWanted,
    LoadWanted,
    OpenWanted,
    RoomCloseWanted,
    SayWanted,
    StackWanted,
    SupervisorEnded,
    TellWanted,
    TuneWanted,
)
from workbench.tui.pouring import Pouring
from workbench.tui.preferences import Preferences
from workbench.tui.report import ExitReport
from workbench.tui.risks import (
    drain_done,
    end_question,
    kill_question,
    register_question,
    registry_of,
    reload_question,
    unregister_question,
)
from workbench.tui.screens.board import BoardScreen
from workbench.tui.source import Connection, OwnerLike, Source
from workbench.tui.talking import Talking
from workbench.tui.tuner import Tuner

if TYPE_CHECKING:
    from workbench.tui.widgets.detail.subject import Subject
    from workbench.tui.widgets.slots.table import SlotTable

PIN_WORDS = "pin the selected job to its code; again: unpin it"
LINK_STATES = {  # of the registry link, in which a key does something
    "register": ("local", "leaving"),
    "retry_link": ("waiting", "failed"),
    "unregister": ("connecting", "connected"),
}


class WorkbenchApp(HouseApp):
    """The TUI over a supervisor.

    Args:
        source: where the board's data comes from.
        owner: the started supervisor this terminal owns; None when it is only looked at.
        title: the agent as the user named it.
        preferences: theme and signs; what the user changes about them is kept there.
        clock: epoch seconds; tests pin it.
        paint_every_s: least time between two paints of news.
    """

    BINDING_GROUP_TITLE = "Worker"
    BINDINGS = [
        Binding("n", "new_job", "New", tooltip="start a job", id="job.new"),
        Binding("t", "talk", "Talk", tooltip="join the room of the selected job", id="job.talk"),
        Binding(
            "x",
            "end_job",
            "End",
            tooltip="ask the selected job to end; again: one step harder",
            id="job.end",
        ),
        Binding("i", "detail", "Detail", tooltip="all about the selected process", id="process.detail"),
        Binding("K", "kill", "Kill", tooltip="kill the selected process and all it started", id="process.kill"),
        Binding("r", "reload", "Reload", tooltip="load the agent's code again", id="code.reload"),
        Binding("P", "pin", "Pin", show=False, tooltip=PIN_WORDS, id="job.pin"),
        Binding("D", "drain", "Drain", tooltip="take no new jobs", id="worker.drain"),
        Binding("U", "admit", "Admit", tooltip="take jobs again", id="worker.admit"),
        Binding("L", "register", "Register", tooltip="register at the registry; its jobs run here", id="registry.link"),
        Binding("L", "retry_link", "Retry link", tooltip="call the registry again at once", id="registry.retry"),
        Binding("L", "unregister", "Unregister", tooltip="take no more jobs from the registry", id="registry.leave"),
        Binding("R", "start_again", "Start again", tooltip="start the supervisor again", id="worker.start"),
        Binding("R", "try_again", "Try again", tooltip="connect to the supervisor again at once", id="worker.try"),
        *HOUSE_KEYS,
    ]

    def __init__(
        self,
        source: Source,
        owner: OwnerLike | None = None,
        title: str = "",
        *,
        preferences: Preferences | None = None,
        clock: Callable[[], float] = time.time,
        paint_every_s: float = PAINT_EVERY_S,
    ) -> None:
        super().__init__(preferences)
        self.board = Board(clock, title)
        self._source, self._owner = source, owner
        self.feed = Feed(source, self.board, self.post_message, paint_every_s)
        self.leaving = Leaving(self, owner)
        self.pouring = Pouring(source, self.board, self.tell)
        self._details = Details(self)
        self.tuner = Tuner(
            self.board, lambda: self.feed.connection, lambda: source.local, self.tell, self.post_message, self._show
        )
        self.talking = Talking(self)
        self.board_screen = BoardScreen(self.board)

    # --- life -----------------------------------------------------------------------------------

    async def on_load(self) -> None:
        """Bad options are told before the screen opens; the supervisor looked at them while this was imported."""
        if self._owner is not None:
            try:
                await self._owner.wait_until_checked()
            except WorkbenchError as refused:
                self.refused = refused
                self.exit()

    def get_default_screen(self) -> Screen[None]:
        """The board is the only screen below the questions."""
        return self.board_screen

    def begin(self) -> None:
        """Follow the supervisor, and watch for its end where it is ours."""
        self.run_worker(self.feed.run(), group="feed", exit_on_error=True)
        if self._owner is not None:
            self.run_worker(self._watch_owner(self._owner), group="owner")

    async def _watch_owner(self, owner: OwnerLike) -> None:
        self.post_message(SupervisorEnded(await owner.wait()))

    async def on_unmount(self) -> None:
        """Nothing of ours stays behind. Textual calls that of `HouseApp` as well."""
        if self._owner is not None:
            self._owner.close()
        await self.pouring.last_words()

    # --- news -----------------------------------------------------------------------------------

    def on_board_changed(self, message: BoardChanged) -> None:
        """Draw what is new."""
        self.board_screen.logs.add(message.records)
        self._show()
        self.talking.follow()

    def on_link_lost(self, message: LinkLost) -> None:
        """Say that everything shown is old."""
        self._show()

    def on_supervisor_ended(self, message: SupervisorEnded) -> None:
        """Leave when that was wanted, else say how it ended and what can be done."""
        if not self.leaving.ended(message.ended):
            self.board_screen.ended.ended = message.ended
            self.board.lose("the supervisor has ended")
            self.board.ended = True
            self._show()

    def _tick(self) -> None:
        self.board.listen()
        if self.board_screen.is_mounted:
            super()._tick()

    def show_all(self) -> None:
        """Draw what is known now."""
        if not self._details.covers:
            self.board_screen.show(self.board)
        if self.screen is not self.board_screen and hasattr(self.screen, "show"):
            self.screen.show(self.board)

    def on_say_wanted(self, message: SayWanted) -> None:
        """Say it in its room."""
        self.run_worker(self.talking.say(message.job_id, message.text), group="say")

    def on_say_again_wanted(self) -> None:
        """Say what was said before again."""
        self.talking.say_again()

    def on_say_again_stopped(self) -> None:
        """No more of it."""
        self.talking.stop_again()

    def on_room_close_wanted(self, message: RoomCloseWanted) -> None:
        """Leave a room."""
        self.talking.close(message.job_id)

    # --- load -----------------------------------------------------------------------------------

    def on_load_wanted(self, message: LoadWanted) -> None:
        """One run at a time."""
        if not self.pouring.running:
            self.run_worker(self.pouring.pour(message.plan), group="load")

    def on_load_end_wanted(self, message: LoadEndWanted) -> None:
        """Its jobs end."""
        self.pouring.stop()

    # --- what keys ask for ----------------------------------------------------------------------

    def _ask(self, call: Callable[[Connection], Awaitable[object]], done: str = "") -> None:
        self.run_worker(self._asked(call, done), group="ask")

    async def _asked(self, call: Callable[[Connection], Awaitable[object]], done: str) -> None:
        connection = self.feed.connection
        if connection is None:
            self.tell("not connected to a supervisor", "warning")
            return
        try:
            await call(connection)
        except WorkbenchError as error:
            self.tell(str(error), "error")
        else:
            if done:
                self.tell(done)

    def action_new_job(self) -> None:
        """Start a job, and join its room."""
        self._ask(self.talking.start_job)

    def action_talk(self) -> None:
        """Join the selected job's room; without one, go to the conversation there is."""
        job = self._chosen.job
        if job is not None:
            self.talking.join(job)
        self.board_screen.action_go("talk")

    # --- one process ----------------------------------------------------------------------------

    @property
    def _chosen(self) -> "SlotTable | Subject":
        """What keys act on: the process that the screen on top is about, else the one under the table's cursor."""
        subject: Subject | None = getattr(self.screen, "subject", None)
        return subject or self.board_screen.table

    def action_detail(self) -> None:
        """All about the selected process, or the last one of its place."""
        self._details.open(self.board_screen.table.place)

    def action_logs_of(self) -> None:
        """Only the lines of the process that the screen on top is about."""
        self._details.show_logs()

    @on(DetailWanted)
    @on(StackWanted)
    def _wanted_of_a_process(self, message: DetailWanted | StackWanted) -> None:
        self._details.wanted(message)

    def action_end_job(self) -> None:
        """Ask it to end; asked first where somebody else needs it."""
        job = self._chosen.job
        if job is not None:
            self.confirm("End job", end_question(job), "End it", lambda: self._ask(lambda c: c.end_job(job.id)))

    def action_kill(self) -> None:
        """Kill the selected process; asked first when a job runs in it."""
        process, job = self._chosen.process, self._chosen.job
        if process is None or not process.pid:
            return
        question, pid = kill_question(process, job), process.pid
        self.confirm("Kill process", question, "Kill it now", lambda: self._ask(lambda c: c.kill_process(pid)))

    def action_reload(self) -> None:
        """Load the agent's code again; asked first when jobs of others start again with it."""
        question = reload_question(self.board)
        self.confirm("Reload", question, "Load it", lambda: self._ask(lambda connection: connection.reload()))

    def action_pin(self) -> None:
        """Keep the selected job on its code, or let newer code take it again."""
        job = self._chosen.job
        if job is None:
            return
        pinned = not job.pinned
        done = f"{job.id} stays on generation {job.generation}" if pinned else f"{job.id} goes with newer code again"
        self._ask(lambda connection: connection.pin_job(job.id, pinned), done)

    def action_drain(self) -> None:
        """Take no new jobs."""
        self._ask(lambda connection: connection.drain(), drain_done(self.board))

    def action_admit(self) -> None:
        """Take jobs again."""
        self._ask(lambda connection: connection.admit(), "jobs are taken again")

    def action_register(self) -> None:
        """Take jobs from a registry; asked first, unless it has given this worker jobs until now."""
        question = register_question(self.board)
        self.confirm("Registry", question, "Register: take jobs from there", lambda: self._ask(lambda c: c.register()))

    def action_retry_link(self) -> None:
        """Call the registry now, and do not wait for the next try."""
        self._ask(lambda connection: connection.register(), f"calling {registry_of(self.board)}")

    def action_unregister(self) -> None:
        """Take no more jobs from the registry."""
        question = unregister_question(self.board)
        self.confirm("Registry", question, "Leave it: no more jobs", lambda: self._ask(lambda c: c.unregister()))

    def help_nodes(self) -> list[DOMNode]:
        """The panes of the board; of a screen on top its own."""
        if self._chosen is not self.board_screen.table:
            return [self.screen, self]
        nodes: list[DOMNode] = [self, self.board_screen, self.board_screen.table, self.board_screen.logs.view]
        nodes += [self.board_screen.talk.view, self.board_screen.talk]
        return [*nodes, self.board_screen.tune.view, self.board_screen.load.view]

    def quit_asked(self) -> None:
        """What becomes of the worker is decided first."""
        self.leaving.quit()

    def action_kill_supervisor(self) -> None:
        """The last resort while it is stopping."""
        self.leaving.kill()

    def action_start_again(self) -> None:
        """Start the supervisor that ended again."""
        if self._owner is not None:
            self.board_screen.ended.starting = True
            self._show()
            self.run_worker(self._start_again(self._owner), group="start", exclusive=True)

    def action_try_again(self) -> None:
        """Do not wait for the next try to connect."""
        self.feed.retry_now()

    async def _start_again(self, owner: OwnerLike) -> None:
        card = self.board_screen.ended
        try:
            owner.start()
            address = await asyncio.to_thread(owner.wait_until_up)
        except (WorkbenchError, OSError) as error:
            self.tell(str(error), "error")
        else:
            card.ended, self.board.ended = None, False
            self.leaving.started()
            self._source.move(address)
            self.feed.retry_now()
            self.run_worker(self._watch_owner(owner), group="owner", exclusive=True)
        card.starting = False
        self._show()

    def on_copy_wanted(self, message: CopyWanted) -> None:
        """Copy, and say how."""
        from workbench.tui.clipboard import copy, native_tool

        self.tell(copy(message.text, plural(message.lines, "line"), self.copy_to_clipboard, native_tool()))

    def on_tune_wanted(self, message: TuneWanted) -> None:
        """Apply, undo, copy or save options; one after the other."""
        self.run_worker(self.tuner.do(message), group="tune")

    def on_tell_wanted(self, message: TellWanted) -> None:
        """Tell it."""
        self.tell(message.words)

    def on_export_wanted(self, message: ExportWanted) -> None:
        """Write the lines, and say where they are."""
        from workbench.tui.export import export

        self.tell(*export(message.lines, self.board.state.worker.agent_id or self.board.title, self.board.clock()))

    def on_open_wanted(self, message: OpenWanted) -> None:
        """Leave the terminal to an editor or a pager until it ends; a Ctrl-C in there is not for us."""
        from workbench.tui.opening import open_outside

        if self._unwatch is not None:
            self._unwatch()
        try:
            self.tell(*open_outside(message.place, message.lines, self.suspend))
        finally:
            self._watch()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        table = self._chosen if self.board_screen.is_mounted else None
        linked = self.feed.connection is not None
        if action == "start_again":
            return self.leaving.gone is not None and not self.board_screen.ended.starting
        if action == "try_again":
            return self.board.retry_at is not None and not self.board.ended
        if action == "new_job":
            return linked and table is not None and table is self.board_screen.table
        if action == "reload":
            return linked
        if action == "end_job":
            return linked and table is not None and table.job is not None and table.job.active
        if action == "pin":
            return linked and table is not None and table.job is not None and self.board.can_pin(table.job)
        if action == "kill":
            return linked and table is not None and table.process is not None and table.process.pid > 0
        if action == "detail":
            return table is not None and table is self.board_screen.table
        if action == "drain":
            return linked and not self.board.state.worker.draining
        if action in LINK_STATES:
            link = self.board.state.link
            return linked and ("leaving" if link.leaving else link.state) in LINK_STATES[action]
        if action == "admit":
            return linked and self.board.can_admit()
        return True

    def more_commands(self) -> Iterable[SystemCommand]:
        """One for each option."""
        from workbench.tui.palette import options

        return options(self)


__all__ = ["ExitReport", "Message", "WorkbenchApp"]
