"""What a run needs of a worker, and what it knows of a job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.client.client import Frame
from workbench.client.load.script import RoomLink


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
