"""The bridge from a registry to its screen: frames in, at most ten messages a second out."""

import asyncio
import importlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from textual.message import Message

from workbench.client.registry_watch import RegistryFrame, RegistryWatch
from workbench.model.errors import WorkbenchError
from workbench.tui.messages import LinkLost
from workbench.tui.registry.board import RegistryBoard

if TYPE_CHECKING:
    from workbench.client.address import Address

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 10.0


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


class RegistryFeed:
    """Keeps a connection, and folds its frames into the board.

    Args:
        interval_s: least time between two messages; 0 tells at once.
    """

    def __init__(
        self,
        source: RegistrySource,
        board: RegistryBoard,
        post: Callable[[Message], object],
        interval_s: float,
        rng: random.Random | None = None,
    ) -> None:
        self.connection: RegistryConnection | None = None
        self._source, self._board, self._post, self._interval_s = source, board, post, interval_s
        self._rng = rng or random.Random()
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow the registry for ever; a lost stream is taken up again, not by all its watchers at the same moment."""
        longest_s = FIRST_RETRY_S
        while True:
            self._wake.clear()
            heard = await self._follow()
            longest_s = FIRST_RETRY_S if heard else min(longest_s * 2, LONGEST_RETRY_S)
            delay_s = self._rng.uniform(longest_s / 2, longest_s)
            self._board.retry_at = self._board.clock() + delay_s
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._board.retry_at = None

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._wake.set()

    async def _follow(self) -> bool:
        heard, why = False, "the stream ended"
        try:
            async with self._source.connect() as connection:
                async for frame in connection.frames():
                    self.connection, heard = connection, True
                    self._board.take(frame)
                    self._tell_soon()
        except (WorkbenchError, OSError) as error:
            why = str(error)
        finally:
            self.connection = None
        self._board.lose(why)
        self._post(LinkLost(why))
        return heard

    def _tell_soon(self) -> None:
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._told_at + self._interval_s - loop.time()
        if wait_s <= 0:
            self._tell()
        else:
            self._timer = loop.call_later(wait_s, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        self._post(RegistryChanged())
