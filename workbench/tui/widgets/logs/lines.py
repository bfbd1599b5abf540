"""A log record as a line."""

from workbench.tui import format as fmt
from workbench.tui.lines import Line, pad, spread
from workbench.tui.widgets.logs.store import LogRecord
from workbench.tui.words import level_tone

NARROW = 56
WIDE = 96
LETTERS = {"WARNING": "W", "ERROR": "E", "CRITICAL": "C", "DEBUG": "D", "INFO": "I"}
WORDS = {"WARNING": "WARN", "CRITICAL": "CRIT"}


def log_line(record: LogRecord, width: int, shift: int = 0, serving: int = 0) -> Line:
    """Time, who, level and text; `shift` moves the text to the left.

    A line of other code than what is `serving` has its generation at the right edge: there it moves nothing.
    """
    tone = level_tone(record.level)
    who = str(record.pid) if record.process_id else "super"
    level = WORDS.get(record.level, record.level) if width >= WIDE else LETTERS.get(record.level, record.level[:1])
    line: Line = [(f" {fmt.clock_time(record.at)} ", "faint")]
    if width >= NARROW:
        line.append((pad(who, 6) + " ", "dim" if record.process_id else "info"))
    line.append((pad(level, 5 if width >= WIDE else 1) + " ", tone))
    text_tone = tone if tone in ("bad", "warn", "dim") else "plain"
    lead = "‹" if shift else ""
    line += [(lead, "accent"), (record.text[shift:], text_tone)]
    if width >= NARROW and serving and record.generation not in (0, serving):
        return spread(line, [(f"g{record.generation}", "faint")], width)
    return line


def copy_text(record: LogRecord) -> str:
    """The line as copied: all of it, without the columns' padding."""
    return record.text
