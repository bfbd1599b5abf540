"""Trying things in a process that is made for it: what it breaks, or what kills it, is gone with it."""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

LIMIT_S = 10


class TrialError(Exception):
    """The thing that was tried did not work; says how."""


def in_a_fork(work: Callable[[], Any], limit_s: int = LIMIT_S) -> Any:
    """Run `work` in a process of its own; what it returned, as JSON can carry it.

    Raises:
        TrialError: it raised, was killed, or did not end within `limit_s`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read, write = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(read)
        os.close(write)
        raise TrialError(f"no process could be made: {error.strerror}") from None
    if pid == 0:
        os.close(read)
        _work(work, write, limit_s)
    os.close(write)
    answer = _read_all(read, limit_s)
    status = _reap(pid)
    if answer:
        told = json.loads(answer)
        if "error" in told:
            raise TrialError(told["error"])
        return told["result"]
    if os.WIFSIGNALED(status):
        raise TrialError(f"the process that tried it was killed by {signal.Signals(os.WTERMSIG(status)).name}")
    raise TrialError("the process that tried it said nothing")


def fork_and(work: Callable[[], None], limit_s: int = LIMIT_S) -> int:
    """Fork a process that does `work` and leaves; its pid. The kernel ends it after `limit_s`, whatever happens."""
    pid = os.fork()
    if pid == 0:
        _only(work, limit_s)
    return pid


def _work(work: Callable[[], Any], write: int, limit_s: int) -> NoReturn:
    def told() -> None:
        try:
            answer = {"result": work()}
        except Exception as error:
            answer = {"error": (error.strerror if isinstance(error, OSError) else str(error)) or repr(error)}
        os.write(write, json.dumps(answer).encode())

    _only(told, limit_s)


def _only(work: Callable[[], None], limit_s: int) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(limit_s)
        work()
        code = 0
    finally:
        os._exit(code)


def _read_all(fd: int, limit_s: int) -> bytes:
    """All that is written until the other end closes; what came until then when that takes too long."""
    parts, until = [], time.monotonic() + limit_s + 1  # the kernel's own alarm comes first
    while select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(fd, 65536)
        if not part:
            break
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


def _reap(pid: int) -> int:
    return os.waitpid(pid, 0)[1]
