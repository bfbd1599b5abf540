"""The bridge from a registry to its screen: frames in, at most ten messages a second out."""

import asyncio
import importlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from textual.message import Message

from workbench.client.registry_watch import RegistryFrame, RegistryWatch
from workbench.tui.following import Follower
from workbench.tui.registry.board import RegistryBoard

if TYPE_CHECKING:
    from workbench.client.address import Address


class RegistryConnection(Protocol):
    """A connected registry."""

    def frames(self) -> AsyncIterator[RegistryFrame]:
        """Its state, and every change of it."""
        ...

    async def dispatch(self, agent: str, room_id: str, metadata: dict[str, Any]) -> tuple[str, str]:
        """Have a job done; its id, and its worker's."""
        ...

    async def end_job(self, job_id: str) -> None:
        """Ask a job to end."""

    async def drain(self, worker_id: str, on: bool) -> None:
        """Offer a worker nothing more, or something again."""


class RegistrySource(Protocol):
    """Something that can be connected to, again and again."""

    def connect(self) -> AbstractAsyncContextManager[RegistryConnection]:
        """A connection, for as long as the context lasts."""
        ...


class RegistryAt:
    """A registry by its address."""

    def __init__(self, address: "Address", token: str | None) -> None:
        self._address, self._token = address, token

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[RegistryConnection]:
        """A connection over HTTP."""
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        async with RegistryWatch(self._address, self._token) as client:
            yield client


class RegistryChanged(Message):
    """The board shows something new."""


class RegistryFeed(Follower[RegistryConnection, RegistryFrame]):
    """Folds the registry's frames into the board.

    Args:
        interval_s: least time between two messages; 0 tells at once.
    """

    FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 10.0

    def __init__(
        self,
        source: RegistrySource,
        board: RegistryBoard,
        post: Callable[[Message], object],
        interval_s: float,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(board, post, interval_s)
        self._source, self._board = source, board
        self._rng = rng or random.Random()

    def connect(self) -> AbstractAsyncContextManager[RegistryConnection]:
        """See `Follower`."""
        return self._source.connect()

    def frames(self, connection: RegistryConnection) -> AsyncIterator[RegistryFrame]:
        """See `Follower`."""
        return connection.frames()

    def take(self, frame: RegistryFrame) -> None:
        """See `Follower`."""
        self._board.take(frame)

    def tell(self) -> None:
        """See `Follower`."""
        self.post(RegistryChanged())

    def spread(self, delay_s: float) -> float:
        """A registry has many watchers: they do not all come back at the same moment."""
        return self._rng.uniform(delay_s / 2, delay_s)
