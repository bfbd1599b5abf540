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
    """One room. `connection` gives the present connection, if there is one."""

    def __init__(
        self, job: Job, connection: Callable[[], Connection | None], post: Callable[[Message], object]
    ) -> None:
        self._job, self._connection, self._post = job, connection, post
        self._room: RoomLink | None = None

    async def run(self, alive: Callable[[], bool]) -> None:
        """Stay in the job's room while the job is alive."""
        while alive():
            ended = await self._stay()
            if self._room is not None:
                self._room = None
                self._post(RoomLeft(self._job.id))
            if ended:
                return
            await asyncio.sleep(RETRY_S)

    async def say(self, text: str) -> None:
        """Say something.

        Raises:
            WorkbenchError: the room is not joined.
        """
        if self._room is None:
            raise WorkbenchError("no room is joined; n starts a job to talk to")
        await self._room.send(text)

    async def _stay(self) -> bool:
        """Until the room ends (True) or the line breaks."""
        connection = self._connection()
        if connection is None:
            return False
        try:
            async with connection.room(self._job.room_id) as room:
                self._room = room
                self._post(RoomJoined(self._job.id))
                async for news in room:
                    self._post(RoomSaid(self._job.id, news))
                    if news.get("type") == "ended":
                        return True
        except (WorkbenchError, OSError):
            return False  # it is tried again; the bar says that the room is not joined
        return False
