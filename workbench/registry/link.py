"""One connection of a worker: its messages in their order, each dealt with before the next is read."""

import asyncio
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from workbench.model.mask import HIDDEN, SHORTEST
from workbench.model.wire import (
    FROM_WORKER,
    MOST_BYTES,
    AvailabilityResponse,
    JobUpdate,
    Malformed,
    Message,
    Register,
    read,
)
from workbench.registry.gate import given_token

if TYPE_CHECKING:
    from workbench.registry.service import Service

REGISTER_S = 10.0  # until a connection must have registered
CLOSE_S = 2.0  # for a worker to answer a close
LONGEST_TOKEN = 16 * 1024
MOST_UNSENT = 5000  # messages to a worker that does not read them
POLICY = 1008


class Link:
    """A worker's WebSocket."""

    def __init__(self, number: int, socket: web.WebSocketResponse, request: web.Request, service: "Service") -> None:
        self.number, self._socket, self._service = number, socket, service
        self.address = str(request.remote or "")
        self.registered = False
        self.why = ""
        self._transport = request.transport
        self._secrets = {given_token(request)}
        self._outgoing: asyncio.Queue[str | tuple[int, str]] = asyncio.Queue()
        self._closing = False

    async def serve(self) -> None:
        """Until it is over."""
        writing = asyncio.ensure_future(self._write())
        timer = asyncio.get_running_loop().call_later(REGISTER_S, self._register_in_time)
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    self._hear(frame.data)
                else:
                    self._service.malformed(self, "a frame that is no text")
        finally:
            self.why = self.why or self._reason()
            timer.cancel()
            if self._closing:
                await asyncio.wait({writing}, timeout=2 * CLOSE_S)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def send(self, message: Message) -> None:
        """Tell the worker, after all that it was told before."""
        if self._outgoing.qsize() >= MOST_UNSENT:
            self.abort("it does not read what it is told")
        else:
            self._outgoing.put_nowait(message.text())

    def abort(self, why: str) -> None:
        """Cut the connection: what was sent stands in the way of every politer end."""
        self.why = why
        if self._transport is not None:
            self._transport.abort()

    def close(self, code: int, reason: str) -> None:
        """End it, after all that was sent."""
        if not self._closing:
            self._closing = True
            self._outgoing.put_nowait((code, reason))

    def scrub(self, text: str) -> str:
        """Without the tokens that this worker sent."""
        for secret in self._secrets:
            if len(secret) >= SHORTEST:
                text = text.replace(secret, HIDDEN)
        return text

    # --- steps ---------------------------------------------------------------------------------

    def _hear(self, raw: str) -> None:
        try:
            message = read(raw, FROM_WORKER)
        except Malformed as problem:
            self._service.malformed(self, str(problem))
            return
        if message is None:
            self._service.core.desk.counters["messages_unknown"] += 1
        elif not self._closing:  # else it was told that it is not heard any more
            self._service.heard(self, self._clean(message))

    def _clean(self, message: Message) -> Message:
        """Without its tokens: nobody further in needs them, or may show them."""
        if isinstance(message, Register) and not self.registered:  # the others are dropped
            self._secrets.add((message.token or "")[:LONGEST_TOKEN])
        if isinstance(message, AvailabilityResponse | JobUpdate) and message.error is not None:
            return message.model_copy(update={"error": self.scrub(message.error)})
        return message

    async def _write(self) -> None:
        try:
            while True:
                item = await self._outgoing.get()
                if isinstance(item, str):
                    await self._socket.send_str(item)
                else:
                    await self._socket.close(code=item[0], message=item[1].encode()[:123])
                    return
        except ConnectionError:
            return  # the reader sees that, too

    def _register_in_time(self) -> None:
        if not self.registered:
            self.close(POLICY, "register first")

    def _reason(self) -> str:
        code, error = self._socket.close_code, self._socket.exception()
        if isinstance(error, asyncio.TimeoutError):
            self.abort("it does not answer pings")  # nobody takes what is still to be sent
            return self.why
        return f"close code {code}" + (f": {error}" if error is not None else "")


async def take_link(request: web.Request, service: "Service") -> web.StreamResponse:
    """The WebSocket of a worker."""
    socket = web.WebSocketResponse(
        heartbeat=service.heartbeat_s, max_msg_size=MOST_BYTES, timeout=CLOSE_S, compress=False
    )
    if not socket.can_prepare(request).ok:
        return web.json_response({"error": f"{request.path} is a WebSocket, for workers"}, status=426)
    await socket.prepare(request)
    link = service.connected(socket, request)
    serving = asyncio.ensure_future(link.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:  # the connection is gone, but what it brought before is heard to the end
        await asyncio.wait({serving}, timeout=CLOSE_S)
        serving.cancel()
        raise
    finally:
        service.disconnected(link)
    return socket
