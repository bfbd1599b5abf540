"""Starting a zygote and asking it for children; also the second start method, where it becomes the child."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from workbench.process.pipes import LinePipe
from workbench.process.reaper import ExitStatus, Reaper
from workbench.process.wire import BEATS_FD, CONTROL_FD, LIFELINE_FD, RECORDS_FD

MAX_ANSWER = 1 << 20
PROGRAM = "from workbench.process.zygote import main; main()"


def child_environment() -> dict[str, str]:
    """Our environment without our own secrets: an agent has no use for the registry's or the control token."""
    secret = ("_TOKEN", "_SECRET", "_KEY", "_PASSWORD")
    return {k: v for k, v in os.environ.items() if not (k.startswith("WORKBENCH_") and k.endswith(secret))}


class Zygote:
    """One generation's zygote, as the supervisor sees it.

    Args:
        said: called with each of its answers: `loaded`, `failed`, `forked`.
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
        self._said, self._gone = said, gone
        self._sock, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        self._waiting: list[tuple[bytes, list[int]]] = []
        self.output = LinePipe(lambda lines, cut: wrote(self, lines, False))
        self.records = LinePipe(lambda lines, cut: wrote(self, lines, True))

    def start(self, lifeline_read: int, beats_fd: int, order: dict[str, Any]) -> None:
        """Start the program and hand it its order.

        Raises:
            OSError: the kernel made no process.
        """
        fds = {
            1: self.output.write_fd, 2: self.output.write_fd, CONTROL_FD: self._far.fileno(),
            LIFELINE_FD: lifeline_read, RECORDS_FD: self.records.write_fd, BEATS_FD: beats_fd,
        }  # fmt: skip
        # Copies high up first, so that placing one at its number does not overwrite another.
        high = {target: _above(fd) for target, fd in fds.items()}
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        ]
        actions += [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in high.items()]
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-c", PROGRAM],
                child_environment(),
                file_actions=actions,
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP],
            )
        finally:
            for fd in high.values():
                os.close(fd)
        self._far.close()
        self.output.close_write()
        self.records.close_write()
        self._sock.send(json.dumps(order).encode())

    def listen(self, reaper: Reaper) -> None:
        """Hear its answers and its end on the running loop."""
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._read)
        self.output.start()
        self.records.start()
        reaper.claim(self.pid, lambda status: self._ended(status))

    def hand_over(self, request: dict[str, Any], fds: list[int]) -> None:
        """Ask for a child with these descriptors. The descriptors may be closed on return."""
        data = json.dumps(request).encode()
        copies = [os.dup(fd) for fd in fds]  # ours until sent: a full socket may make the request wait
        self._waiting.append((data, copies))
        self._flush()

    def dismiss(self) -> None:
        """Let it leave: it goes when it finds its socket closed."""
        if self._sock.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock.fileno())
            loop.remove_writer(self._sock.fileno())
            self._sock.close()
        self._drop_waiting()

    def kill(self) -> None:
        """End it now, with everything it started while loading."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def signal(self, number: int) -> None:
        """Signal the zygote itself; one that has gone is no error."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._sock.fileno() >= 0:
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
            for fd in fds:
                os.close(fd)
        if self._sock.fileno() >= 0:
            loop.remove_writer(self._sock.fileno())

    def _drop_waiting(self) -> None:
        for _, fds in self._waiting:
            for fd in fds:
                os.close(fd)
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
        self._said(self, json.loads(data))
        return True

    def _ended(self, status: ExitStatus) -> None:
        if self._sock.fileno() >= 0:
            while self._read():
                pass
        self.dismiss()
        self.output.close()
        self.records.close()
        self._gone(self, status)


def _above(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
