"""The last lines of everybody's output, bounded in lines and bytes; every line that is not kept is counted.

`total` lines were taken; of these `kept` are here, and the others have left to make room. `dropped` counts what
somebody else than this store has lost: a printer that is not read, a process whose pipe was full.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.model.mask import Mask

KEPT_LINES = 10_000
KEPT_BYTES = 16 * 1024 * 1024
TAIL_LINES = 200
TAIL_BYTES = 32 * 1024
MOST_TAILS = 256
LONGEST_LEVEL = 32
LONGEST_LOGGER = 200
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


@dataclass(frozen=True, slots=True)
class Source:
    """Whose line it is. `process_id` is 0 for the supervisor and for loading."""

    process_id: int = 0
    pid: int = 0
    generation: int = 0
    job_id: str | None = None


@dataclass(slots=True)
class Batch:
    """Lines that arrived together. Raw ones stay bytes until somebody looks: nobody does at 500,000 a second."""

    first: int
    at: float
    source: Source
    level: str
    logger: str
    lines: list[bytes]
    size: int

    @property
    def end(self) -> int:
        """The number after that of its last line."""
        return self.first + len(self.lines)

    def texts(self) -> list[str]:
        """The lines as text."""
        return [line.decode("utf-8", "backslashreplace").rstrip("\r") for line in self.lines]

    def rows(self) -> list[list[Any]]:
        """One list per line, in the order of client.LogLine."""
        who = self.source
        return [
            [number, self.at, who.process_id, who.pid, who.generation, who.job_id, self.level, self.logger, text]
            for number, text in enumerate(self.texts(), self.first)
        ]

    def from_line(self, start: int) -> "Batch":
        """The part from line number `start` on; the whole where it begins later."""
        skipped = start - self.first
        if skipped <= 0:
            return self
        lines = self.lines[skipped:]
        return Batch(start, self.at, self.source, self.level, self.logger, lines, sum(map(len, lines)))


class Tail:
    """The last lines of one process, or of the supervisor, kept also when others have filled the ring since.

    `only_here` of these lines have left the ring.
    """

    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.only_here = 0
        self._lines = self._bytes = 0
        self._left_ring = 0  # so many of its batches, the first ones

    def ring_begins(self, number: int) -> None:
        """The ring has lost what came before that line."""
        while self._left_ring < len(self.batches) and self.batches[self._left_ring].end <= number:
            self.only_here += len(self.batches[self._left_ring].lines)
            self._left_ring += 1

    def add(self, batch: Batch) -> None:
        """Take lines; the oldest leave, but never the last batch."""
        if len(batch.lines) > TAIL_LINES:
            batch = batch.from_line(batch.end - TAIL_LINES)
        self.batches.append(batch)
        self._lines += len(batch.lines)
        self._bytes += batch.size
        while len(self.batches) > 1:
            oldest = self.batches[0]
            if self._lines - len(oldest.lines) < TAIL_LINES and self._bytes <= TAIL_BYTES:
                break
            self.batches.popleft()
            self._lines -= len(oldest.lines)
            self._bytes -= oldest.size
            if self._left_ring:
                self._left_ring -= 1
                self.only_here -= len(oldest.lines)


class LogStore:
    """A ring of batches, and a tail for each process and for ourselves. Listeners are told of each new batch."""

    def __init__(self, kept_lines: int = KEPT_LINES, kept_bytes: int = KEPT_BYTES) -> None:
        self.mask = Mask()
        self.total = 0  # lines ever taken
        self.cut_bytes = 0  # bytes left out of lines that were too long
        self.dropped = 0  # lines that a printer or a process could not get rid of in time
        self._batches: deque[Batch] = deque()
        self._tails: OrderedDict[int, Tail] = OrderedDict()
        self._lines = self._bytes = 0  # in the ring
        self._only_in_tails = 0  # lines; told four times a second, so it is not added up anew
        self._kept_lines, self._kept_bytes = kept_lines, kept_bytes
        self.listeners: list[Callable[[Batch], None]] = []

    @property
    def kept(self) -> int:
        """Lines that are here now."""
        return self._lines + self._only_in_tails

    def add(self, source: Source, level: str, logger: str, lines: list[bytes], cut: int = 0) -> None:
        """Keep lines of one source, without the secrets in them."""
        lines = self.mask.lines(lines)
        level, logger = self.mask.text(level)[:LONGEST_LEVEL], self.mask.text(logger)[:LONGEST_LOGGER]
        size = sum(map(len, lines))
        batch = Batch(self.total, time.time(), source, level, logger, lines, size)
        self.total += len(lines)
        self.cut_bytes += cut
        self._batches.append(batch)
        self._lines += len(lines)
        self._bytes += size
        while len(self._batches) > 1 and (self._lines > self._kept_lines or self._bytes > self._kept_bytes):
            old = self._batches.popleft()
            self._lines -= len(old.lines)
            self._bytes -= old.size
            if tail := self._tails.get(_whose(old.source)):
                self._only_in_tails -= tail.only_here
                tail.ring_begins(self._begins)
                self._only_in_tails += tail.only_here
        tail = self._tail(_whose(source))
        self._only_in_tails -= tail.only_here
        tail.add(batch)
        self._only_in_tails += tail.only_here
        for listener in list(self.listeners):
            try:
                listener(batch)
            except Exception as error:  # whoever reads the log must not keep the worker from its work
                self.listeners.remove(listener)
                self.note("CRITICAL", f"a bug of ours: a reader of the log failed and gets no more lines: {error!r}")

    def note(self, level: str, text: str) -> None:
        """A line of the supervisor's own."""
        self.add(Source(), level, "workbench", [line.encode("utf-8", "replace") for line in text.split("\n")])

    def since(self, number: int, most: int, most_bytes: int = KEPT_BYTES) -> tuple[list[list[Any]], int]:
        """At most `most` rows from line `number` on, newest kept, and how many of them were left out."""
        start = max(number, self.total - most)
        wanted: list[Batch] = []
        for batch in reversed(self._batches):  # followers ask ten times a second, and for the newest
            if batch.end <= start or (wanted and batch.size > most_bytes):
                break
            most_bytes -= batch.size
            wanted.append(batch)
        rows = [row for batch in reversed(wanted) for row in batch.from_line(start).rows()]
        return rows, self.total - number - len(rows)

    def last_of(self, process_id: int, most: int) -> list[list[Any]]:
        """The last lines of one process: when, level, text."""
        tail = self._tails.get(process_id)
        found: list[list[Any]] = []
        for batch in reversed(tail.batches if tail is not None else ()):
            if batch.logger == "stack":
                continue  # a stack dump is told as what it is
            last = batch.from_line(batch.end - (most - len(found)))
            found = [*([last.at, last.level, text] for text in last.texts()), *found]
            if len(found) >= most:
                break
        return found

    def past(self, most: int) -> tuple[list[Batch], int]:
        """The last `most` lines, before them the last words of processes that have left the ring; how many are gone.

        Of last words there are at most as many again, the newest.
        """
        start, room = max(0, self.total - most), most
        found = deque(batch.from_line(start) for batch in self._batches if batch.end > start)
        for batch in sorted(self._older(), key=lambda one: one.first, reverse=True):
            room -= len(batch.lines)
            if room < 0:
                break
            found.appendleft(batch)
        here = sum(max(0, batch.end - max(batch.first, start)) for batch in found)
        return list(found), self.total - start - here

    def _older(self) -> list[Batch]:
        """Last words that have left the ring. It loses whole batches, so none is in both."""
        begins = self._begins
        return [batch for tail in self._tails.values() for batch in tail.batches if batch.end <= begins]

    @property
    def _begins(self) -> int:
        return self._batches[0].first if self._batches else self.total

    def _tail(self, whose: int) -> Tail:
        """The tail of a source; those who were silent for longest are forgotten first."""
        tail = self._tails.get(whose)
        if tail is None:
            tail = self._tails[whose] = Tail()
            if len(self._tails) > MOST_TAILS:
                self._only_in_tails -= self._tails.popitem(last=False)[1].only_here
        self._tails.move_to_end(whose)
        return tail


def _whose(source: Source) -> int:
    """A process by its id; 0 is the supervisor itself, below it are zygotes."""
    return source.process_id or -source.pid
