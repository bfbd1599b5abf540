"""The last steps of a worker: each is taken, whatever became of the one before, and none for ever."""

import asyncio
import inspect
import os
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do before the end: done on return, or when what it returns was awaited, at most for `limit_s`."""

    name: str
    do: Callable[[], Awaitable[Any] | None]
    limit_s: float = 3.0  # a busy machine is no failure


class LastSteps:
    """Takes steps, and keeps what went wrong in them.

    Args:
        tell: called with the words of each failure.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.failures: list[str] = []

    async def take(self, *steps: Step) -> None:
        """Take all of them, in this order."""
        for step in steps:
            try:
                done = step.do()
                if inspect.isawaitable(done):
                    await _within(done, step.limit_s)
            except (Exception, asyncio.CancelledError) as error:
                self.failed(step.name, error)

    def failed(self, name: str, error: BaseException) -> None:
        """Keep and tell that a step failed."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        self.failures.append(f"ending {name} failed: {error!r} at {os.path.basename(place.filename)}:{place.lineno}")
        self._tell(self.failures[-1])

    def code(self, known: int) -> int:
        """The exit code: a failure here makes it 1, unless something worse is known."""
        return known or (1 if self.failures else 0)


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait for their ends. What one of them raised was told where it ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _within(work: Awaitable[Any], limit_s: float) -> None:
    """Wait for it, but not for its own answer to being cancelled: it may have none."""
    task = asyncio.ensure_future(work)
    if not (await asyncio.wait({task}, timeout=limit_s))[0]:
        task.cancel()
        raise TimeoutError(f"not done within {limit_s:g} s")
    task.result()
