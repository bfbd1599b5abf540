"""Talking to jobs: which rooms are open, the line into each, and what is said there."""

import asyncio
from typing import TYPE_CHECKING, Any

from textual.worker import Worker

from workbench.client.client import ClientError
from workbench.model.errors import WorkbenchError
from workbench.model.state import Job
from workbench.tui.lines import clean
from workbench.tui.say_again import say_again
from workbench.tui.source import Connection
from workbench.tui.talk_line import TalkLine
from workbench.tui.widgets.talk.rooms import Conversation

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.widgets.talk.pane import TalkPane

Line = tuple[TalkLine, Worker[Any]]


class Talking:
    """Follows the board, and keeps every open room joined for as long as its job runs."""

    def __init__(self, app: "WorkbenchApp") -> None:
        self._app = app
        self._lines: dict[str, Line] = {}
        self._closed: set[str] = set()
        self._wanted: list[str] = []  # jobs the user started: shown once the board knows them
        self._again: Worker[Any] | None = None
        self._again_in: Conversation | None = None
        self._opened = asyncio.Event()

    @property
    def _pane(self) -> "TalkPane":
        return self._app.board_screen.talk

    # --- rooms ----------------------------------------------------------------------------------

    async def start_job(self, connection: Connection, metadata: dict[str, Any] | None = None) -> str:
        """Start a job for the user, whose room is joined once the board shows it; its id.

        Raises:
            WorkbenchError: it was refused, with the reason.
        """
        try:
            job = await connection.dispatch(metadata=metadata)
        except ClientError as refused:
            if "reason" not in refused.body:
                raise
            raise WorkbenchError(f"job refused, {refused.body['reason']}: {refused}") from None
        self._wanted.append(str(job["id"]))
        self.follow()
        return str(job["id"])

    def join(self, job: Job) -> None:
        """The user wants to talk to that job."""
        self._closed.discard(job.id)
        talk = self._pane.rooms.get(job.id) or (self._open(job) if job.active else None)
        if talk is not None:
            self._pane.look_at(talk)

    def follow(self) -> None:
        """Open the rooms of jobs that the user or the workbench has started."""
        state, own = self._app.board.state, self._app.board.own_job()
        for job_id in [job_id for job_id in self._wanted if job_id in state.jobs]:
            self._wanted.remove(job_id)
            self.join(state.jobs[job_id])
            self._opened.set()
        if own is None or own.id in self._closed or self._pane.rooms.get(own.id) is not None:
            return
        shown, talk = self._pane.rooms.shown, self._open(own)
        # Its end can be read where it was wanted; but what belonged to the own job's place goes on there.
        if shown is None or shown.job.id not in state.jobs or (shown.job.own and shown.over(state)):
            self._pane.look_at(talk)

    def _open(self, job: Job) -> Conversation:
        pane, app = self._pane, self._app
        for gone in pane.rooms.open(job, app.board.state):
            self._leave(gone.job.id)
        talk = pane.rooms.all[-1]
        line = TalkLine(job, lambda: app.feed.connection, pane.post_message)
        running = line.run(lambda: not talk.over(app.board.state))
        self._lines[job.id] = line, app.run_worker(running, group="room")
        app.board_screen.offer_talk()
        return talk

    def close(self, job_id: str) -> None:
        """The user leaves a room; its job runs on."""
        talk = self._pane.rooms.get(job_id)
        if talk is None:
            return
        self._closed.add(job_id)
        self._leave(job_id)
        if talk is self._again_in:
            self.stop_again()
        runs = "" if talk.over(self._app.board.state) else "; its job runs on, t on its process joins it again"
        self._app.tell(f"left room {clean(talk.job.room_id, 60)}{runs}")
        self._pane.close(talk)

    def _leave(self, job_id: str) -> None:
        _, worker = self._lines.pop(job_id)
        worker.cancel()

    # --- what is said ---------------------------------------------------------------------------

    async def say(self, job_id: str, text: str) -> None:
        """Say it; what could not be said comes back into the field."""
        try:
            await self._say(job_id, text)
        except (WorkbenchError, OSError) as error:
            self._app.tell(str(error), "warning")
            self._pane.give_back(job_id, text)

    async def _say(self, job_id: str, text: str) -> None:
        if job_id not in self._lines:
            raise WorkbenchError("no room is joined; n starts a job to talk to")
        await self._lines[job_id][0].say(text)
        if (talk := self._pane.rooms.get(job_id)) is not None:
            talk.spoken = True

    def say_again(self) -> None:
        """Say what was said before again: in the shown room, or to a new job where that one cannot answer."""
        talk, texts = self._pane.rooms.shown, tuple(self._pane.rooms.to_say_again(self._app.board.state))
        if talk is not None and texts and self._again is None:
            self._again = self._app.run_worker(self._say_again(talk, texts), group="again")

    def stop_again(self) -> None:
        """No more of it."""
        if self._again is not None:
            self._again.cancel()

    async def _say_again(self, talk: Conversation, texts: tuple[str, ...]) -> None:
        pane = self._pane
        pane.again = (0, len(texts))

        def tell(number: int) -> None:
            pane.again = (number, len(texts))
            pane.redraw()

        try:
            if talk.past(self._app.board.state):
                talk = await self._new_room(talk)
            self._again_in = talk
            await say_again(talk, texts, lambda text: self._say(talk.job.id, text), tell)
        except (WorkbenchError, OSError) as error:
            self._app.tell(str(error), "warning")
        finally:
            pane.again = self._again = self._again_in = None
            pane.redraw()

    async def _new_room(self, former: Conversation) -> Conversation:
        """The room of a new job, with the metadata of the former."""
        connection = self._app.feed.connection
        if connection is None:
            raise WorkbenchError("not connected to a supervisor")
        job_id = await self.start_job(connection, former.job.metadata)
        while job_id in self._wanted:
            self._opened.clear()
            await self._opened.wait()
        talk = self._pane.rooms.get(job_id)
        if talk is None:
            raise WorkbenchError("the new job has ended at once")
        return talk
