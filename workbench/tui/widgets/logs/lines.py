"""Rows of the log as lines of text."""

import time
from dataclasses import dataclass, field

from workbench.tui import format as fmt
from workbench.tui.lines import Line, clean, pad, spread
from workbench.tui.widgets.logs.filter import MARK, LogFilter
from workbench.tui.widgets.logs.folding import breaks, hang
from workbench.tui.widgets.logs.layout import HIDDEN, LINE, TRACE, Row
from workbench.tui.widgets.logs.match import Matcher
from workbench.tui.widgets.logs.store import LogRecord, LogStore
from workbench.tui.widgets.logs.tracebacks import ERRORS, USER, Trace
from workbench.tui.words import level_tone

NARROW = 56
WIDE = 96
LETTERS = {"WARNING": "W", "ERROR": "E", "CRITICAL": "C", "DEBUG": "D", "INFO": "I"}
WORDS = {"WARNING": "WARN", "CRITICAL": "CRIT"}


@dataclass(frozen=True, slots=True)
class Look:
    """How lines are shown: in how many cells, from where on, and with what found in them."""

    width: int
    shift: int = 0
    serving: int = 0
    room: int = 0  # cells of text in a row of a broken line; 0: lines are not broken
    matcher: Matcher = field(default=Matcher())


def lead_cells(width: int) -> int:
    """The cells before a line's text."""
    return 10 + (7 if width >= NARROW else 0) + (6 if width >= WIDE else 2)


def text_room(width: int, serving: int) -> int:
    """The cells for a line's text where it is broken: what is at the right edge stays free."""
    return width - lead_cells(width) - (len(f" g{serving}") if width >= NARROW and serving > 1 else 0)


def log_line(record: LogRecord, width: int, shift: int = 0, serving: int = 0) -> Line:
    """Time, who, level and text; `shift` moves the text to the left.

    A line of other code than what is `serving` has its generation at the right edge: there it moves nothing.
    """
    look = Look(width, shift, serving)
    return _with_generation(_lead(record, look) + _text(record.text, _tone(record), look), record, look)


def row_line(store: LogStore, row: Row, look: Look) -> Line:
    """A row of the log."""
    record, piece, trace = store.record(row.piece.serial), row.piece, store.rows.trace(row.head)
    if record.level == MARK:
        words = f"── {fmt.clock_time(record.at)}  {record.text} "
        return [(words + "─" * (look.width - len(words)), "accent")]
    text = store.rows.text(row.head, piece)
    tone = _tone(record) if trace is None else _trace_tone(trace, row)
    blank: Line = [(" " * lead_cells(look.width), "")]
    line = _text(text, tone, look, row.part)
    if row.part or piece.kind == HIDDEN or (trace is not None and piece.kind == LINE):
        return blank + line
    return _with_generation(_lead(record, look, trace) + line, record, look)


def _lead(record: LogRecord, look: Look, trace: Trace | None = None) -> Line:
    """Time, who and level; a traceback is an error, also where it was only printed."""
    width, word = look.width, record.level if trace is None or record.level == "CRITICAL" else "ERROR"
    level = WORDS.get(word, word) if width >= WIDE else LETTERS.get(word, word[:1])
    line: Line = [(f" {fmt.clock_time(record.at)} ", "faint")]
    if width >= NARROW:
        who = str(record.pid) if record.process_id else "super"
        line.append((pad(who, 6) + " ", "dim" if record.process_id else "info"))
    return [*line, (pad(level, 5 if width >= WIDE else 1) + " ", level_tone(word))]


def _text(text: str, tone: str, look: Look, part: int = 0) -> Line:
    """A row of the text, with what was found in it."""
    begin, end, line = look.shift, len(text), []
    if look.room:
        begin, end = breaks(text, look.room)[part]
        line = [(" " * hang(text, look.room), "")] if part else []
    elif look.shift:
        line = [("‹", "accent")]
    for first, last in look.matcher.spans(text) if look.matcher.active else []:
        if last <= begin or first >= end:
            continue
        line += [(text[begin : max(first, begin)], tone), (text[max(first, begin) : min(last, end)], "match")]
        begin = last
    return [*line, (text[begin:end], tone)]


def _with_generation(line: Line, record: LogRecord, look: Look) -> Line:
    if look.width >= NARROW and look.serving and record.generation not in (0, look.serving):
        return spread(line, [(f"g{record.generation}", "faint")], look.width)
    return line


def _tone(record: LogRecord) -> str:
    tone = level_tone(record.level)
    return tone if tone in ("bad", "warn", "dim") else "plain"


def _trace_tone(trace: Trace, row: Row) -> str:
    if row.piece.kind == TRACE:
        return "bad"
    if row.piece.kind == HIDDEN:
        return "faint"
    return {ERRORS: "bad", USER: "plain"}.get(trace.kind(row.piece.serial), "dim")


def part_words(part: LogFilter) -> tuple[str, str]:
    """One part of a filter: the key that takes it away, and what it shows."""
    if part.process_id is not None:
        return "l", f"process #{part.process_id}"
    if part.level:
        return "L", f"≥{part.level}"
    if part.job_id:
        return "J", clean(part.job_id if part.job_id.startswith("job") else f"job {part.job_id}", 20)
    if part.generation:
        return "c", f"code g{part.generation}"
    return "", f"/{clean(part.text, 40)}"


def copy_text(record: LogRecord) -> str:
    """The line as copied: all of it, without the columns' padding."""
    return record.text


def export_text(record: LogRecord) -> str:
    """The line as it stands in a file: with its time, who said it and how severe it is."""
    who = str(record.pid) if record.process_id else "super" if record.level != MARK else "────"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))
    level = record.level if record.level != MARK else ""
    return f"{at} {pad(who, 7)} {pad(level, 8)} {record.text}"
