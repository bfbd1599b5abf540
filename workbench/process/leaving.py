"""How a job's process leaves: it waits for the threads of its jobs, as Python does, and names what it waits for.

There is no limit here: the supervisor ends a process that has not left at `close_timeout`.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from types import FrameType

from workbench.agent.own_log import OwnLog
from workbench.model.paths import seen_from

NAMED_AFTER_S = 0.5

log = OwnLog("workbench.job")


class Leaving:
    """What may be left of the jobs of a process.

    Args:
        root: the agent's folder, to tell its lines in a stack from those of libraries.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._loop = asyncio.get_running_loop()
        self._before = set(threading.enumerate())  # not of a job's making: nobody waits for their end

    def begin(self) -> None:
        """From now on the process wants to leave; called in its loop, which closes next, and may not be able to."""
        threading.Thread(target=self._name_what_remains, name="leaving", daemon=True).start()

    def wait(self) -> None:
        """Return when every thread that Python would wait for has ended."""
        executors = sys.modules.get("concurrent.futures.thread")
        if executors is not None:  # idle threads of executors wait for work until they are told that none will come
            threading.Thread(target=executors._python_exit, name="leaving", daemon=True).start()
        while left := self._threads():
            left[0].join()

    def _threads(self) -> list[threading.Thread]:
        return [one for one in threading.enumerate() if not one.daemon and one not in self._before]

    def _name_what_remains(self) -> None:
        time.sleep(NAMED_AFTER_S)
        frames = sys._current_frames()
        names = [f"thread {one.name!r}{self._place(frames.get(one.ident or 0))}" for one in self._threads()]
        names += [f"task {task.get_name()!r}" for task in asyncio.all_tasks(self._loop)]
        if names:
            text = "the job has ended, but its process waits for %s; it is closed at close_timeout"
            log.warning(text, ", ".join(names))

    def _place(self, frame: FrameType | None) -> str:
        if frame is None:
            return ""  # it has ended meanwhile
        stack = [(one.f_code.co_filename, line, one.f_code.co_name) for one, line in traceback.walk_stack(frame)]
        mine = [
            place for place in stack if place[0].startswith(self._root + os.sep) and "site-packages" not in place[0]
        ]
        file, line, name = (mine or stack)[0]
        return f" ({seen_from(file, self._root)}:{line} in {name})"
