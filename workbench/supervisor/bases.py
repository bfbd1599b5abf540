"""The base that waits for the next save, and what becomes of generations when it fails."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from workbench.process import descriptors, mark
from workbench.process.launcher import Zygote
from workbench.process.reaper import ExitStatus, Reaper

AFTER_S = 0.5  # a promotion replaces processes: that goes first
BASE = 0  # where zygotes have the number of their generation


class Bases:
    """Keeps one base ready, from which zygotes are forked. A zygote it cannot fork is started as a program instead.

    Args:
        order: makes the order for a zygote.
        wrote: called with lines of a base's output.
        note: called with (level, text) of what a person should know.
    """

    def __init__(
        self,
        reaper: Reaper,
        lifeline_read: int,
        beats_fd: int,
        order: Callable[[], dict[str, Any]],
        wrote: Callable[[Zygote, list[bytes], bool], None],
        note: Callable[[str, str], None],
    ) -> None:
        self._reaper, self._lifeline, self._beats = reaper, lifeline_read, beats_fd
        self._order, self._wrote, self._note = order, wrote, note
        self.kept = self.layered = False  # whether there is to be one, and whether it is to have imported libraries
        self.libraries: frozenset[str] = frozenset()
        self._base: Zygote | None = None
        self._ready = False
        self._asked: dict[int, tuple[Zygote, Zygote]] = {}  # generation -> its zygote, and the base that is to fork it
        self._alive: set[Zygote] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def there(self) -> bool:
        """A process of it lives."""
        return bool(self._alive)

    def begin(self, zygote: Zygote, order: dict[str, Any], own_mark: str) -> None:
        """Start a zygote.

        Raises:
            OSError: the kernel made no process.
        """
        if self._base is None or not self._ready:
            zygote.start(self._lifeline, self._beats, order, own_mark)
            return
        self._asked[zygote.generation] = zygote, self._base
        try:
            zygote.ask(self._base, order, own_mark)
        except OSError:
            del self._asked[zygote.generation]
            raise

    def want(self, libraries: list[str]) -> None:
        """A generation serves that has imported these: soon there is a base that has, too."""
        if not self.kept or self._closed:
            return
        wanted = frozenset(libraries) if self.layered else frozenset()
        if self._base is not None and wanted <= self.libraries:
            return
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(AFTER_S, self._make, libraries if self.layered else [])

    def give_up(self, zygote: Zygote) -> None:
        """It has taken too long: if it is the base that does not answer, the base goes."""
        if zygote.generation in self._asked:
            self._asked[zygote.generation][1].kill()

    def close(self) -> None:
        """No base any more."""
        self._closed = True
        self._cancel()
        for base in self._alive:
            base.kill()

    # --- inside ---------------------------------------------------------------------------------

    def _make(self, libraries: list[str]) -> None:
        self._timer = None
        if self._base is not None:
            self._retire()
        base = Zygote(BASE, self._said, self._gone, self._wrote)
        order = {**self._order(), "libraries": libraries}
        try:
            base.start(self._lifeline, self._beats, order, mark.of_generation(os.getpid(), BASE))
        except OSError as error:
            self._note("WARNING", f"no process could be started to load the next save from: {descriptors.words(error)}")
            return
        self._base, self._ready, self.libraries = base, False, frozenset(libraries)
        base.layered = bool(libraries)
        self._alive.add(base)
        base.listen(self._reaper, with_group=True)

    def _retire(self) -> None:
        """Another takes its place; what it was asked for is answered first."""
        assert self._base is not None
        self._base.dismiss()
        self._base, self._ready = None, False

    def _said(self, base: Zygote, message: dict[str, Any]) -> None:
        if message["t"] == "begun":
            self._begun(message)
        elif message["t"] == "based" and base is self._base:
            against = [*message["against"], *(f"a library imports {file}" for file in message["strangers"][:3])]
            if against and self.libraries:
                self._without_layers("; ".join(map(str, against)))
            elif against:  # something of this machine's Python starts with threads: no base can be had
                self.kept = False
                self._retire()
            else:
                self._ready = True

    def _begun(self, message: dict[str, Any]) -> None:
        zygote, base = self._asked.pop(message["id"], (None, None))
        if zygote is None or base is None:
            return
        if "error" not in message:
            zygote.layered = base.layered
            zygote.born(int(message["pid"]))
            return
        if message.get("stale"):
            self._note("INFO", f"{message['error']}: everything is loaded anew")
            if base is self._base:
                self._retire()
        self._spawn(zygote)

    def _spawn(self, zygote: Zygote) -> None:
        try:
            zygote.spawn(self._lifeline, self._beats)
        except OSError as error:
            zygote.never_born(f"no process could be started to load the agent: {descriptors.words(error)}")

    def _gone(self, base: Zygote, status: ExitStatus) -> None:
        self._alive.discard(base)
        for zygote in [zygote for zygote, asked in self._asked.values() if asked is base]:
            del self._asked[zygote.generation]
            if self._closed:
                zygote.never_born("the worker ends")
            else:
                self._spawn(zygote)
        if base is not self._base:
            return
        self._base, self._ready = None, False
        if self.libraries and not self._closed:
            how = f"was killed by {status.signal}" if status.signal else f"left with exit code {status.exit_code}"
            self._without_layers(f"the process that imported the libraries {how}")

    def _without_layers(self, why: str) -> None:
        self._note("WARNING", f"--layers is not followed: {why}; every save loads libraries, too")
        self.layered, self.libraries = False, frozenset()
        if self._base is not None:
            self._retire()
        self.want([])

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
