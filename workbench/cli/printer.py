"""The headless worker's own output: one line per log line, on stderr, without ever blocking the worker."""

import os
import select
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

from workbench.model.jsontext import dump
from workbench.model.text import clean_text
from workbench.supervisor.logs import LEVELS, Batch, LogStore

MAX_WAITING = 8 * 1024 * 1024


def wants_json(log_format: str) -> bool:
    """Whether records are JSON lines: by the flag, else where no terminal shows them."""
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())


def record_line(level: str, **fields: Any) -> str:
    """A structured record of our own, as one line of JSON."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return dump({"at": at, "level": level, "logger": "workbench", **fields})


def _text_line(moment: datetime, level: str, who: str, text: str) -> str:
    local = moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{local} {clean_text(level, 16):<8} {who:<16} {clean_text(text)}\n"


class Printer:
    """Formats on the loop, writes on a thread: a terminal or pipe that is not read stops only the thread.

    What does not fit in 8 MB of waiting text is dropped and counted.
    """

    def __init__(self, logs: LogStore, *, as_json: bool, level: str) -> None:
        self._logs, self._json = logs, as_json
        self.level = level
        self._waiting: deque[str] = deque()
        self._size = 0
        self._more = threading.Condition()
        self._ending = self._nobody_reads = False
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)
        self._thread.start()
        logs.listeners.append(self.on_batch)

    def on_batch(self, batch: Batch) -> None:
        """Print lines that are severe enough."""
        if LEVELS.get(batch.level, 20) < LEVELS[self.level]:
            return
        self._put("".join(self._format(row) for row in batch.rows()), len(batch.lines))

    def record(self, **fields: Any) -> None:
        """Print one structured record of our own, whatever the level."""
        if self._json:
            self._put(record_line("INFO", **fields) + "\n", 1)
            return
        words = [str(fields.pop("message"))] + [f"{key}={value}" for key, value in fields.items() if key != "event"]
        self._put(_text_line(datetime.now(UTC), "INFO", "workbench", " ".join(words)), 1)

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, as far as it is taken within the time."""
        with self._more:
            self._ending = True
            self._more.notify()
        self._thread.join(timeout_s)

    def _format(self, row: list[Any]) -> str:
        _, at, _, pid, generation, job_id, level, logger, text = row
        moment = datetime.fromtimestamp(at, UTC)
        if self._json:
            record = {
                "at": moment.isoformat(timespec="milliseconds"), "level": level, "logger": logger, "message": text,
                "pid": pid or None, "generation": generation or None, "job_id": job_id,
            }  # fmt: skip
            return dump(record) + "\n"
        return _text_line(moment, level, job_id or (f"pid {pid}" if pid else "workbench"), text)

    def _put(self, text: str, lines: int) -> None:
        with self._more:
            if self._nobody_reads or self._size + len(text) > MAX_WAITING:
                self._logs.dropped += lines
                return
            self._waiting.append(text)
            self._size += len(text)
            self._more.notify()

    def _write(self) -> None:
        while True:
            with self._more:
                while not self._waiting and not self._ending:
                    self._more.wait()
                if not self._waiting:
                    return
                text = "".join(self._waiting)
                self._waiting.clear()
                self._size = 0
            try:
                _write_all(text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
            except OSError:
                self._nobody_reads = True  # the log stays in memory for the routes
                return


def _write_all(data: bytes) -> None:
    """Write past Python's own buffer: a thread that is stuck in it would keep the process from ending."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(2, view) :]
        except BlockingIOError:  # whoever shares the terminal made it non-blocking
            select.select([], [2], [])
