"""The routes of rooms: say something, read what was said, or join by WebSocket."""

import asyncio
import time
from typing import Any

from aiohttp import WSMsgType, web

from workbench.model.jsontext import dump, parse
from workbench.model.mask import Mask
from workbench.model.text import cut
from workbench.server.guard import MAX_BODY, error
from workbench.server.shapes import LONGEST_NAME, SUPERVISOR, BadRequest, answer, body_of, given, number
from workbench.supervisor.rooms import Room

LONGEST_WAIT_S = 60.0
MOST_WAITING = 16 * 1024 * 1024  # bytes of text a member of a room may be behind before it is let go

routes = web.RouteTableDef()


@routes.post("/rooms/{id}/messages")
async def say(request: web.Request) -> web.Response:
    """Say something in a room."""
    body = await body_of(request, "text", "sender", "data")
    text, sender = body.get("text"), given(body, "sender", "user")
    if not isinstance(text, str) or not isinstance(sender, str) or not 0 < len(sender) <= LONGEST_NAME:
        raise BadRequest('a message is {"text": "..."}, with "sender" (a name) and "data" (any JSON) if you like')
    room = _room(request)
    if room is None or room.closed:
        return error(404, "no job runs in this room")
    return answer(room.user_says(text, sender, body.get("data")), 201)


@routes.get("/rooms/{id}/messages")
async def messages(request: web.Request) -> web.Response:
    """What was said after a message; waits up to `wait_s` for something new."""
    room, wait_s = _room(request), number(request, "wait_s", 0, LONGEST_WAIT_S)
    if room is None:
        return error(404, "no job was in this room")
    after = request.query.get("after")
    deadline = time.monotonic() + wait_s
    while not (found := room.after(after)) and not room.closed and (left := deadline - time.monotonic()) > 0:
        try:
            await asyncio.wait_for(room.news.wait(), left)
        except TimeoutError:
            break
    return answer({"messages": found})


@routes.get("/rooms/{id}")
async def join(request: web.Request) -> web.StreamResponse:
    """Join a room: hear it, and say things in it."""
    room = _room(request)
    if room is None or room.closed:
        return error(404, "no job runs in this room")
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_BODY)
    if not socket.can_prepare(request).ok:
        return error(426, "GET /rooms/{id} is a WebSocket")
    await socket.prepare(request)
    name = cut(request.query.get("name") or "user", LONGEST_NAME)
    await Member(room, socket, name, request.app[SUPERVISOR].logs.mask).serve()
    return socket


class Member:
    """Somebody in a room, by WebSocket."""

    def __init__(self, room: Room, socket: web.WebSocketResponse, name: str, mask: Mask) -> None:
        self._room, self._socket, self._name, self._mask = room, socket, name, mask
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting = 0
        self._ended = False
        self._sending: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Until the member leaves, the room ends, or it reads so slowly that it is let go."""
        for message in list(self._room.messages):
            self._hear({"type": "message", "message": message})
        self._room.listeners.append(self._hear)
        self._room.join(self._name)
        self._sending = asyncio.create_task(self._pass_on())
        try:
            async for frame in self._socket:
                wrong = self._say(frame.data) if frame.type is WSMsgType.TEXT else ""
                if wrong:
                    await self._socket.send_str(dump({"type": "error", "error": wrong}))
        finally:
            self._room.listeners.remove(self._hear)
            self._room.leave(self._name)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _hear(self, news: dict[str, Any]) -> None:
        text = self._mask.json(dump(news))
        self._waiting += len(text)
        self._ended = self._ended or news["type"] == "ended"
        if self._waiting <= MOST_WAITING:
            self._queue.put_nowait(text)
        elif self._sending is not None:
            self._sending.cancel()  # it does not read, and what waits for it only grows

    def _say(self, raw: str) -> str:
        """Say what the member sent; what is wrong with it, if anything."""
        try:
            said = parse(raw)
        except ValueError as problem:
            return f"not JSON: {problem}"
        if not isinstance(said, dict) or not isinstance(said.get("text"), str):
            return 'send {"text": "..."}'
        if not self._room.closed:
            self._room.user_says(said["text"], self._name, said.get("data"))
        return ""

    async def _pass_on(self) -> None:
        """Send what is heard; closing the line afterwards ends `serve`."""
        try:
            while not (self._ended and self._queue.empty()):
                text = await self._queue.get()
                await self._socket.send_str(text)
                self._waiting -= len(text)
        finally:
            await self._socket.close()


def _room(request: web.Request) -> Room | None:
    return request.app[SUPERVISOR].rooms.get(request.match_info["id"])
