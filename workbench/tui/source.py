"""Where the board's data comes from, as the few methods the TUI needs; and the real one, over a `Client`."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.client.client import Client, Frame

if TYPE_CHECKING:
    from workbench.client.address import Address
    from workbench.client.owner import Ended


class RoomLink(Protocol):
    """A joined room."""

    async def send(self, text: str) -> None:
        """Say something."""

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """What is said, history first."""
        ...


class Connection(Protocol):
    """A connected supervisor."""

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

    async def pin_job(self, job_id: str, pinned: bool) -> None:
        """Leave a job on its generation, or no longer so."""

    async def kill_process(self, pid: int) -> None:
        """Kill a process and its tree."""

    async def process(self, pid: int) -> dict[str, Any]:
        """Everything about one process."""
        ...

    async def stack(self, pid: int) -> dict[str, Any]:
        """Where a process stands now."""
        ...

    async def drain(self) -> None:
        """Take no new jobs."""

    async def admit(self) -> None:
        """Take jobs again."""

    async def register(self) -> None:
        """Take jobs from the registry; try now, if the link is down."""

    async def unregister(self) -> None:
        """Take no more jobs from there."""

    async def reload(self) -> None:
        """Load the agent again."""

    async def set_options(self, values: dict[str, Any], for_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Change options live, for good or for a time."""
        ...

    async def take_back_options(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Take live changes back."""
        ...

    def room(self, room_id: str) -> AbstractAsyncContextManager[RoomLink]:
        """Join a room."""
        ...


class Source(Protocol):
    """Something that can be connected to, again and again."""

    @property
    def local(self) -> bool:
        """Whether its files are this machine's."""
        ...

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """A connection, for as long as the context lasts."""
        ...

    def move(self, address: "Address") -> None:
        """Connect to `address` from now on."""


class OwnerLike(Protocol):
    """The hold on a supervisor that this terminal started."""

    log_path: Path

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        ...

    def start(self) -> None:
        """Start it (again)."""

    async def wait_until_checked(self) -> None:
        """Wait until its options are known to be of use."""

    def wait_until_up(self) -> "Address":
        """Block until it listens."""
        ...

    async def wait(self) -> "Ended":
        """Wait for its end."""
        ...

    def stop(self) -> None:
        """End everything now."""

    def drain(self) -> None:
        """End with the last job."""

    def release(self) -> None:
        """Let it run on alone."""

    def kill(self) -> None:
        """The last resort."""

    def close(self) -> None:
        """Close the pipes."""

    def last_lines(self) -> list[str]:
        """The end of its log."""
        ...


class ClientSource:
    """A supervisor by its address."""

    def __init__(self, address: "Address", token: str | None = None) -> None:
        self._address = address
        self._token = token

    @property
    def local(self) -> bool:
        """A socket's other end is on this machine."""
        return bool(self._address.path)

    def move(self, address: "Address") -> None:
        """Connect to `address` from now on."""
        self._address = address

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection over its socket or URL."""
        # The import takes as long as a first paint; in a thread, keys are answered meanwhile.
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        async with Client(self._address, self._token) as client:
            yield client


class OwnedSource:
    """The supervisor that this terminal started; the screen is painted while it is still coming up."""

    def __init__(self, owner: OwnerLike) -> None:
        self._owner = owner
        self._source: ClientSource | None = None

    @property
    def local(self) -> bool:
        """This terminal started it."""
        return True

    def move(self, address: "Address") -> None:
        """Connect to `address` from now on."""
        self._source = ClientSource(address)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection, once it listens."""
        if self._source is None:
            importing = asyncio.to_thread(importlib.import_module, "aiohttp")
            address, _ = await asyncio.gather(asyncio.to_thread(self._owner.wait_until_up), importing)
            self._source = ClientSource(address)
        async with self._source.connect() as connection:
            yield connection
