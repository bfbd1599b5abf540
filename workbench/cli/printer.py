"""The headless worker's own output: one line per log line, on stderr, without ever blocking the worker."""

import json
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any

from workbench.model.text import clean_text
from workbench.supervisor.logs import LEVELS, Batch, LogStore

MAX_WAITING = 8 * 1024 * 1024


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
        self._ending = False
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)
        self._thread.start()
        logs.listeners.append(self.on_batch)

    def on_batch(self, batch: Batch) -> None:
        """Print lines that are severe enough."""
        if LEVELS.get(batch.level, 20) < LEVELS[self.level]:
            return
        self._put("".join(self._format(row) for row in batch.rows()), len(batch.lines))

    def record(self, **fields: Any) -> None:
        """Print one structured record of our own."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if self._json:
            self._put(
                json.dumps({"at": at, "level": "INFO", "logger": "workbench", **fields}, default=str) + "\n",
                1,
            )
        else:
            words = " ".join(f"{key}={value}" for key, value in fields.items())
            self._put(f"{at[11:23]} INFO     workbench  {clean_text(words)}\n", 1)

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
            return json.dumps(record) + "\n"
        who = job_id or (f"pid {pid}" if pid else "workbench")
        local = moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
        return f"{local} {level:<8} {who:<16} {clean_text(text)}\n"

    def _put(self, text: str, lines: int) -> None:
        with self._more:
            if self._size + len(text) > MAX_WAITING:
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
                sys.stderr.write(text)
                sys.stderr.flush()
            except (OSError, ValueError):
                return  # nobody reads our output any more; the log stays in memory for the routes
