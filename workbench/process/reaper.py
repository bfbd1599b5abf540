"""The one place that reaps. Children, zygotes and adopted strangers all end here."""

import asyncio
import ctypes
import os
import signal
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36
UNCLAIMED_KEPT = 4096


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process went: an exit code or a signal's name."""

    exit_code: int | None
    signal: str | None


def become_subreaper() -> None:
    """Orphans below this process come to it, and not to pid 1.

    Raises:
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(code)}")


class Reaper:
    """Reaps on SIGCHLD until nothing is left, and tells whoever claimed the pid.

    A child forked by a zygote may be dead before the zygote has announced its pid: a status nobody claimed
    is kept until `claim` asks for it. Nothing else in the process may wait for children.
    """

    def __init__(self) -> None:
        self._claims: dict[int, Callable[[ExitStatus], None]] = {}
        self._unclaimed: OrderedDict[int, ExitStatus] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to listen for SIGCHLD on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self.reap)
        self.reap()

    def stop(self) -> None:
        """Stop listening."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCHLD)

    def claim(self, pid: int, tell: Callable[[ExitStatus], None]) -> None:
        """Call `tell` when `pid` has ended; at once (from the loop) if it has already."""
        status = self._unclaimed.pop(pid, None)
        if status is not None and self._loop is not None:
            self._loop.call_soon(tell, status)
        else:
            self._claims[pid] = tell

    def is_claimed(self, pid: int) -> bool:
        """The pid is a child somebody here answers for."""
        return pid in self._claims

    def reap(self) -> None:
        """Reap every child that has ended."""
        while True:
            try:
                result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                return
            if result is None:
                return
            killed = result.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
            status = ExitStatus(None if killed else result.si_status, _name(result.si_status) if killed else None)
            tell = self._claims.pop(result.si_pid, None)
            if tell is not None:
                tell(status)
                continue
            self._unclaimed[result.si_pid] = status
            while len(self._unclaimed) > UNCLAIMED_KEPT:
                self._unclaimed.popitem(last=False)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRT{number}"  # real-time signals have no name of their own
