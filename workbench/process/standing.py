"""Tells where a slow import stands, without harm to it.

`faulthandler`'s timer looks at the frames of a thread that runs on: an import that works hard takes them away
meanwhile, and the process dies of a segmentation fault. Here a thread of ours looks, and while it does, it has the
interpreter's lock. That timer only looks at an import that has not let go of the lock for long: it stands still in C.
"""

import _thread
import contextlib
import faulthandler
import os
import sys
from types import FrameType

SLOW_IMPORT_S = 2.0
HELD_S = 2 * SLOW_IMPORT_S
MOST_FRAMES = 100


class Standing:
    """Watches the thread that makes it, every 2 s until `stop`. `threading` knows nothing of it: nor does the agent.

    Args:
        fd: where the lines of a stack go, in the form that `faulthandler` gives them.
    """

    def __init__(self, fd: int) -> None:
        self._fd, self._watched = fd, _thread.get_ident()
        self._until, self._over = _thread.allocate_lock(), _thread.allocate_lock()
        self._until.acquire()
        self._over.acquire()
        self._arm()  # here: an import may take the lock before the thread runs, and not give it back
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # the limit of threads is reached: nothing is told
            faulthandler.cancel_dump_traceback_later()
            self._over.release()

    def stop(self) -> None:
        """Loading is over; returns when nothing of this runs any more."""
        if self._until.locked():
            self._until.release()
            self._over.acquire()
            faulthandler.cancel_dump_traceback_later()

    def _run(self) -> None:
        try:
            while True:
                self._arm()
                if self._until.acquire(timeout=SLOW_IMPORT_S):
                    return
                self._tell()
        finally:
            self._over.release()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(HELD_S, repeat=True, file=self._fd)

    def _tell(self) -> None:
        lines = ["Loading has not ended (most recent call first):\n"]
        frame: FrameType | None = sys._current_frames().get(self._watched)
        while frame is not None and len(lines) <= MOST_FRAMES:
            code = frame.f_code
            if not code.co_filename.startswith("<frozen importlib"):  # of no use to whoever waits for what it imports
                lines.append(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n')
            frame = frame.f_back
        with contextlib.suppress(OSError):  # the supervisor has gone
            os.write(self._fd, "".join(lines).encode("utf-8", "backslashreplace"))
