"""What a run needs of a worker, what it knows of a job, and what it does with one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.client.client import ClientError, Frame
from workbench.client.load.result import Result
from workbench.client.load.script import Conversation, RoomLink
from workbench.model.errors import WorkbenchError

END_TRIES = 4
END_AGAIN_S = 1.0  # when asking a job to end got no good answer


class Target(Protocol):
    """What a run needs of a worker: a `Client` has it."""

    def frames(self, log_tail: int = 0) -> AsyncIterator[Frame]:
        """Its state, and every change of it."""
        ...

    async def dispatch(
        self, room_id: str | None = None, metadata: dict[str, Any] | None = None, *, force: bool = False
    ) -> dict[str, Any]:
        """Hand it a job."""
        ...

    async def end_job(self, job_id: str) -> None:
        """Ask a job to end."""

    def room(self, room_id: str) -> AbstractAsyncContextManager[RoomLink]:
        """Join a room."""
        ...


@dataclass(slots=True)
class Mine:
    """A job of this run. `begun` and `leave` are set, too, when it need not be waited for any more.

    Attributes:
        asked: this run wants it to end.
        told: the worker has answered that, so it is not asked again.
    """

    id: str
    due: float
    began: bool = False
    asked: bool = False
    told: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


async def talk(target: Target, mine: Mine, room_id: str, lines: Sequence[str], result: Result) -> None:
    """Say the lines in its room, until it is to be left."""

    async def converse() -> None:
        with suppress(WorkbenchError, OSError):  # the room's end is the job's end, which is counted
            async with target.room(room_id) as room:
                await Conversation(room, result).run(lines)

    waits = [asyncio.create_task(converse()), asyncio.create_task(mine.leave.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def end(target: Target, mine: Mine, patience_s: float | None) -> bool:
    """Ask a job to end until the worker answers or its end is heard; whether one of these came.

    Asking again after an answer that was lost takes the job one rung further down, which only hastens its end.
    """
    for tries in range(END_TRIES):
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(patience_s):
                    await target.end_job(mine.id)
                mine.told = True
                return True
            except ClientError as refusal:
                if refusal.status == 409:
                    mine.told, mine.asked = True, tries > 0  # by itself, unless an answer was lost
                    return True
                if refusal.status == 404:
                    return False  # it is forgotten, and so is how it ended
        with suppress(TimeoutError):
            await asyncio.wait_for(mine.ended.wait(), END_AGAIN_S)
            return True
    return False
