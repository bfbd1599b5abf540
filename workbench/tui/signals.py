"""Signals that end this terminal: the screen is restored before the process goes."""

import asyncio
import select
import signal
from collections.abc import Callable

ENDING = (signal.SIGTERM, signal.SIGHUP)


def watch_signals(leave: Callable[[int], None], interrupt: Callable[[], object]) -> Callable[[], None]:
    """Call `leave(number)` on SIGTERM and SIGHUP, `interrupt()` on SIGINT; the answer undoes it."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, leave, number)
    loop.add_signal_handler(signal.SIGINT, interrupt)

    def undo() -> None:
        for number in (*ENDING, signal.SIGINT):
            loop.remove_signal_handler(number)

    return undo


def terminal_gone() -> bool:
    """The terminal hung up without a signal: it was not this process's controlling one."""
    poll = select.poll()
    for fd in (0, 2):
        poll.register(fd, 0)
    return bool(poll.poll(0))
