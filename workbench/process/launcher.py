"""Starting a zygote and asking it for children; also the second start method, where it becomes the child."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from workbench.model.mask import is_secret_variable
from workbench.model.text import cut
from workbench.process import mark
from workbench.process.pipes import LinePipe
from workbench.process.reaper import ExitStatus, Reaper
from workbench.process.wire import BEATS_FD, CONTROL_FD, LIFELINE_FD, RECORDS_FD

MAX_ANSWER = 1 << 20
ANSWERS: dict[str, dict[str, type]] = {
    "loaded": {"options": dict, "root": str, "files": list, "against_fork": list, "sdk_only": list, "sources": int},
    "failed": {"problem": dict, "files": list},
    "forked": {"id": int},
    "based": {"against": list, "strangers": list},
    "begun": {"id": int},
}
PROGRAM = "from workbench.process.zygote import main; main()"


def child_environment() -> dict[str, str]:
    """Our environment without our own secrets: an agent has no use for the registry's or the control token."""
    return {k: v for k, v in os.environ.items() if not (k.startswith("WORKBENCH_") and is_secret_variable(k))}


class Zygote:
    """One generation's zygote, as the supervisor sees it.

    Args:
        said: called with each of its answers: `loaded`, `failed`, `forked`; of a base `based`, `begun`.
        gone: called once when it has ended.
        wrote: called with (lines, are records) of its output while the agent loads.
    """

    def __init__(
        self,
        generation: int,
        said: Callable[["Zygote", dict[str, Any]], None],
        gone: Callable[["Zygote", ExitStatus], None],
        wrote: Callable[["Zygote", list[bytes], bool], None],
    ) -> None:
        self.generation = generation
        self.pid = 0
        self.layered = False  # it comes from imported libraries; of a base: it has imported them
        self.spoilt = ""  # why it cannot be understood
        self._born = 0.0
        self._alive = self._listening = False
        self._said, self._gone = said, gone
        self._sock, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        self._waiting: list[tuple[bytes, list[int]]] = []
        self._leaving = self._condemned = False
        self._mark = ""
        self._reaper: Reaper | None = None
        self._with_group = False
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._sock.close)
            on_failure.callback(self._far.close)
            self.output = LinePipe(lambda lines, cut: wrote(self, lines, False))
            on_failure.callback(self.output.close)
            self.records = LinePipe(lambda lines, cut: wrote(self, lines, True))
            on_failure.pop_all()

    def start(self, lifeline_read: int, beats_fd: int, order: dict[str, Any], own_mark: str) -> None:
        """Start the program and hand it its order.

        Raises:
            OSError: the kernel made no process.
        """
        self._mark = own_mark
        try:
            self._sock.send(json.dumps(order).encode())
            self.spawn(lifeline_read, beats_fd)
        except OSError:
            self._let_go()
            raise

    def ask(self, base: "Zygote", order: dict[str, Any], own_mark: str) -> None:
        """Have a base fork it; `born` or `spawn` follows.

        Raises:
            OSError: no descriptors are left.
        """
        self._mark, self._born = own_mark, time.monotonic()
        try:
            self._sock.send(json.dumps(order).encode())
            fds = [self._far.fileno(), self.output.write_fd, self.records.write_fd]
            base.hand_over({"id": self.generation, "mark": own_mark}, fds)
        except OSError:
            self._let_go()
            raise

    def spawn(self, lifeline_read: int, beats_fd: int) -> None:
        """Start the program whose order is sent already.

        Raises:
            OSError: the kernel made no process.
        """
        fds = {
            1: self.output.write_fd, 2: self.output.write_fd, CONTROL_FD: self._far.fileno(),
            LIFELINE_FD: lifeline_read, RECORDS_FD: self.records.write_fd, BEATS_FD: beats_fd,
        }  # fmt: skip
        self._born = time.monotonic()
        self.born(_spawn(fds, {**child_environment(), mark.NAME: self._mark}))

    def born(self, pid: int) -> None:
        """It has a process."""
        self.pid, self._alive = pid, True
        self._far.close()
        self.output.close_write()
        self.records.close_write()
        if self._condemned:
            self.kill()
        if self._reaper is not None:
            self._await_end()

    def never_born(self, why: str) -> None:
        """It will have no process."""
        self.spoilt = why
        self._ended(ExitStatus(None, "SIGKILL" if self._condemned else None))

    def listen(self, reaper: Reaper, *, with_group: bool = False) -> None:
        """Hear its answers and its end on the running loop; `with_group`: its helpers end with it."""
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)
        self._listening = True
        self.output.start()
        self.records.start()
        self._reaper, self._with_group = reaper, with_group
        if self.pid:
            self._await_end()

    def _await_end(self) -> None:
        assert self._reaper is not None
        self._reaper.claim(self.pid, self._ended, since=self._born, dying=self._dying, with_group=self._with_group)

    def hand_over(self, request: dict[str, Any], fds: list[int]) -> None:
        """Ask for a child with these descriptors. The descriptors may be closed on return.

        Raises:
            OSError: no descriptors are left.
        """
        copies: list[int] = []
        try:
            for fd in fds:
                copies.append(os.dup(fd))  # ours until sent: a full socket may make the request wait
        except OSError:
            _close_all(copies)
            raise
        self._waiting.append((json.dumps(request).encode(), copies))
        self._flush()

    def dismiss(self) -> None:
        """Let it leave once it has answered every request it was sent; its last answers are still heard."""
        self._leaving = True
        self._drop_waiting()
        if self._listening:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())
            with contextlib.suppress(OSError):  # it has gone already
                self._sock.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """End it now, with everything it started while loading; without a process yet, as soon as it has one."""
        self._condemned = True
        if self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and not self._leaving:
            data, fds = self._waiting[0]
            try:
                socket.send_fds(self._sock, [data], fds)
            except BlockingIOError:
                loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self._drop_waiting()  # it has ended; the reaper tells, and the slots are freed there
                return
            self._waiting.pop(0)
            _close_all(fds)
        if self._listening:
            loop.remove_writer(self._sock.fileno())

    def _drop_waiting(self) -> None:
        for _, fds in self._waiting:
            _close_all(fds)
        self._waiting.clear()

    def _read(self) -> bool:
        try:
            data = self._sock.recv(MAX_ANSWER)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            return False
        try:
            message = _checked(json.loads(data))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self.spoilt = (
                f"something wrote into the zygote's control socket, descriptor {CONTROL_FD} ({cut(repr(error), 200)})"
            )
            self.kill()
            return False
        self._said(self, message)
        return True

    def _dying(self) -> None:
        self._alive = False

    def _ended(self, status: ExitStatus) -> None:
        while self._read():
            continue
        self._let_go()
        self._gone(self, status)

    def _let_go(self) -> None:
        self._drop_waiting()
        if self._listening:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._listening = False
        self._sock.close()
        self._far.close()
        self.output.close()
        self.records.close()


def _checked(message: dict[str, Any]) -> dict[str, Any]:
    """An answer that holds what its kind must."""
    for name, kind in ANSWERS[message["t"]].items():
        if not isinstance(message[name], kind):
            raise TypeError(f"{name!r} is {cut(repr(message[name]), 40)}")
    if message["t"] in ("forked", "begun") and "error" not in message and not int(message["pid"]) > 1:
        raise ValueError(f"no pid: {cut(repr(message['pid']), 40)}")
    return message


def _spawn(fds: dict[int, int], environment: dict[str, str]) -> int:
    """Start the zygote's program with each descriptor at its number; its pid."""
    high: dict[int, int] = {}
    try:
        for target, fd in fds.items():  # copies high up first, so that placing one does not overwrite another
            high[target] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        ]
        actions += [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in high.items()]
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", PROGRAM],
            environment,
            file_actions=actions,
            setsid=True,
            setsigmask=[signal.SIGINT],  # until it is ignored there: a Ctrl-C meant for us must not end it
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP],
        )
    finally:
        _close_all(list(high.values()))


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
