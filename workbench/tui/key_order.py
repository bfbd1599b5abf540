"""Keys in the order of their effects: one is handed out when what the one before it did is done.

Textual hands each key to what has the focus at that moment, and only later looks what the key means. Of `T/load`, typed
at once (or while the screen was busy), all of it would go to the process table, where `l`, `o`, `a` and `d` mean
something else.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from textual.events import Key
from textual.message import Message
from textual.message_pump import MessagePump

LAPS = 2  # the second is behind what the key made its widget say: `Submitted` closes a field
LOST_S = 0.5  # a lap whose widget has gone does not come back


class Lap(Message):
    """Takes the way of a key, from the focused widget up to the app: when it is there, the key was."""

    def __init__(self, number: int, left: int) -> None:
        super().__init__()
        self.number, self.left = number, left


class KeyOrder:
    """The keys that wait.

    Args:
        hand_out: gives a key to what has the focus.
        focused: what has it, or the screen.
    """

    def __init__(self, hand_out: Callable[[Key], Awaitable[None]], focused: Callable[[], MessagePump]) -> None:
        self._hand_out, self._focused = hand_out, focused
        self._waiting: deque[Key] = deque()
        self._number = 0
        self._lost: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether every key that was pressed has had its effect."""
        return self._lost is None

    async def take(self, key: Key) -> None:
        """A key was pressed."""
        if self._lost is not None:
            self._waiting.append(key)
        else:
            await self._run(key)

    async def returned(self, lap: Lap) -> None:
        """A lap is back at the app."""
        if lap.number != self._number or self._lost is None:
            return
        if lap.left > 1 and self._focused().post_message(Lap(lap.number, lap.left - 1)):
            return
        self._lost.cancel()
        self._lost = None
        if self._waiting:
            await self._run(self._waiting.popleft())

    async def _run(self, key: Key) -> None:
        target = self._focused()
        self._number += 1
        lap = Lap(self._number, LAPS)
        give_up = Lap(self._number, 0)
        self._lost = asyncio.get_running_loop().call_later(LOST_S, self._focused().app.post_message, give_up)
        await self._hand_out(key)
        if not target.post_message(lap):
            await self.returned(give_up)
