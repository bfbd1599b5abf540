"""One conversation by a script: each line is said when the reply to the one before is whole."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from workbench.client.load.result import Result

GREETING_S = 1.0  # an agent that begins within this time is let finish before the first line is said
REPLY_S = 60.0


class RoomLink(Protocol):
    """A joined room."""

    async def send(self, text: str) -> None:
        """Say something."""

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """What is said, history first."""
        ...


class Conversation:
    """Says the lines in a joined room, and measures the replies into `result`."""

    def __init__(self, room: RoomLink, result: Result) -> None:
        self._room, self._result = room, result
        self._news: asyncio.Queue[tuple[float, dict[str, Any]] | None] = asyncio.Queue()
        self._seen: set[str] = set()  # the agent's messages that are no reply to come

    async def run(self, lines: Sequence[str]) -> None:
        """Until the last line has its reply; one without a reply is counted, and is the last."""
        reading = asyncio.create_task(self._read())
        try:
            await self._reply(GREETING_S)
            for line in lines:
                said_at = self._now()
                await self._room.send(line)
                reply = await self._reply(REPLY_S)
                if reply is None:
                    self._result.silent += 1
                    return
                self._result.first_words.append((reply[0] - said_at) * 1000)
                self._result.turns.append((reply[1] - said_at) * 1000)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for news in self._room:
                self._news.put_nowait((self._now(), news))
        finally:
            self._news.put_nowait(None)

    async def _reply(self, patience_s: float) -> tuple[float, float] | None:
        """When the agent's next message began and was whole; None when none began in time, or the room ended."""
        began, growing = 0.0, ""
        try:
            async with asyncio.timeout(patience_s) as limit:
                while (item := await self._news.get()) is not None:
                    at, news = item
                    message = news["message"] if news["type"] == "message" else {}
                    id = str(message.get("id"))
                    if message.get("role") != "agent" or (id in self._seen and id != growing):
                        continue
                    if not growing:
                        began, growing = at, id
                        self._seen.add(id)
                        limit.reschedule(self._now() + REPLY_S)  # whoever has begun is let finish
                    if id == growing and not message["partial"]:
                        return began, at
                    self._seen.add(id)
        except TimeoutError:
            return None
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
