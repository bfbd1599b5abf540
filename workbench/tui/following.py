"""A stream of news that is followed for ever, and told to the app as often as it can be painted."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

from textual.message import Message

from workbench.model.errors import WorkbenchError
from workbench.tui.messages import LinkLost

ConnectionT = TypeVar("ConnectionT")
FrameT = TypeVar("FrameT")


class Shown(Protocol):
    """The board, as far as it tells of the connection.

    Attributes:
        retry_at: when a lost connection is tried again, by its clock.
    """

    retry_at: float | None

    @property
    def clock(self) -> Callable[[], float]:
        """Epoch seconds."""
        ...

    def lose(self, why: str) -> None:
        """All that is known is old."""


class Follower(ABC, Generic[ConnectionT, FrameT]):
    """Keeps a connection and hands on its frames; a lost one is taken up again.

    A subclass says how to connect, what a frame is for, and what to tell.

    Args:
        interval_s: least time between two messages; 0 tells at once.
    """

    FIRST_RETRY_S: float
    LONGEST_RETRY_S: float

    def __init__(self, board: Shown, post: Callable[[Message], object], interval_s: float) -> None:
        self.connection: ConnectionT | None = None
        self.post = post
        self._shown, self._interval_s = board, interval_s
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        self._wake = asyncio.Event()

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[ConnectionT]:
        """A connection, for as long as the context lasts."""

    @abstractmethod
    def frames(self, connection: ConnectionT) -> AsyncIterator[FrameT]:
        """What it tells."""

    @abstractmethod
    def take(self, frame: FrameT) -> None:
        """Keep what a frame tells."""

    @abstractmethod
    def tell(self) -> None:
        """Tell the app what is new."""

    def spread(self, delay_s: float) -> float:
        """When to try again, of what the last failures make of it."""
        return delay_s

    async def run(self) -> None:
        """Follow for ever."""
        delay_s = self.FIRST_RETRY_S
        while True:
            self._wake.clear()
            heard = await self._follow()
            delay_s = self.FIRST_RETRY_S if heard else min(delay_s * 2, self.LONGEST_RETRY_S)
            wait_s = self.spread(delay_s)
            self._shown.retry_at = self._shown.clock() + wait_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._shown.retry_at = None

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._wake.set()

    async def _follow(self) -> bool:
        heard, why = False, "the stream ended"
        try:
            async with self.connect() as connection:
                async for frame in self.frames(connection):
                    self.connection, heard = connection, True
                    self.take(frame)
                    self.tell_soon()
        except (WorkbenchError, OSError) as error:
            why = str(error)
        finally:
            self.connection = None
        self._shown.lose(why)
        self.post(LinkLost(why))
        return heard

    def tell_soon(self) -> None:
        """Tell as soon as the last message is old enough."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._told_at + self._interval_s - loop.time()
        if wait_s <= 0:
            self.tell_now()
        else:
            self._timer = loop.call_later(wait_s, self.tell_now)

    def tell_now(self) -> None:
        """Tell, however old the last message is."""
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        self.tell()
