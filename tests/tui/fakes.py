"""A supervisor that is only a script: frames, rooms and an owner that tests move by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from workbench.client.address import Address
from workbench.client.client import ClientError, Frame, LogLine
from workbench.client.owner import Ended, StartRefused
from workbench.model import events as ev
from workbench.model.state import State

NOW = 1_700_000_000.0


class FakeRoom:
    """A room whose news the test says."""

    def __init__(self, news: list[dict[str, Any]]) -> None:
        self.said: list[str] = []
        self.refusal = ""
        self._news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        for item in news:
            self._news.put_nowait(item)

    def tell(self, item: dict[str, Any]) -> None:
        self._news.put_nowait(item)

    def hang_up(self) -> None:
        """The line breaks."""
        self._news.put_nowait(None)

    async def send(self, text: str) -> None:
        if self.refusal:
            raise ClientError(self.refusal)
        self.said.append(text)

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while (item := await self._news.get()) is not None:
            yield item
            if item["type"] == "ended":
                return


class FakeSource:
    """Source and connection in one. `state` is folded from real events; `asked` is what the TUI asked for."""

    def __init__(self, state: State | None = None, lines: list[LogLine] | None = None) -> None:
        self.state = state or State()
        self.asked: list[tuple[Any, ...]] = []
        self.rooms: dict[str, FakeRoom] = {}
        self.details: dict[int, dict[str, Any]] = {}
        self.dump: dict[str, Any] = {}
        self.refusal = ""
        self.reachable = self.local = True
        self.silent = False
        self.address: Address | None = None
        self.connected = 0
        self._lines = list(lines or [])
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._more: list[asyncio.Queue[Frame | None]] = []  # of whoever follows beside the first
        self._followed = False

    # --- moved by the test ----------------------------------------------------------------------

    def happen(self, *events: ev.Event) -> None:
        """Something happens in the worker."""
        for event in events:
            self.state.apply(event)
            self._tell(Frame(self.state, event=event))

    def log(self, *lines: LogLine, dropped: int = 0) -> None:
        """The worker logs."""
        self._tell(Frame(self.state, lines=list(lines), lines_dropped=dropped))

    def _tell(self, frame: Frame | None) -> None:
        for queue in (self._frames, *self._more):
            queue.put_nowait(frame)

    @property
    def taken(self) -> bool:
        """Whether everything that happened was taken over."""
        return all(queue.empty() for queue in (self._frames, *self._more))

    def cut(self, reachable: bool = True) -> None:
        """The stream and the lines into rooms end; whether they can be taken up again."""
        self.reachable = reachable
        self._tell(None)
        for room in self.rooms.values():
            room.hang_up()

    # --- used by the TUI ------------------------------------------------------------------------

    def move(self, address: Address) -> None:
        self.address = address

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["FakeSource"]:
        if not self.reachable:
            raise ClientError("nobody listens")
        self.connected += 1
        if self.silent:
            await asyncio.get_running_loop().create_future()
        yield self

    async def frames(self, log_tail: int = 0) -> AsyncIterator[Frame]:
        if not self.reachable:
            raise ClientError("nobody listens")
        first = not self._followed
        queue: asyncio.Queue[Frame | None] = self._frames if first else asyncio.Queue()
        self._followed = True
        if not first:
            self._more.append(queue)
        try:
            yield Frame(self.state, snapshot=True)
            if self._lines and log_tail:
                yield Frame(self.state, lines=self._lines[-log_tail:])
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            if first:
                self._followed = False
            else:
                self._more.remove(queue)

    async def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.refusal:
            raise ClientError(self.refusal, 503)

    async def dispatch(
        self, room_id: str | None = None, metadata: dict[str, Any] | None = None, *, force: bool = False
    ) -> dict[str, Any]:
        await self._ask("dispatch")
        return {"id": "job-new", "room_id": "room-new"}

    async def end_job(self, job_id: str) -> None:
        await self._ask("end_job", job_id)

    async def pin_job(self, job_id: str, pinned: bool) -> None:
        await self._ask("pin_job", job_id, pinned)

    async def kill_process(self, pid: int) -> None:
        await self._ask("kill_process", pid)

    async def process(self, pid: int) -> dict[str, Any]:
        await self._ask("process", pid)
        if pid not in self.details:
            raise ClientError("no such process of this worker", 404)
        return self.details[pid]

    async def stack(self, pid: int) -> dict[str, Any]:
        await self._ask("stack", pid)
        return self.dump

    async def drain(self) -> None:
        await self._ask("drain")

    async def admit(self) -> None:
        await self._ask("admit")

    async def register(self) -> None:
        await self._ask("register")

    async def unregister(self) -> None:
        await self._ask("unregister")

    async def reload(self) -> None:
        await self._ask("reload")

    async def set_options(self, values: dict[str, Any], for_s: float | None = None) -> dict[str, dict[str, Any]]:
        await self._ask("set_options", values, for_s)
        return {}

    async def take_back_options(self, names: list[str]) -> dict[str, dict[str, Any]]:
        await self._ask("take_back_options", names)
        return {}

    @asynccontextmanager
    async def room(self, room_id: str) -> AsyncIterator[FakeRoom]:
        if room_id not in self.rooms:
            raise ClientError(f"room {room_id} cannot be joined", 404)
        yield self.rooms[room_id]


class FakeOwner:
    """A supervisor's owner that only remembers its orders."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.pid = 4120
        self.log_path = Path("/nowhere/supervisor.log")
        self.refuses = ""
        self._gone: asyncio.Future[Ended] | None = None

    def end(self, ended: Ended) -> None:
        """The supervisor is gone."""
        assert self._gone is not None
        self._gone.set_result(ended)

    def start(self) -> None:
        self.orders.append("start")

    async def wait_until_checked(self) -> None:
        pass

    def wait_until_up(self) -> Address:
        if self.refuses:
            raise StartRefused(self.refuses, 3)
        return Address(path="/run/again.sock")

    async def wait(self) -> Ended:
        self._gone = asyncio.get_running_loop().create_future()
        return await self._gone

    def ended(self) -> Ended | None:
        return self._gone.result() if self._gone is not None and self._gone.done() else None

    def stop(self) -> None:
        self.orders.append("stop")

    def drain(self) -> None:
        self.orders.append("drain")

    def release(self) -> None:
        self.orders.append("release")

    def kill(self) -> None:
        self.orders.append("kill")

    def close(self) -> None:
        self.orders.append("close")

    def last_lines(self) -> list[str]:
        return ["its last words"]
