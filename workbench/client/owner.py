"""The terminal's hold on the supervisor it started: a child process, and a pipe whose end is an order.

The supervisor lives in a session of its own, so neither Ctrl-C nor a closed window reaches it. It reads
orders from the *owner pipe*; when that pipe closes without the order `release`, its owner is gone.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workbench.client.address import Address, run_folder
from workbench.model.errors import WorkbenchError

LAST_LINES = 30


class StartRefused(WorkbenchError):
    """The supervisor ended before it was up; its words and its exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Ended:
    """How the supervisor ended, with the last lines of its log file."""

    exit_code: int | None
    signal: str | None
    last_lines: list[str]

    def __str__(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exit code {self.exit_code}"


class Owner:
    """A supervisor that this process started.

    Args:
        argv: the arguments of `workbench`, as the user gave them.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = list(argv)
        self._child: subprocess.Popen[bytes] | None = None
        self._orders = -1
        self._news: BinaryIO | None = None
        self._refused: StartRefused | None = None
        self._checked = False
        self.log_path = Path()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._child.pid if self._child is not None else 0

    def start(self) -> None:
        """Start the supervisor and return at once; `wait_until_up` tells how it went."""
        self.close()  # of one that has ended
        self._refused, self._checked = None, False
        orders_read, self._orders = os.pipe()
        ready_read, ready_write = os.pipe()
        self._news = os.fdopen(ready_read, "rb")
        self.log_path = run_folder() / f"supervisor-{os.getpid()}.log"
        with self.log_path.open("wb") as log:
            os.fchmod(log.fileno(), 0o600)
            self._child = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "workbench", "--no-tui"),
                    *(f"--owner-fd={orders_read}", f"--ready-fd={ready_write}", *self._argv),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(orders_read, ready_write),
                start_new_session=True,
            )
        os.close(orders_read)
        os.close(ready_write)

    async def wait_until_checked(self) -> None:
        """Wait until options and address are known to be of use: bad ones are told before a screen opens.

        Raises:
            StartRefused: they are not (bad option, address in use, ...).
        """
        if not self._checked:
            if self._news is not None:
                await _readable(self._news.fileno())
            self._next_news()

    def wait_until_up(self) -> Address:
        """Block until the supervisor listens on its socket.

        Raises:
            StartRefused: it ended instead; again, when it is asked again.
        """
        while "socket" not in (news := self._next_news()):
            continue
        self._close_news()
        return Address(path=news["socket"])

    def _next_news(self) -> dict[str, Any]:
        if self._refused is not None:
            raise self._refused
        assert self._news is not None
        line = self._news.readline()
        news: dict[str, Any] = json.loads(line) if line else {}
        if news and "error" not in news:
            self._checked = True
            return news
        self._close_news()
        ended = self._reap()
        if not self._checked:
            self.log_path.unlink(missing_ok=True)  # its last lines are told here
        words = "\n".join(ended.last_lines) or "it said nothing"
        text = f"the supervisor ended before it was up ({ended}):\n{words}"
        self._refused = StartRefused(news.get("error", text), news.get("exit_code", ended.exit_code or 1))
        raise self._refused

    def _close_news(self) -> None:
        if self._news is not None:
            self._news.close()
            self._news = None

    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        if self._child is None or self._child.poll() is None:
            return None
        return self._reap()

    async def wait(self) -> Ended:
        """Wait until the supervisor has ended."""
        child = self._child
        if child is None:
            return Ended(None, None, [])
        # A pidfd is readable once the process is gone; no thread and no polling.
        pidfd = os.pidfd_open(child.pid) if child.poll() is None else -1
        if pidfd >= 0:
            try:
                await _readable(pidfd)
            finally:
                os.close(pidfd)
        return self._reap()

    def stop(self) -> None:
        """End everything now: jobs are asked, cancelled, and killed after 5 s."""
        self._order("stop")

    def drain(self) -> None:
        """Take no new jobs, end with the last one."""
        self._order("drain")

    def release(self) -> None:
        """Let the supervisor run on without this process."""
        self._order("release")
        self._child = None

    def kill(self) -> None:
        """The last resort: SIGKILL; the kernel takes its jobs with it."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes. Without an order before, this tells the supervisor that its owner is gone."""
        if self._orders >= 0:
            os.close(self._orders)
        self._orders = -1
        if self._child is not None and self._child.returncode == 0:
            self.log_path.unlink(missing_ok=True)  # it ended as it should: nobody will want its last lines

    def last_lines(self) -> list[str]:
        """The end of the supervisor's log file."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(log.seek(0, os.SEEK_END) - 16_384, 0))
                text = log.read().decode(errors="backslashreplace")
        except OSError as error:
            return [f"(no log file: {error.strerror})"]
        return text.splitlines()[-LAST_LINES:]

    def _order(self, word: str) -> None:
        if self._orders < 0:
            return
        try:
            os.write(self._orders, f"{word}\n".encode())
        except BrokenPipeError:
            return  # it has ended already, which is what every order leads to

    def _reap(self) -> Ended:
        if self._child is None:
            return Ended(None, None, [])
        code = self._child.wait()
        name = signal.Signals(-code).name if code < 0 else None
        return Ended(None if name else code, name, self.last_lines())


async def _readable(fd: int) -> None:
    import asyncio  # the supervisor is started before the time that this import takes

    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
