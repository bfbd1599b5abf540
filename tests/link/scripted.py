"""A registry that says what a test wants it to say, and keeps what it was told."""

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.conftest import WAIT_S

Message = dict[str, Any]


class Caller:
    """One connection of a worker: what it said, and how it is answered."""

    def __init__(self, socket: web.WebSocketResponse, headers: dict[str, str]) -> None:
        self.socket, self.headers = socket, headers
        self.said: list[Message] = []
        self.news = asyncio.Event()
        self.gone = asyncio.Event()

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def heard(self, kind: str, **fields: Any) -> Message:
        """The first message of that kind with those fields, said already or yet to come."""
        return (await self.hear(1, kind, **fields))[0]

    async def hear(self, count: int, kind: str, **fields: Any) -> list[Message]:
        """So many of that kind with those fields."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = self.of(kind, **fields)
                if len(found) >= count:
                    return found
                self.news.clear()
                await self.news.wait()

    def of(self, kind: str, **fields: Any) -> list[Message]:
        """All of that kind so far with those fields."""
        wanted = {"type": kind, **fields}.items()
        return [message for message in self.said if wanted <= {k: v for k, v in message.items() if _plain(v)}.items()]

    async def offer(self, job_id: str, room_id: str = "", agent_name: str = "ledger") -> Message:
        """Offer a job; the worker's answer."""
        before = len(self.of("availability_response", job_id=job_id))
        await self.tell("availability_request", job_id=job_id, room_id=room_id, agent_name=agent_name)
        return (await self.hear(before + 1, "availability_response", job_id=job_id))[-1]

    async def assign(self, job_id: str, metadata: Message | None = None, room_id: str = "", **more: Any) -> None:
        order = {"room_id": room_id, "agent_name": "ledger", "token": "", "url": "", "metadata": metadata, **more}
        await self.tell("job_assignment", job_id=job_id, **order)

    async def give(self, job_id: str, metadata: Message | None = None, room_id: str = "") -> None:
        """Offer and assign."""
        assert (await self.offer(job_id, room_id))["available"]
        await self.assign(job_id, metadata, room_id)

    async def give_with(self, job_id: str, metadata: Message, **more: Any) -> None:
        """Offer and assign, with what else is said of the room."""
        assert (await self.offer(job_id))["available"]
        await self.assign(job_id, metadata, **more)

    async def close(self, code: int = WSCloseCode.OK, reason: bytes = b"") -> None:
        await self.socket.close(code=code, message=reason)
        await self.gone.wait()

    def reset(self) -> None:
        """Cut the connection as a dying host would."""
        transport = self.socket._req.transport  # type: ignore[union-attr]
        if transport is not None:
            transport.abort()


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


class Scripted:
    """The server. Change its attributes while it runs.

    Attributes:
        status: HTTP status of both init-config and the upgrade; 101 is to behave.
        answer: what `register` is answered; None is silence.
        on_call: called for each connection once it registered.
    """

    def __init__(self) -> None:
        self.status = 101
        self.init_status = 200
        self.registry_url = ""
        self.answer: Callable[[Message], Message | None] = self._accept
        self.on_call: Callable[[Caller], Awaitable[None]] | None = None
        self.callers: list[Caller] = []
        self.times: list[float] = []  # of connections, by the loop's clock
        self.init_calls: list[dict[str, str]] = []
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)
        self._transports: set[asyncio.Transport] = set()
        self.port = 0

    def _accept(self, register: Message) -> Message | None:
        return {"success": True, "worker_id": register["worker_id"] or f"w-{next(self._numbers)}"}

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def caller(self, number: int = 1) -> Caller:
        """The connection of that number, from 1, once it registered."""
        async with asyncio.timeout(WAIT_S):
            while len(self.callers) < number:
                self._news.clear()
                await self._news.wait()
        return self.callers[number - 1]

    async def tries(self, count: int) -> None:
        """Wait for so many connections, registered or not."""
        async with asyncio.timeout(WAIT_S):
            while len(self.times) < count:
                self._news.clear()
                await self._news.wait()

    def _seen(self, request: web.Request) -> None:
        if isinstance(request.transport, asyncio.Transport):
            self._transports.add(request.transport)

    async def _init(self, request: web.Request) -> web.Response:
        self._seen(request)
        self.init_calls.append(dict(request.headers))
        if self.init_status != 200:
            return web.Response(status=self.init_status, headers={"Location": "http://127.0.0.1:1/"})
        url = self.registry_url or f"{'wss' if request.secure else 'ws'}://{request.host}"
        return web.json_response({"success": True, "data": {"registryUrl": url}})

    async def _agent(self, request: web.Request) -> web.StreamResponse:
        self._seen(request)
        self.times.append(asyncio.get_running_loop().time())
        self._news.set()
        if self.status != 101:
            return web.Response(status=self.status, headers={"Location": "http://127.0.0.1:1/"})
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        caller = Caller(socket, dict(request.headers))
        try:
            register = await socket.receive_json()
            caller.said.append(register)
            answer = self.answer(register)
            if answer is None:
                await socket.receive()
                return socket
            await caller.tell("register", **answer)
            self.callers.append(caller)
            self._news.set()
            if self.on_call is not None:
                await self.on_call(caller)
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    caller.said.append(json.loads(frame.data))
                    caller.news.set()
        finally:
            caller.gone.set()
        return socket

    @asynccontextmanager
    async def serving(self, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator["Scripted"]:
        app = web.Application()
        app.router.add_post("/v2/agent/init-config", self._init)
        app.router.add_get("/agent", self._agent)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await site.stop()
            for transport in self._transports:
                transport.abort()  # those of TLS would wait for an answer that no loop would hear any more
            await runner.cleanup()
            await asyncio.sleep(0.01)
