"""`GET /events`: a snapshot, then every event; log lines by subscription. A slow client never holds anybody."""

import asyncio
import time
from typing import Any

from aiohttp import WSMsgType, web

from workbench.model import events as ev
from workbench.model.jsontext import dump, parse
from workbench.supervisor.worker import Supervisor

QUEUE = 2000  # events a client may be behind before it gets a new snapshot instead
LOG_PERIOD_S = 0.1
LINES_PER_FRAME = 1000
MOST_TAIL = 10_000


class Subscriber:
    """One client of the stream."""

    def __init__(self, supervisor: Supervisor, socket: web.WebSocketResponse) -> None:
        self._supervisor, self._socket = supervisor, socket
        self._queue: asyncio.Queue[tuple[int, ev.Event]] = asyncio.Queue()
        self._seq = 0
        self._log_position: int | None = None
        self._closing: list[asyncio.Future[bool]] = []

    async def serve(self) -> None:
        """Until the client leaves."""
        self._supervisor.listeners.append(self._on_event)
        self._supervisor.followers += 1
        sending = asyncio.ensure_future(self._send_events())
        logging = asyncio.ensure_future(self._send_logs())
        for task in (sending, logging):
            task.add_done_callback(self._sender_ended)
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._subscribe(message.data)
        finally:
            self._supervisor.listeners.remove(self._on_event)
            self._supervisor.followers -= 1
            for task in (sending, logging):
                task.cancel()
            await asyncio.gather(sending, logging, *self._closing, return_exceptions=True)

    def _sender_ended(self, task: "asyncio.Task[None]") -> None:
        """A client to which nothing is sent any more must not wait for it: it is told by the end of the line."""
        if not task.cancelled():
            error = task.exception()
            if error is not None and not isinstance(error, ConnectionError):
                self._supervisor.logs.note("ERROR", f"a bug of ours: the stream of events: {error!r}")
            self._closing.append(asyncio.ensure_future(self._socket.close()))

    def _subscribe(self, raw: str) -> None:
        try:
            tail = parse(raw)["logs"]["tail"]
        except (ValueError, KeyError, TypeError):
            return  # not a subscription this version knows
        if isinstance(tail, int) and tail >= 0:
            self._log_position = max(0, self._supervisor.logs.total - min(tail, MOST_TAIL))

    def _on_event(self, event: ev.Event) -> None:
        # Counted here: events are told in batches, when the state's own number stands behind the last of them.
        self._seq += 1
        if self._queue.qsize() < QUEUE:
            self._queue.put_nowait((self._seq, event))

    async def _send_events(self) -> None:
        while True:
            state = self._supervisor.state
            while not self._queue.empty():
                self._queue.get_nowait()
            self._seq = state.seq
            snapshot = {"seq": state.seq, "at": _at(), "type": "snapshot", "state": state.to_json()}
            await self._send(snapshot)
            while self._queue.qsize() < QUEUE:
                seq, event = await self._queue.get()
                await self._send({"seq": seq, **event.to_json()})
            # The client fell behind: a new snapshot, never a gap.

    async def _send_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_PERIOD_S)
            if self._log_position is None or self._log_position == self._supervisor.logs.total:
                continue
            position = self._log_position
            self._log_position = self._supervisor.logs.total
            rows, dropped = self._supervisor.logs.since(position, LINES_PER_FRAME)
            await self._send({"seq": self._supervisor.state.seq, "at": _at(), "type": "logs", "lines": rows,
                              "dropped": dropped})  # fmt: skip

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_str(dump(message))


def _at() -> float:
    return time.time()
