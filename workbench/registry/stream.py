"""`GET /events`: a snapshot, then what has changed, ten times a second at most: nobody is ever far behind."""

import asyncio
import time
from typing import Any

from aiohttp import WSMsgType, web

from workbench.model.jsontext import dump
from workbench.registry.dispatch import SERVICE
from workbench.registry.service import Service
from workbench.server.guard import MAX_BODY, error

PERIOD_S = 0.1
LONGEST = 2000  # changed jobs in a frame; with more of them, a snapshot says less

routes = web.RouteTableDef()


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    """The stream."""
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_BODY, timeout=2.0)
    if not socket.can_prepare(request).ok:
        return error(426, "GET /events is a WebSocket")
    await socket.prepare(request)
    await Follower(request.app[SERVICE], socket).serve()
    return socket


class Follower:
    """One client."""

    def __init__(self, service: Service, socket: web.WebSocketResponse) -> None:
        self._service, self._socket = service, socket
        self._jobs: dict[str, None] = {}
        self._workers: dict[str, None] = {}
        self._news = asyncio.Event()
        self._ending = False

    async def serve(self) -> None:
        """Until the client leaves."""
        self._service.followers.append(self._changed)
        sending = asyncio.ensure_future(self._send())
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.ERROR:
                    break
        finally:
            self._service.followers.remove(self._changed)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _changed(self, kind: str, name: str) -> None:
        if kind == "end":
            self._ending = True
        else:
            (self._jobs if kind == "job" else self._workers)[name] = None
        self._news.set()

    async def _send(self) -> None:
        try:
            await self._say("snapshot", state=self._service.stats())
            while not self._socket.closed:
                await self._news.wait()
                self._news.clear()
                await self._tell()
                if self._ending:
                    await self._socket.close(code=1001, message=b"the registry is ending")
                    return
                await asyncio.sleep(PERIOD_S)
        except ConnectionError:
            return  # the reader sees that, too

    async def _tell(self) -> None:
        desk = self._service.core.desk
        jobs, workers, self._jobs, self._workers = self._jobs, self._workers, {}, {}
        if len(jobs) > LONGEST:
            await self._say("snapshot", state=self._service.stats())
            return
        await self._say(
            "changed",
            registry=self._service.about(),
            workers=[desk.workers[name].to_json() for name in workers if name in desk.workers],
            workers_gone=[name for name in workers if name not in desk.workers],
            jobs=[desk.jobs[name].to_json() for name in jobs if name in desk.jobs],
            **self._service.counts(),
        )

    async def _say(self, kind: str, **more: Any) -> None:
        await self._socket.send_str(dump({"seq": self._service.seq, "at": time.time(), "type": kind, **more}))
