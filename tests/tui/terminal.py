"""A real terminal for the real program: a pty, a screen that understands it, and every byte that was written."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyte

from tests.conftest import child_environment, tagged

WAIT_S = 60.0  # a bound on hanging, never on speed
COLUMNS, ROWS = 100, 30
# A shell would hand over the terminal like this: the leader of a session, in the foreground.
LAUNCH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
# The same as a job of a shell: Ctrl-Z gives the terminal back to it, and any line brings the job back.
SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
while os.WIFSTOPPED(status := os.waitpid(job, os.WUNTRACED)[1]):
    os.tcsetpgrp(0, os.getpid())
    print("suspended", flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, job)
    os.kill(job, signal.SIGCONT)
sys.exit(os.waitstatus_to_exitcode(status))
"""

CSI = re.compile(rb"\x1b\[([<=>?]?)([0-9;:]*)([ -/]*)([@-~])")
STRINGS = re.compile(rb"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|[P_^X][^\x1b]*\x1b\\)")
QUERIES = re.compile(rb"\x1b\[(?:[<=>][0-9;]*[A-Za-z]|\?[0-9;]*(?:u|\$p)|[0-9;]*t)|\x1b[P_][^\x1b]*\x1b\\")


class Terminal:
    """One run of a command on a terminal of its own."""

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        tag: str,
        launch: str = LAUNCH,
        size: tuple[int, int] = (COLUMNS, ROWS),
        **environment: str,
    ) -> None:
        self.tag, self.folder, self.raw = tag, folder, bytearray()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self._pending = b""
        self._news = threading.Condition()
        self._master, self.slave = os.openpty()
        self._wake, self._waker = os.pipe()
        self._set_size(*size)
        self.before = termios.tcgetattr(self.slave)
        defaults = {"XDG_RUNTIME_DIR": str(folder), "TEST_TAG": tag, "TERM": "xterm-256color", "TZ": "UTC"}
        defaults["XDG_CONFIG_HOME"] = str(folder)
        defaults["WORKBENCH_LOAD_THRESHOLD"] = "inf"  # whatever else this machine does
        self.process = subprocess.Popen(
            [sys.executable, "-c", launch, sys.executable, *arguments],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, cwd=folder, start_new_session=True,
            env=child_environment(**{**defaults, **environment}),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # --- what it writes -------------------------------------------------------------------------

    def _read(self) -> None:
        while self._wake not in select.select([self._master, self._wake], [], [])[0]:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return  # nobody has the other end any more
            with self._news:
                self.raw += data
                self._feed(data)
                self._news.notify_all()

    def _feed(self, data: bytes) -> None:
        """To the screen, without the questions to a terminal that pyte would print."""
        text = self._pending + data
        cut = text.rfind(b"\x1b")
        cut = cut if cut >= 0 and len(text) - cut < 32 else len(text)  # it may go on in the next piece
        text, self._pending = text[:cut], text[cut:]
        self._stream.feed(QUERIES.sub(b"", text))

    def rows(self) -> list[str]:
        """What stands on the screen."""
        with self._news:
            return list(self.screen.display)

    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.rows())

    def until(self, check: Callable[[], Any], what: str) -> Any:
        """Look again whenever something was written."""
        deadline = time.monotonic() + WAIT_S
        with self._news:
            while not (found := check()):
                left = deadline - time.monotonic()
                assert left > 0, f"not within {WAIT_S} s: {what}; the screen:\n{self.text()}"
                self._news.wait(min(left, 1.0))
        return found

    def sees(self, *texts: str) -> None:
        """Until all of `texts` stand on the screen."""
        for text in texts:
            self.until(partial(self._shows, text), f"{text!r} on the screen")

    def _shows(self, text: str) -> bool:
        return text in self.text()

    # --- what one does --------------------------------------------------------------------------

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Another size; the kernel tells the program."""
        with self._news:
            self.screen.resize(rows, columns)
            self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """The window is closed: the kernel sends SIGHUP."""
        self._stop_reading()
        self._close_ends()

    def _stop_reading(self) -> None:
        os.write(self._waker, b"x")
        self._reader.join(WAIT_S)
        assert not self._reader.is_alive()

    def _close_ends(self) -> None:
        for fd in (self.slave, self._master):
            if fd >= 0:
                os.close(fd)
        self.slave = self._master = -1

    # --- its processes --------------------------------------------------------------------------

    def supervisor(self) -> psutil.Process:
        """The supervisor below it."""
        found = [p for p in psutil.Process(self.process.pid).children() if "--no-tui" in p.cmdline()]
        assert len(found) == 1, found
        return found[0]

    def ended(self) -> int:
        """Wait for its end; everything it wrote is read then."""
        code = self.process.wait(WAIT_S)
        if self.slave >= 0:
            self.after = termios.tcgetattr(self.slave)
            os.close(self.slave)  # the last one: what is left in the pty is read, then comes the end
            self.slave = -1
            self._reader.join(WAIT_S)
        assert not self._reader.is_alive()
        return code

    def close(self) -> None:
        """Nothing of it may be left."""
        for pid in tagged(self.tag):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._stop_reading()
        self._close_ends()
        os.close(self._wake)
        os.close(self._waker)


def modes_left(raw: bytes) -> dict[int, str]:
    """The private modes that are not as a terminal has them before any program."""
    modes: dict[int, str] = {}
    for match in re.finditer(rb"\x1b\[\?([0-9;]+)([hl])", raw):
        for mode in match[1].split(b";"):
            modes[int(mode)] = match[2].decode()
    return {mode: how for mode, how in modes.items() if how != ("h" if mode in (7, 25) else "l")}


def control_bytes(raw: bytes) -> set[bytes]:
    """The control bytes that are left when the sequences a screen is painted with are taken away."""
    rest = CSI.sub(b"", STRINGS.sub(b"", raw))
    return set(re.findall(rb"[\x00-\x1f\x7f]|\xc2[\x80-\x9f]", rest))


def sequences(raw: bytes) -> set[str]:
    """Kinds of CSI sequences (`?h`, `m`, ...), and the strings a terminal was told."""
    found = {(match[1] + match[3] + match[4]).decode() for match in CSI.finditer(STRINGS.sub(b"", raw))}
    return found | {match[0].decode() for match in STRINGS.finditer(raw)}
