"""The built-in local text room: a conversation that needs no network and no account."""

import asyncio
import inspect
import itertools
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.agent.own_log import OwnLog
from workbench.model.jsontext import plain

log = OwnLog("workbench.room")


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said. `role` is `user` or `agent`; `at` is in epoch seconds; `data` is any JSON."""

    id: str
    sender: str
    role: str
    text: str
    data: Any = None
    at: float = field(default_factory=time.time)


class RoomLink(Protocol):
    """What a room needs of the process it lives in."""

    def post(self, frame: dict[str, Any]) -> None:
        """Hand a frame to the supervisor; never blocks."""

    async def drained(self) -> None:
        """Wait until what was posted is on its way."""


Handler = Callable[[str], Any]


class Room:
    """A job's room. Iterate it for what users say; `send` answers them."""

    def __init__(self, room_id: str, name: str, link: RoomLink) -> None:
        self.id = room_id
        self.name = name
        self.participants: list[str] = []
        self._link = link
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._handlers: dict[str, list[Handler]] = {"joined": [], "left": []}
        self._someone = asyncio.Event()
        self._ended = asyncio.Event()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def send(self, text: str | AsyncIterable[str], data: Any = None) -> Message:
        """Say something. An async iterator of text becomes one message that grows as it is written.

        Raises:
            TypeError: neither text nor an async iterator of text.
            ValueError: `data` is no JSON.
        """
        if not isinstance(text, str | AsyncIterable):
            raise TypeError(f"send() takes text or an async iterator of text, not {type(text).__name__}")
        data = None if data is None else plain(data)
        message_id = f"a{next(self._numbers)}"
        if isinstance(text, str):
            said = text
        else:
            said = ""
            async for piece in text:
                if not isinstance(piece, str):
                    raise TypeError(f"send() takes an async iterator of text, not of {type(piece).__name__}")
                said += piece
                self._say(message_id, said, data, partial=True)
                await self._link.drained()
        message = self._say(message_id, said, data, partial=False)
        await self._link.drained()
        return message

    def on(self, event: str, handler: Handler) -> Handler:
        """Call `handler(name)`, sync or async, when somebody has `joined` or `left`.

        Raises:
            ValueError: another event name.
        """
        if event not in self._handlers:
            raise ValueError(f"a room tells of 'joined' and 'left', not of {event!r}")
        self._handlers[event].append(handler)
        return handler

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages()

    @property
    def ended(self) -> bool:
        """Nobody will say anything any more."""
        return self._ended.is_set()

    async def wait_for_participant(self) -> str:
        """The name of the first participant, now or when one comes; empty when the room ends first."""
        if not self.participants:
            waiting = [asyncio.ensure_future(e.wait()) for e in (self._someone, self._ended)]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        return self.participants[0] if self.participants else ""

    async def _messages(self) -> AsyncIterator[Message]:
        while (message := await self._inbox.get()) is not None:
            yield message
        self._inbox.put_nowait(None)  # a second loop over an ended room ends at once, too

    def _say(self, message_id: str, text: str, data: Any, *, partial: bool) -> Message:
        at = time.time()
        self._link.post({"t": "say", "id": message_id, "text": text, "data": data, "partial": partial, "at": at})
        return Message(message_id, self.name, "agent", text, data, at)

    # --- called by the process that runs the job -------------------------------------------------

    def heard(self, frame: dict[str, Any]) -> None:
        """A user said something."""
        self.joined(frame["sender"])
        self._inbox.put_nowait(Message(**frame))

    def joined(self, name: str) -> None:
        """Somebody came."""
        if name not in self.participants:
            self.participants.append(name)
            self._someone.set()
            self._tell("joined", name)

    def left(self, name: str) -> None:
        """Somebody went."""
        if name in self.participants:
            self.participants.remove(name)
            self._tell("left", name)

    def end(self) -> None:
        """The conversation is over."""
        if not self._ended.is_set():
            self._ended.set()
            self._inbox.put_nowait(None)

    def _tell(self, event: str, name: str) -> None:
        for handler in self._handlers[event]:
            try:
                result = handler(name)
                if inspect.isawaitable(result):
                    task = asyncio.ensure_future(_guarded(event, result))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            except Exception:
                log.exception("the handler for %r failed", event)


async def _guarded(event: str, awaitable: Any) -> None:
    try:
        await awaitable
    except Exception:
        log.exception("the handler for %r failed", event)
