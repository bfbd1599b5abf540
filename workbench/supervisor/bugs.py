"""What happens when something of ours raises where nothing may: it is told, and the worker does not live on half."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from workbench.supervisor.logs import LogStore

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLOORS = tuple(os.path.join(OURS, name) + os.sep for name in ("supervisor", "process", "model"))


class Bugs:
    """Where bugs of ours are told.

    Args:
        end: ends the worker, with what went wrong.
    """

    def __init__(self, logs: LogStore, end: Callable[[str], None]) -> None:
        self._logs, self._end = logs, end
        self._ending = False

    def note(self, text: str) -> None:
        """One that cost no more than is said."""
        self._logs.note("CRITICAL", f"a bug of ours: {text}")

    def fatal(self, text: str) -> None:
        """Nobody knows any more what holds: the worker ends, as orderly as can be."""
        self.note(text)
        if not self._ending:
            self._ending = True
            asyncio.get_running_loop().call_soon(self._end, f"a bug of ours: {text}")

    def in_a_callback(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught (a loop's exception handler). In a callback of ours something was left half done."""
        error = context.get("exception")
        text = f"{context.get('message')}: {error!r}"
        if _is_ours(error):
            self.fatal(text)
        else:
            self._logs.note("ERROR", text)


def _is_ours(error: BaseException | None) -> bool:
    """It came through the supervisor or what lies below it, and not from a route or a library alone."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(FLOORS):
            return True
        trace = trace.tb_next
    return False
