"""`GET /events`: a snapshot, then every event; log lines by subscription. A slow client never holds anybody."""

import asyncio
import time
from typing import Any

from aiohttp import WSMsgType, web

from workbench.model import events as ev
from workbench.model.jsontext import dump, parse
from workbench.supervisor.logs import Batch
from workbench.supervisor.worker import Supervisor

QUEUE = 2000  # events a client may be behind before it gets a new snapshot instead
LOG_PERIOD_S = 0.1
LINES_PER_FRAME = 1000
BYTES_PER_FRAME = 1024 * 1024
MOST_TAIL = 10_000

SUBSCRIBERS: "web.AppKey[set[Subscriber]]" = web.AppKey("subscribers", set)


async def finish_all(app: web.Application) -> None:
    """The worker ends, and its clients are not to wait for more."""
    for subscriber in app[SUBSCRIBERS]:
        subscriber.finish()


class Subscriber:
    """One client of the stream."""

    def __init__(self, supervisor: Supervisor, socket: web.WebSocketResponse) -> None:
        self._supervisor, self._socket = supervisor, socket
        self._queue: asyncio.Queue[tuple[int, ev.Event] | None] = asyncio.Queue()
        self._finishing = False
        self._seq = 0
        self._behind = False  # the queue was full once: what it lacks only a new snapshot has
        self._log_position = 0
        self._past: list[Batch] = []  # what was there when it subscribed, and has not been sent
        self._gone = 0
        self._subscribed = asyncio.Event()
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

    def finish(self) -> None:
        """The worker ends: send what was told so far, then end the line."""
        self._finishing = True
        self._queue.put_nowait(None)

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
            logs = self._supervisor.logs
            self._past, self._gone = logs.past(min(tail, MOST_TAIL))
            self._log_position = logs.total
            self._subscribed.set()

    def _on_event(self, event: ev.Event) -> None:
        # Counted here: events are told in batches, when the state's own number stands behind the last of them.
        self._seq += 1
        self._behind = self._behind or self._queue.qsize() >= QUEUE
        if not self._behind:
            self._queue.put_nowait((self._seq, event))

    async def _send_events(self) -> None:
        while True:
            state = self._supervisor.state
            while not self._queue.empty():
                self._queue.get_nowait()
            self._seq, self._behind = state.seq, False
            snapshot = {"seq": state.seq, "at": _at(), "type": "snapshot", "state": state.to_json()}
            await self._send(snapshot)
            while not (self._behind or (self._finishing and self._queue.empty())):
                told = await self._queue.get()
                if told is not None:
                    await self._send({"seq": told[0], **told[1].to_json()})
            if self._finishing and not self._behind:
                if self._subscribed.is_set():
                    await self._send_new_lines()
                return
            # The client fell behind: a new snapshot, never a gap.

    async def _send_logs(self) -> None:
        await self._subscribed.wait()
        while True:
            await self._send_new_lines()
            await asyncio.sleep(LOG_PERIOD_S)

    async def _send_new_lines(self) -> None:
        logs = self._supervisor.logs
        while self._past:
            await self._send_lines(_page(self._past), self._gone)
            self._gone = 0
        if self._log_position != logs.total:
            position, self._log_position = self._log_position, logs.total
            await self._send_lines(*logs.since(position, LINES_PER_FRAME, BYTES_PER_FRAME))

    async def _send_lines(self, rows: list[list[Any]], dropped: int) -> None:
        """Log lines, and how many are missing before them."""
        about = {"seq": self._supervisor.state.seq, "at": _at(), "type": "logs"}
        await self._send({**about, "lines": rows, "dropped": dropped})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_str(self._supervisor.logs.mask.json(dump(message)))


def _page(past: list[Batch]) -> list[list[Any]]:
    """As many rows of the past as go into a frame, oldest first; they are taken away from it."""
    rows: list[list[Any]] = []
    size = 0
    while past and (not rows or size + past[0].size <= BYTES_PER_FRAME):
        size += past[0].size
        rows += past.pop(0).rows()
    return rows


def _at() -> float:
    return time.time()
