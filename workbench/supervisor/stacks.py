"""Stack dumps on demand: of all threads by a signal that C code answers, and of the tasks of a loop that turns."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from workbench.process.beats import Beats
from workbench.process.child import Child
from workbench.process.runner import DUMP_SIGNAL
from workbench.supervisor.words import is_of_project, user_frame, without_scaffold

ANSWER_S = 2.0
LOOK_EVERY_S = 0.02  # the kernel tells nobody that a signal's handler has ended
TASKS_S = 0.5  # for a loop that turns; one that stands still is not waited for so long
TURNS_S = 1.0


class NoStack(Exception):
    """No dump can be had, in words; `late`: one was asked for, and did not come."""

    def __init__(self, words: str, *, late: bool) -> None:
        super().__init__(words)
        self.late = late


class Stacks:
    """Asks processes where they stand. Who asks while another does gets the same answer."""

    def __init__(self, beats: Beats, root: Callable[[], str]) -> None:
        self._beats, self._root = beats, root
        self._asked: dict[int, asyncio.Task[None]] = {}

    async def ask(self, child: Child) -> None:
        """Have it dump its stack now: afterwards it is in the child's `dump`, and its `tasks`.

        Raises:
            NoStack: there is none, and why.
        """
        if child.ended or not child.pid:
            raise NoStack("the process has ended", late=False)
        if not self._beats.read(child.beat_slot)[0]:  # it would die of a signal that it has no handler for yet
            raise NoStack("the process has only just been started, and cannot tell its stack yet", late=False)
        task = self._asked.get(child.id)
        if task is None:
            task = self._asked[child.id] = asyncio.ensure_future(self._ask(child))
            task.add_done_callback(lambda done: self._forget(child, done))
        await asyncio.shield(task)

    def _forget(self, child: Child, done: "asyncio.Task[None]") -> None:
        child.asked = None
        del self._asked[child.id]
        if not done.cancelled():
            done.exception()  # nobody may be left who waits for it

    async def _ask(self, child: Child) -> None:
        deadline = time.monotonic() + ANSWER_S
        child.begin_dump()
        child.asked = asyncio.Event()
        blocked = _has_to_do(child.pid, "SigBlk")
        child.signal(DUMP_SIGNAL, group=False)
        while not self._whole(child, blocked):
            if child.ended:
                raise NoStack("the process has ended meanwhile", late=False)
            if time.monotonic() >= deadline:
                break
            await _within(child.asked, LOOK_EVERY_S)
        child.hear_out()
        turns = time.monotonic() - self._beats.read(child.beat_slot)[0] < TURNS_S
        if turns and not child.ended:
            child.send({"t": "stack"})
            until = min(deadline, time.monotonic() + TASKS_S)
            while child.tasks is None and not child.ended and time.monotonic() < until:
                await _within(child.asked, until - time.monotonic())
        if not child.dump and child.tasks is None:
            words = f"no stack dump came within {ANSWER_S:g} s: the process may be stopped, or wait in the kernel"
            raise NoStack(words, late=True)

    def _whole(self, child: Child, blocked: bool) -> bool:
        """The thread that answers was heard, and no handler runs: while it does, the signal is blocked."""
        if not any(line.startswith("Current thread ") for line in child.dump):
            return False
        return not (_has_to_do(child.pid, "SigPnd", "ShdPnd") or (not blocked and _has_to_do(child.pid, "SigBlk")))

    def told(self, child: Child) -> dict[str, Any] | None:
        """The last dump, the thread of the loop first; None without one."""
        if child.dumped_at is None and child.tasks is None:
            return None
        root = self._root()
        lines = threads_in_order(without_scaffold(line.encode() for line in child.dump))
        frame = user_frame([*lines, *(child.tasks or ())], root)
        file, number, name = frame or ("", "0", "")
        return {
            "at": child.dumped_at or time.time(), "file": file, "number": int(number) if number.isdecimal() else 0,
            "name": name, "lines": lines, "tasks": child.tasks,
            "mine": [line for line in [*lines, *(child.tasks or ())] if is_of_project(line, root)],
        }  # fmt: skip


def threads_in_order(dump: Iterable[bytes]) -> list[str]:
    """The blocks of a dump, that of the thread which got the signal first."""
    blocks: list[list[str]] = []
    for line in (raw.decode("utf-8", "backslashreplace") for raw in dump):
        if not line.startswith("  ") or not blocks:
            blocks.append([])
        if line.strip():
            blocks[-1].append(line)
    blocks = [block for block in blocks if block]
    first = [block for block in blocks if block[0].startswith("Current thread ")]
    return [line for block in [*first, *(b for b in blocks if b not in first)] for line in block]


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Until something came, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    event.clear()


def _has_to_do(pid: int, *fields: str) -> bool:
    """Whether the signal of dumps is in one of these sets of a process's main thread."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            found = [line.partition(":") for line in status if line.startswith("S")]
    except OSError:
        return False  # it has gone
    bit = 1 << (DUMP_SIGNAL - 1)
    return any(int(value, 16) & bit for name, _, value in found if name in fields)
