"""A gauge on one line (label, bar, figures, trend), or in a panel of three rows and more with a chart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.tui import format as fmt
from workbench.tui.history import Spell
from workbench.tui.lines import Line, fit, pad, spread, width_of

LABEL_CELLS = 5
TREND_CELLS = 12
LEAST_BAR = 10
DETAIL_FROM = 100  # columns: below, not every gauge has room for it, and bars of two lengths look broken
FIGURE_CELLS = 14  # so that the bars of two gauges end at the same place
PANEL_FROM = 3  # rows


@dataclass(slots=True)
class Reading:
    """What a gauge shows. `detail` is shown where there is room."""

    label: str
    value: float | None
    top: float
    tone: str
    figures: Line
    marks: list[tuple[float, str]] = field(default_factory=list)
    trend: list[float] = field(default_factory=list)
    detail: Line = field(default_factory=list)
    over: str = ""  # for how long it has been over its mark


def over_words(spell: Spell, now: float) -> str:
    """`over for 45s`, at most as wide as the trend, in whose place it stands where there is little room."""
    if spell.since is None:
        return ""
    age = fmt.age(now - spell.since)
    words = f"over for {age}"
    return words if len(words) <= TREND_CELLS else f"over {age}"


def gauge_lines(reading: Reading, width: int, height: int) -> list[Line]:
    """The gauge in the space there is."""
    if height >= PANEL_FROM:
        return _panel(reading, width, height)
    return [_line(reading, width)]


def _line(reading: Reading, width: int) -> Line:
    label: Line = [(f" {reading.label:<{LABEL_CELLS}}", "dim")]
    blank = " " * max(FIGURE_CELLS - width_of(reading.figures), 0)
    right: Line = [(" ", ""), *reading.figures, (blank, "")]
    room = width - width_of(label) - width_of(right)
    if room >= LEAST_BAR * 2 + TREND_CELLS:
        trend = fmt.spark(reading.trend, TREND_CELLS, reading.top)
        right.append((" " + (pad(reading.over, TREND_CELLS) if reading.over else trend), reading.tone))
        room -= TREND_CELLS + 1
    if width >= DETAIL_FROM and room >= LEAST_BAR * 3 + width_of(reading.detail) + 2:
        right += [("  ", ""), *reading.detail]
        room -= width_of(reading.detail) + 2
    return fit([*label, *_bar(reading, room - 1), *right], width)


def _panel(reading: Reading, width: int, height: int) -> list[Line]:
    title: Line = [(reading.label, "dim"), *([(f"  {reading.over}", reading.tone)] if reading.over else [])]
    if width_of(title) + width_of(reading.detail) + width_of(reading.figures) + 4 <= width:
        title += [("  ", ""), *reading.detail]
    lines = [spread(title, reading.figures, width), _bar(reading, width)]
    return [*lines, *([(row, reading.tone)] for row in chart(reading.trend, width, height - 2, reading.top))]


def _bar(reading: Reading, width: int) -> Line:
    return fmt.bar(reading.value, reading.top, max(width, LEAST_BAR), reading.marks, reading.tone)


def chart(values: Sequence[float], width: int, rows: int, top: float) -> list[str]:
    """The last `width` values as columns `rows` high; the newest is on the right."""
    shown = list(values)[-width:]
    eighths = [round(min(max(value / top, 0.0), 1.0) * rows * 8) if top > 0 else 0 for value in shown]
    eighths = [max(height, 1) for height in eighths]  # a measured nothing is a line, not a gap
    return ["".join(_column(height - row * 8) for height in eighths).rjust(width) for row in reversed(range(rows))]


def _column(eighths: int) -> str:
    return " " if eighths <= 0 else fmt.SPARKS[min(eighths, 8) - 1]
