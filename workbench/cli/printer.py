"""The headless worker's own output: one line per log line, on stderr, without ever blocking the worker."""

import sys
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from json import JSONEncoder
from typing import Any

from workbench.cli.outlet import Outlet
from workbench.model.jsontext import dump
from workbench.model.text import clean_text, plural
from workbench.supervisor.logs import LEVELS, Batch, LogStore

MAX_WAITING = 8 * 1024 * 1024
AGAIN_S = 1.0  # between tries to write where there was no room
_encode = JSONEncoder().encode


def wants_json(log_format: str) -> bool:
    """Whether records are JSON lines: by the flag, else where no terminal shows them."""
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())


def record_line(level: str, **fields: Any) -> str:
    """A structured record of our own, as one line of JSON."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return dump({"at": at, "level": level, "logger": "workbench", **fields})


def _json_lines(batch: Batch) -> str:
    """Each line as an object; what the lines of a batch share is written once."""
    at, who = datetime.fromtimestamp(batch.at, UTC).isoformat(timespec="milliseconds"), batch.source
    head = f'{{"at": "{at}", "level": {_encode(batch.level)}, "logger": {_encode(batch.logger)}, "message": '
    about = {"pid": who.pid or None, "generation": who.generation or None, "job_id": who.job_id}
    end = f", {_encode(about)[1:]}\n"
    return "".join([f"{head}{_encode(text)}{end}" for text in batch.texts()])


def _text_lines(moment: datetime, level: str, who: str, texts: Iterable[str]) -> str:
    local = moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
    head = f"{local} {clean_text(level, 16):<8} {who:<16} "
    return "".join([f"{head}{clean_text(text)}\n" for text in texts])


class Printer:
    """Formats on the loop, writes on a thread: a terminal or pipe that is not read stops only the thread.

    What does not fit in 8 MB of waiting text is lost: counted in the log's `dropped`, and said where it is missing.
    The same holds while there is no room to write: what waits is written when there is.

    Args:
        own_file: stderr is a file of the workbench's own, which must not grow without end.
    """

    def __init__(self, logs: LogStore, *, as_json: bool, level: str, own_file: bool = False) -> None:
        self._logs, self._json = logs, as_json
        self.level = level
        self._waiting: deque[tuple[str, int]] = deque()
        self._size = 0  # of what waits and of what is being written
        self._lost = 0  # lines, not yet counted in the log
        self._missing = 0  # lines, not yet said in the output
        self._failing = self._told = ""  # why nothing can be written; what the log says of it
        self._more = threading.Condition()
        self._ending = False
        self._outlet = Outlet(self._pause, own_file=own_file)
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)
        self._thread.start()
        logs.listeners.append(self.on_batch)

    def on_batch(self, batch: Batch) -> None:
        """Print lines that are severe enough."""
        if LEVELS.get(batch.level, 20) < LEVELS[self.level]:
            return
        who = batch.source
        name = who.job_id or (f"pid {who.pid}" if who.pid else "workbench")
        moment = datetime.fromtimestamp(batch.at, UTC)
        text = _json_lines(batch) if self._json else _text_lines(moment, batch.level, name, batch.texts())
        self._put(text, len(batch.lines))

    def record(self, **fields: Any) -> None:
        """Print one structured record of our own, whatever the level."""
        mask, text = self._logs.mask, self._record("INFO", fields)
        self._put(mask.json(text[:-1]) + "\n" if self._json else mask.text(text), 1)

    def tell_losses(self) -> None:
        """Count in the log what was lost since the last call, and note there when writing fails or works again."""
        with self._more:
            lost, failing = self._lost, self._failing
            self._lost = 0
        self._logs.dropped += lost
        if failing == self._told:
            return
        self._told = failing
        if failing:
            most = f"{MAX_WAITING >> 20} MB"
            self._logs.note("WARNING", f"the log cannot be written: {failing}; its lines wait in memory, up to {most}")
        else:
            self._logs.note("INFO", "the log is written again")

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits, as far as it is taken within the time."""
        with self._more:
            if self._missing:
                self._waiting.append((self._gap(), 0))
            self._ending = True
            self._more.notify()
        self._thread.join(timeout_s)

    def _record(self, level: str, fields: dict[str, Any]) -> str:
        if self._json:
            return record_line(level, **fields) + "\n"
        words = [str(fields.pop("message"))] + [f"{key}={value}" for key, value in fields.items() if key != "event"]
        return _text_lines(datetime.now(UTC), level, "workbench", [" ".join(words)])

    def _gap(self) -> str:
        """The line that stands where others are missing."""
        missing, self._missing = self._missing, 0
        are, they = ("is", "it") if missing == 1 else ("are", "they")
        text = f"{plural(missing, 'line')} {are} missing here: {they} could not be written in time"
        return self._record("WARNING", {"event": "lines_dropped", "message": text, "lines": missing})

    def _put(self, text: str, lines: int) -> None:
        with self._more:
            if self._outlet.gone or self._size + len(text) > MAX_WAITING:
                self._lost += lines
                self._missing += lines
                return
            if self._missing:
                text = self._gap() + text
            self._waiting.append((text, lines))
            self._size += len(text)
            self._more.notify()

    def _pause(self, why: str) -> bool:
        """Nothing can be written now: wait a while; False when there is no time left to wait."""
        with self._more:
            self._failing = why
            return not self._more.wait_for(lambda: self._ending, AGAIN_S)

    def _write(self) -> None:
        while taken := self._take():
            text = "".join(part for part, _ in taken)
            data = text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
            rest = self._outlet.write(data)
            with self._more:
                self._size -= len(text)
                self._lost += rest.count(b"\n")
                self._failing = self._failing if rest else ""

    def _take(self) -> list[tuple[str, int]]:
        """All that waits; nothing when all is written and the end has come."""
        with self._more:
            self._more.wait_for(lambda: self._waiting or self._ending)
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
