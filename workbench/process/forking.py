"""Forking so that the supervisor is the parent, though it did not fork."""

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from workbench.process import records


def fork_twice(become: Callable[[], NoReturn]) -> dict[str, Any]:
    """Run `become` in a process whose parent the kernel makes the supervisor (a subreaper): `pid`, or `error`.

    Raises:
        OSError: the kernel made no process.
    """
    read, write = os.pipe()
    # Until the new process has handlers of its own, a signal waits: those of the agent's file are not for it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        middle = os.fork()
        if middle == 0:
            os.close(read)
            _fork_again(become, write)
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    answer = os.read(read, 200).decode()
    os.close(read)
    os.waitpid(middle, 0)  # the new process belongs to the supervisor once the one between is gone
    return {"pid": int(answer)} if answer.isdecimal() else {"error": answer.lstrip("!") or "it died at once"}


def _fork_again(become: Callable[[], NoReturn], write: int) -> NoReturn:
    """In the process between. Neither it nor the new one may ever run on in the agent's file."""
    try:
        pid = os.fork()
        if pid == 0:
            os.close(write)
            _become(become)
        os.write(write, str(pid).encode())
    except OSError as error:
        os.write(write, f"!{error.strerror}".encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _become(become: Callable[[], NoReturn]) -> NoReturn:
    try:
        become()
    except BaseException:
        traceback.print_exc()
    finally:
        records.flush_output()
        os._exit(1)
