"""The last lines of everybody's output, bounded in lines and bytes; every line not kept is counted."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

KEPT_LINES = 10_000
KEPT_BYTES = 16 * 1024 * 1024
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

    def rows(self, start: int = 0) -> Iterator[list[Any]]:
        """One list per line from line number `start`, in the order of client.LogLine."""
        who = self.source
        for number, line in enumerate(self.lines, self.first):
            if number >= start:
                text = line.decode("utf-8", "backslashreplace").rstrip("\r")
                yield [
                    number, self.at, who.process_id, who.pid, who.generation, who.job_id,
                    self.level, self.logger, text,
                ]  # fmt: skip


class LogStore:
    """A ring of batches. Listeners are told of each new one."""

    def __init__(self, kept_lines: int = KEPT_LINES, kept_bytes: int = KEPT_BYTES) -> None:
        self.total = 0  # lines ever taken
        self.cut_bytes = 0  # bytes left out of lines that were too long
        self.dropped = 0  # lines never kept: a printer or a client was too slow for them
        self._batches: deque[Batch] = deque()
        self._lines = self._bytes = 0
        self._kept_lines, self._kept_bytes = kept_lines, kept_bytes
        self.listeners: list[Callable[[Batch], None]] = []

    def add(self, source: Source, level: str, logger: str, lines: list[bytes], cut: int = 0) -> None:
        """Keep lines of one source."""
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
        for listener in list(self.listeners):
            try:
                listener(batch)
            except Exception as error:  # whoever reads the log must not keep the worker from its work
                self.listeners.remove(listener)
                self.note("CRITICAL", f"a bug of ours: a reader of the log failed and gets no more lines: {error!r}")

    def note(self, level: str, text: str) -> None:
        """A line of the supervisor's own."""
        self.add(Source(), level, "workbench", [line.encode("utf-8", "replace") for line in text.split("\n")])

    def since(self, number: int, most: int) -> tuple[list[list[Any]], int]:
        """At most `most` rows from line `number` on, newest kept, and how many of them were left out."""
        start = max(number, self.total - most)
        rows: list[list[Any]] = []
        wanted: list[Batch] = []
        for batch in reversed(self._batches):  # followers ask ten times a second, and for the newest
            if batch.first + len(batch.lines) <= start:
                break
            wanted.append(batch)
        for batch in reversed(wanted):
            rows.extend(batch.rows(start))
        return rows, self.total - number - len(rows)

    def last_of(self, process_id: int, most: int = 200) -> list[str]:
        """The last lines of one process."""
        found: list[str] = []
        for batch in reversed(self._batches):
            if batch.source.process_id == process_id:
                found[:0] = [row[-1] for row in batch.rows()]
                if len(found) >= most:
                    break
        return found[-most:]
