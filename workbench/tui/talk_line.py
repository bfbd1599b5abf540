"""The line into a job's room: joined again when it breaks, for as long as the job lives."""

import asyncio
from collections.abc import Callable

from textual.message import Message

from workbench.model.errors import WorkbenchError
from workbench.model.state import Job
from workbench.tui.messages import RoomJoined, RoomLeft, RoomSaid
from workbench.tui.source import Connection, RoomLink

RETRY_S = 0.4


class TalkLine:
    """At most one joined room. `connection` gives the present connection, if there is one."""

    def __init__(self, connection: Callable[[], Connection | None], post: Callable[[Message], object]) -> None:
        self._connection, self._post = connection, post
        self._room: RoomLink | None = None

    async def run(self, job: Job, alive: Callable[[], bool]) -> None:
        """Stay in the job's room while the job is alive."""
        while alive():
            why = await self._stay(job)
            self._room = None
            self._post(RoomLeft(job.id, why))
            if not why:
                return
            await asyncio.sleep(RETRY_S)

    async def say(self, text: str) -> None:
        """Say something.

        Raises:
            WorkbenchError: no room is joined.
        """
        if self._room is None:
            raise WorkbenchError("no room is joined; n starts a job to talk to")
        await self._room.send(text)

    async def _stay(self, job: Job) -> str:
        """Until the room ends (the empty string) or the line breaks (why)."""
        connection = self._connection()
        if connection is None:
            return "not connected"
        try:
            async with connection.room(job.room_id) as room:
                self._room = room
                self._post(RoomJoined(job.id))
                async for news in room:
                    self._post(RoomSaid(job.id, news))
                    if news.get("type") == "ended":
                        return ""
        except (WorkbenchError, OSError) as error:
            return str(error) or type(error).__name__
        return "the line broke"
