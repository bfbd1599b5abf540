"""Hot reload: a save of what the agent imported, or of what `--watch` names, makes a new generation."""

import asyncio
import importlib.util
import math
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from workbench.agent.loading import find
from workbench.model import events as ev
from workbench.process.tree import descendants
from workbench.supervisor.watching.files import GONE_S, Code, Files
from workbench.supervisor.watching.guard import Guard
from workbench.supervisor.watching.kernel import DEBOUNCE_MS, NO_WATCH, STEP_MS, Kernel
from workbench.supervisor.watching.mounts import foreign
from workbench.supervisor.watching.patterns import Pattern
from workbench.supervisor.watching.versions import Stamp, stamp_of
from workbench.supervisor.watching.writers import writers_of
from workbench.supervisor.worker import Supervisor

__all__ = ["DEBOUNCE_MS", "NO_WATCH", "STEP_MS", "watch"]

LOOK_S = 0.5
LOOKS_SHARE = 0.05  # of the time at most goes into looking
ANEW_S = 2.0  # so often all folders are listed where their times of change are not to be trusted
MANY = 5  # files at once are a checkout: more will come
QUIET_S, MANY_S = 0.1, 2.0  # a checkout is over when nothing has changed for that long; waited for so long at most
FEW = 100  # files at most that one generation's loading is suspected to write
CLOCKS_S = 0.01  # the kernel's clock for files is behind by up to some milliseconds

BY_HAND = "a reload by hand (key r, POST /reload) takes it up again"


async def watch(supervisor: Supervisor, mode: str, patterns: Sequence[str]) -> None:
    """Follow the agent's files until cancelled.

    What a look at the files finds is the truth; the kernel's events only say when to look, and a look twice a second
    finds what they miss: a save while the watch is set anew, a file system without events.

    Args:
        mode: `auto` reloads on every change that counts, `manual` only tells of it.
        patterns: of files that count besides those the agent imports, relative to its folder.
    """
    await _Watch(supervisor, mode, patterns).run()


class _Watch:
    def __init__(self, supervisor: Supervisor, mode: str, patterns: Sequence[str]) -> None:
        self._supervisor, self._mode = supervisor, mode
        target = find(supervisor.target)  # once: an editor may be about to write it anew
        self._main, self._root = target.file, target.root
        self._patterns = [Pattern.parse(given, self._root) for given in patterns]
        self._files = Files(self._main, self._patterns)
        self._guard = Guard()
        self._kernel = Kernel(self._files.counts, supervisor.logs.note)
        self._suspended: dict[str, str] = {}
        self._writers_told: set[str] = set()
        self._pending: list[str] = []
        self._idle: tuple[int, str] | None = None  # what was told of the watch
        self._mount = ""
        self._look_s = 0.0
        self._anew_at = 0.0
        self._own = False  # the reload that begins is one of the watch
        self._asked = False  # one began that is not
        self._began_at = self._newest_began_at()
        self._settled_at = math.inf  # when the newest generation served, or failed, in seconds since the epoch
        self._settled: dict[str, Stamp | None] = {}  # what files in question were then

    async def run(self) -> None:
        self._supervisor.listeners.append(self._heard)
        try:
            changed = await self._look()
            self._tell_of_idle_patterns()
            while True:
                self._act(changed)
                if await self._kernel.follow(places := self._files.places()):
                    self._mount = await asyncio.to_thread(foreign, places)
                    changed = await self._look()
                    self._act(changed)
                self._tell_what_is_watched()
                await self._kernel.heard(self._wait_s())
                changed = await self._look_until_quiet()
        finally:
            self._supervisor.listeners.remove(self._heard)
            await self._kernel.close()

    def _wait_s(self) -> float:
        wait_s = GONE_S if self._files.unsure() else max(LOOK_S, self._look_s / LOOKS_SHARE)
        if self._guard.due is not None:
            wait_s = min(wait_s, max(0.0, self._guard.due - time.monotonic()))
        return wait_s

    # --- looking --------------------------------------------------------------------------------

    async def _look_until_quiet(self) -> set[str]:
        """The files that have changed; a checkout is waited for."""
        changed = more = await self._look()
        until = time.monotonic() + MANY_S
        while more and len(changed) >= MANY and time.monotonic() < until:
            await asyncio.sleep(QUIET_S)
            more = await self._look()
            changed = changed | more
        return changed

    async def _look(self) -> set[str]:
        supervisor = self._supervisor
        imported = frozenset({self._main, *supervisor.agent_files, *supervisor.failed_root_files})
        code = Code(imported, supervisor.state.reload.problem is not None, self._began_at)
        began = time.monotonic()
        anew = bool(self._polling) and began >= self._anew_at
        changed = await asyncio.to_thread(self._files.look, code, anew=anew)  # a network folder may be slow to answer
        now = time.monotonic()
        if anew:
            self._anew_at = now + ANEW_S
        self._look_s = now - began
        await self._suspend_written(changed)
        if self._asked:
            self._taken_up()
        return changed - self._suspended.keys()

    async def _suspend_written(self, changed: set[str]) -> None:
        """What the jobs are writing is their output, whatever pattern it matches."""
        data = [path for path in changed if self._files.only_matched(path) and not path.endswith(".py")]
        data = [path for path in data if path not in self._suspended]
        if not data:
            return
        held = await asyncio.to_thread(lambda: writers_of(data, descendants(os.getpid())))
        for path, pid in held.items():
            self._suspended[path] = f"held open for writing by process {pid}"
            if path not in self._writers_told:
                self._writers_told.add(path)
                text = f"{self._name(path)} is not followed: process {pid} of this worker holds it open for writing"
                self._supervisor.logs.note("WARNING", f"{text}; {BY_HAND}")
        if held:
            self._tell_suspended()

    # --- acting ---------------------------------------------------------------------------------

    def _act(self, changed: set[str]) -> None:
        """Load what differs from what is loaded, or tell of it."""
        differing = self._files.differing - self._suspended.keys()
        if self._mode != "auto":
            self._tell_pending(sorted(map(self._name, differing)))
            return
        changed &= differing
        if not all(map(self._was_loading, changed)):
            self._guard.exonerate()
        suspects = self._guard.suspects
        verdict = self._guard.judge(differing, changed, self._files.code.imported, time.monotonic())
        for path, why in verdict.suspend.items():
            self._suspended[path] = why
            self._supervisor.logs.note(
                "WARNING", f"{self._name(path)} is no longer followed: {why}; its changes load nothing, {BY_HAND}"
            )
        if verdict.suspend:
            self._tell_suspended()
        if verdict.load:
            self._reload(differing - self._suspended.keys())
        elif self._guard.suspects - suspects:
            names = ", ".join(sorted(map(self._name, self._guard.suspects)))
            text = f"{names} changes again and again as soon as it is loaded; waiting whether it is loading that writes"
            self._supervisor.logs.note("INFO", text)

    def _reload(self, changed: set[str]) -> None:
        for path in changed:
            if path.endswith(".py"):
                _forget_bytecode(path)
        self._files.loaded_now()
        self._own = True
        try:
            self._supervisor.reload(sorted(map(self._name, changed)))
        finally:
            self._own = False

    def _was_loading(self, path: str) -> bool:
        """It was written while the newest generation was loading. A script that waits until it serves saves later.

        The clock cannot tell what is written just before it serves from what is written just after.
        """
        if self._files.changed_at(path) < self._began_at:
            return False
        if path in self._settled and self._files.stamp(path) == self._settled[path]:
            return True
        return self._files.changed_at(path) <= self._settled_at - CLOCKS_S

    def _taken_up(self) -> None:
        """Somebody asked for a reload: what was suspended or pending is loaded with it."""
        self._asked = False
        self._files.loaded_at(self._began_at)
        self._guard.clear()
        if self._suspended:
            self._suspended = {}
            self._tell_suspended()

    def _heard(self, event: ev.Event) -> None:
        if isinstance(event, ev.ReloadStarted):
            self._began_at = self._newest_began_at()
            self._pending = []
            self._asked = self._asked or not self._own
            self._settled_at, self._settled = math.inf, {}
            self._guard.began(time.monotonic())
        elif isinstance(event, ev.ReloadDone | ev.ReloadFailed) and self._settled_at == math.inf:
            self._settled_at, self._settled = event.at, self._stamps()

    def _stamps(self) -> dict[str, Stamp | None]:
        """Of the files in question, if they are few and nothing is waited for: nobody has acted on the news yet."""
        paths = self._guard.in_question
        return {path: stamp_of(path) for path in paths} if len(paths) <= FEW and not self._mount else {}

    def _newest_began_at(self) -> float:
        """When the newest generation began to load, in seconds since the epoch."""
        generation = self._supervisor.loading or self._supervisor.serving
        ago_s = time.monotonic() - generation.began if generation is not None else 0.0
        return time.time() - ago_s - CLOCKS_S

    # --- telling --------------------------------------------------------------------------------

    @property
    def _polling(self) -> str:
        return f"no inotify: {self._kernel.failure}" if self._kernel.failure else self._mount

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self._root)

    def _tell_what_is_watched(self) -> None:
        if self._idle != (idle := (len(self._files), self._polling)):
            self._idle = idle
            self._supervisor.publish(
                ev.ReloadIdle(at=time.time(), mode=self._mode, watched=idle[0], polling=self._polling)
            )

    def _tell_pending(self, names: list[str]) -> None:
        if names != self._pending:
            self._pending = names
            self._supervisor.publish(ev.ReloadPending(at=time.time(), changed=names))

    def _tell_suspended(self) -> None:
        files = {self._name(path): why for path, why in sorted(self._suspended.items())}
        self._supervisor.publish(ev.ReloadSuspended(at=time.time(), files=files))

    def _tell_of_idle_patterns(self) -> None:
        for pattern in self._patterns:
            if not self._files.matching(pattern):
                text = f"--watch {pattern.given} matches no file in {self._root} yet; files made later count"
                self._supervisor.logs.note("WARNING", text)


def _forget_bytecode(file: str) -> None:
    """Drop a cached compilation: Python takes it for current when size and second of two saves are the same."""
    with suppress(OSError, NotImplementedError):
        os.unlink(importlib.util.cache_from_source(file))
