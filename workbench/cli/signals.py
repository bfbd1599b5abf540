"""The signals of a worker: held from its first moment to its last, so that none is lost and none cuts into anything.

SIGTERM, SIGINT and SIGHUP are blocked in every thread, and one thread waits for them. So no handler runs in the
middle of something else, and at no moment does the kernel end the process with a code that is not its own.
"""

import asyncio
import contextlib
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable

ENDING = (signal.SIGTERM, signal.SIGINT)
HELD = (*ENDING, signal.SIGHUP)


class Signals:
    """Where they arrive.

    Args:
        at_last: called with the third that asks for an end, on a thread: the event loop may be what does not answer.

    Attributes:
        forced: the exit code when a second one asked for an end, else None.
    """

    def __init__(self, at_last: Callable[[], None]) -> None:
        self.forced: int | None = None
        self._at_last = at_last
        self._came: deque[int] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tell: Callable[[int], None] | None = None

    def hold(self) -> None:
        """Take them from here on. Threads inherit what is blocked: call it before any is made."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def listen(self, tell: Callable[[int], None]) -> None:
        """Tell of each on the running loop, and now of those that came before."""
        self._tell, self._loop = tell, asyncio.get_running_loop()
        self._pass_on()

    def _wait(self) -> None:
        asked = 0
        while True:
            number = signal.sigwait(HELD)
            asked += number in ENDING
            if number in ENDING and asked == 2:
                self.forced = 128 + number
            if number in ENDING or number not in self._came:  # a flood of requests to reload is one
                self._came.append(number)
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends anyway
                    self._loop.call_soon_threadsafe(self._pass_on)
            if number in ENDING and asked == 3:
                self._at_last()

    def _pass_on(self) -> None:
        while self._came and self._tell is not None:
            self._tell(self._came.popleft())


def leave_within(limit_s: float, code: Callable[[], int]) -> None:
    """End this process after so long if it is still there; the kernel takes along what it holds.

    Args:
        limit_s: seconds.
        code: the exit code as it is known then.
    """

    def leave() -> None:
        try:
            if select.select([], [2], [], 0)[1]:
                os.write(2, f"workbench: not ended within {limit_s:g} s, so by force\n".encode())
        finally:
            os._exit(code())

    timer = threading.Timer(limit_s, leave)
    timer.daemon = True
    timer.start()
