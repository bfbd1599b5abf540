"""The one place that reaps. Children, zygotes and adopted strangers all end here."""

import asyncio
import ctypes
import os
import signal
import time
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


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is told of an end. `dying` is called for all that ended together before the first `tell`."""

    tell: Callable[[ExitStatus], None]
    dying: Callable[[], None] | None
    with_group: bool


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
        self._claims: dict[int, Claim] = {}
        self._unclaimed: OrderedDict[int, tuple[ExitStatus, float]] = OrderedDict()
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

    def claim(
        self,
        pid: int,
        tell: Callable[[ExitStatus], None],
        *,
        since: float,
        dying: Callable[[], None] | None = None,
        with_group: bool = False,
    ) -> None:
        """Call `tell` when `pid` has ended; at once (from the loop) if it has already.

        Args:
            since: monotonic time before which the process cannot have ended: what bore its pid earlier was another.
            dying: called first, for all processes that are found dead together.
            with_group: take the process group along while the pid cannot have become somebody else's yet.
        """
        status, at = self._unclaimed.pop(pid, (None, 0.0))
        if status is not None and at >= since and self._loop is not None:
            if dying is not None:
                dying()
            if with_group:
                _kill_group(pid)
            self._loop.call_soon(tell, status)
        else:
            self._claims[pid] = Claim(tell, dying, with_group)

    def is_claimed(self, pid: int) -> bool:
        """The pid is a child somebody here answers for."""
        return pid in self._claims

    def reap(self) -> None:
        """Reap every child that has ended."""
        ended: list[tuple[Claim, ExitStatus]] = []
        while (pid := _dead_child()) is not None:
            claim = self._claims.pop(pid, None)
            if claim is not None and claim.with_group:
                _kill_group(pid)
            status = _collect(pid)
            if claim is not None:
                ended.append((claim, status))
                continue
            self._unclaimed[pid] = status, time.monotonic()
            while len(self._unclaimed) > UNCLAIMED_KEPT:
                self._unclaimed.popitem(last=False)
        for claim, _ in ended:
            if claim.dying is not None:
                claim.dying()
        for claim, status in ended:
            try:
                claim.tell(status)
            except Exception as error:  # the others have ended all the same, and nobody else would tell of it
                assert self._loop is not None
                self._loop.call_exception_handler({"message": "an exit could not be handled", "exception": error})


def _dead_child() -> int | None:
    """A child that has ended and is not reaped yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found is not None else None


def _collect(pid: int) -> ExitStatus:
    result = os.waitid(os.P_PID, pid, os.WEXITED)
    assert result is not None
    if result.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
        return ExitStatus(None, _name(result.si_status))
    return ExitStatus(result.si_status, None)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it was alone in its group, or had not made one yet


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRT{number}"  # real-time signals have no name of their own
