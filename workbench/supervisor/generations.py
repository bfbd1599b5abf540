"""Generations of the agent's code: one zygote each, the next loaded beside the running one."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.agent.problem import Problem, source_around
from workbench.model.text import cut
from workbench.process import mark
from workbench.process.launcher import Zygote
from workbench.process.reaper import ExitStatus, Reaper
from workbench.supervisor.bases import Bases
from workbench.supervisor.words import OURS

DUMP_LINE = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$')


@dataclass(slots=True)
class Generation:
    """One generation: its zygote and what loading it told."""

    number: int
    zygote: Zygote
    changed: list[str]
    began: float
    loaded: dict[str, Any] | None = None
    problem: Problem | None = None
    served: bool = False
    files: list[str] = field(default_factory=list)
    standing_at: str = ""  # the line where a slow import stands
    last_words: list[str] = field(default_factory=list)
    ended: str = ""  # how its zygote ended

    @property
    def start_method(self) -> str:
        """`zygote` where forking is safe, else `spawn`."""
        against = (self.loaded or {}).get("against_fork") or []
        return "spawn" if against else "zygote"


class Loader:
    """Starts zygotes and judges how their loading went.

    Args:
        bases: start the zygotes.
        order: makes the order for a zygote.
        told: called with (generation, `loaded` | `failed` | `slow` | `lost`).
        forked: called with each answer to a fork request.
        wrote: called with lines of output of a generation that is loading.
    """

    def __init__(
        self,
        reaper: Reaper,
        bases: Bases,
        order: Callable[[], dict[str, Any]],
        told: Callable[[Generation, str], None],
        forked: Callable[[dict[str, Any]], None],
        wrote: Callable[[Generation, list[bytes], bool], None],
    ) -> None:
        self._reaper, self.bases = reaper, bases
        self.order, self._told, self._forked, self._wrote = order, told, forked, wrote
        self.by_number: dict[int, Generation] = {}
        self._count = 0
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def begin(self, changed: list[str], check: list[str]) -> Generation:
        """Start the zygote of a new generation. Usable before the event loop runs; then call `listen`.

        Args:
            changed: the files that were saved, as people name them.
            check: files to be compiled before anything is executed.

        Raises:
            OSError: the kernel made no process.
        """
        number = self._count + 1
        zygote = Zygote(number, self._said, self._gone, self._output)
        generation = Generation(number, zygote, changed, time.monotonic())
        order = {**self.order(), "check": check, "layers": self.bases.layered}
        self.bases.begin(zygote, order, mark.of_generation(os.getpid(), number))
        self._count = number
        self.by_number[number] = generation
        return generation

    def listen(self, generation: Generation, timeout_s: float) -> None:
        """Wait for news on the running loop; `timeout_s` bounds the loading."""
        generation.zygote.listen(self._reaper)
        loop = asyncio.get_running_loop()
        self._timers[generation.number] = loop.call_later(timeout_s, self._too_slow, generation, timeout_s)

    def drop(self, generation: Generation, *, kill: bool = False) -> None:
        """Let a zygote leave; what it forked runs on."""
        self._stop_timer(generation)
        if kill:
            generation.zygote.kill()
        else:
            generation.zygote.dismiss()

    def sources_of(self, number: int) -> str:
        """Where the sources are kept that a generation was loaded from; empty when they are not."""
        generation = self.by_number.get(number)
        kept = (generation.loaded or {}).get("sources", -1) if generation is not None else -1
        return f"/proc/{generation.zygote.pid}/fd/{kept}" if generation is not None and kept >= 0 else ""

    def close(self) -> None:
        """End every zygote, and the base."""
        self.bases.close()
        for timer in self._timers.values():
            timer.cancel()
        for generation in self.by_number.values():
            generation.zygote.kill()

    @property
    def empty(self) -> bool:
        """No process of a zygote or base is left."""
        return not (self.by_number or self.bases.there)

    def _generation(self, zygote: Zygote) -> Generation:
        return self.by_number[zygote.generation]

    def _said(self, zygote: Zygote, message: dict[str, Any]) -> None:
        generation = self._generation(zygote)
        if message["t"] == "forked":
            self._forked(message)
            return
        generation.files = message.get("files") or []
        if message["t"] == "loaded":
            self._stop_timer(generation)
            generation.loaded = message
            self._told(generation, "loaded")
        elif generation.problem is None:
            generation.problem = self.problem_in(message)

    def problem_in(self, message: dict[str, Any]) -> Problem:
        """What a zygote says is wrong."""
        try:
            return Problem.from_json(message["problem"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Problem("", f"the agent cannot be loaded, and how cannot be told ({cut(repr(error), 200)})")

    def _gone(self, zygote: Zygote, status: ExitStatus) -> None:
        generation = self._generation(zygote)
        self._stop_timer(generation)
        del self.by_number[zygote.generation]
        how = f"was killed by {status.signal}" if status.signal else f"left with exit code {status.exit_code}"
        generation.ended = f"was killed: {zygote.spoilt}" if zygote.spoilt else how
        if generation.loaded is not None:
            self._told(generation, "lost")
            return
        if generation.problem is None:
            words = [line for line in generation.last_words if not line.startswith("  File")][-3:]
            generation.problem = Problem(
                "",
                f"the agent's process {generation.ended} while it was loading"
                + (f": {' / '.join(words)}" if words else ""),
            )
            self._place(generation)
        self._told(generation, "failed")

    def _too_slow(self, generation: Generation, timeout_s: float) -> None:
        text = f"it hung during import: not loaded within initialize_timeout ({timeout_s:g} s)"
        generation.problem = Problem("", f"{text}; end the loop or wait at import, or raise initialize_timeout")
        self._place(generation)
        self.bases.give_up(generation.zygote)
        generation.zygote.kill()

    def _place(self, generation: Generation) -> None:
        problem = generation.problem
        match = DUMP_LINE.match(generation.standing_at)
        if problem is not None and match:
            problem.file, problem.line, problem.frame = match["file"], int(match["line"]), match["name"]
            problem.source = source_around(problem.file, problem.line)

    def _stop_timer(self, generation: Generation) -> None:
        timer = self._timers.pop(generation.number, None)
        if timer is not None:
            timer.cancel()

    def _output(self, zygote: Zygote, lines: list[bytes], records: bool) -> None:
        generation = self.by_number.get(zygote.generation)
        if generation is None:
            return
        if records and generation.loaded is None:
            self._watch_for_dump(generation, lines)
        self._wrote(generation, lines, records)

    def _watch_for_dump(self, generation: Generation, lines: list[bytes]) -> None:
        dump = [line.decode("utf-8", "backslashreplace") for line in lines if not line.startswith(b"[")]
        generation.last_words = [*generation.last_words, *(line for line in dump if line.strip())][-20:]
        frames = [line for line in dump if (m := DUMP_LINE.match(line)) and not _library(m["file"])]
        if frames:
            generation.standing_at = frames[0]  # most recent call first
            self._told(generation, "slow")


def _library(file: str) -> bool:
    return file.startswith((OURS, "<")) or "site-packages" in file or "/lib/python3" in file
