"""Figures as people read them: ages, sizes, shares, bars and trends. Pure functions."""

import math
import time
from collections.abc import Sequence

from workbench.tui.lines import Line

SPARKS = "▁▂▃▄▅▆▇█"
NOTHING = "-"


def age(seconds: float | None) -> str:
    """A duration in at most six cells: `7s`, `4:12`, `2h14m`, `3d04h`."""
    if seconds is None:
        return NOTHING
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    days = whole // 86_400
    return f"{days}d{whole % 86_400 // 3600:02}h" if days < 100 else f"{days}d"


def beat(seconds: float | None) -> str:
    """The age of a heartbeat, in tenths while that matters."""
    if seconds is None:
        return NOTHING
    return f"{max(seconds, 0):.1f}s" if seconds < 9.95 else age(seconds)


def megabytes(mb: float | None) -> str:
    """`<1M`, `318M`, `1.2G`, `24G`."""
    if mb is None:
        return NOTHING
    if 0 < mb <= 0.5:
        return "<1M"
    if mb < 999.5:
        return f"{mb:.0f}M"
    return f"{mb / 1024:.1f}G" if mb < 9.95 * 1024 else f"{mb / 1024:.0f}G"


def millis(ms: float | None) -> str:
    """`0.6ms`, `3ms`, `1.2s`, `1:40`."""
    if ms is None:
        return NOTHING
    if ms < 0.95:
        return f"{ms:.1f}ms"
    if ms < 999.5:
        return f"{ms:.0f}ms"
    return f"{ms / 1000:.1f}s" if ms < 99_950 else age(ms / 1000)


def share(value: float | None) -> str:
    """A share as a percentage."""
    return NOTHING if value is None else f"{value * 100:.0f}%"


def count(number: int) -> str:
    """With thousands set apart."""
    return f"{number:,}"


def clock_time(at: float) -> str:
    """The local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def grade(value: float | None, warn: float | None, limit: float | None) -> int:
    """0 fine, 1 from `warn` on, 2 from `limit` on; a mark that is 0 or None is not there."""
    if value is None:
        return 0
    if limit and value >= limit:
        return 2
    return 1 if warn and value >= warn else 0


PENDING_MARK = "◇"  # where a mark is tried
GRADE_SIGNS = ("", "!", "!!")
GRADE_TONES = ("good", "warn", "bad")


def bar(value: float | None, top: float, width: int, marks: Sequence[tuple[float, str]], tone: str) -> Line:
    """A gauge of `width` cells, half a cell fine, with each mark's sign at its true place, or beside it."""
    halves = round(min(max((value or 0.0) / top, 0.0), 1.0) * width * 2) if top > 0 else 0
    cells: list[tuple[str, str]] = []
    for cell in range(width):
        filled = halves - cell * 2
        cells.append(("━", tone) if filled >= 2 else ("╸", tone) if filled == 1 else ("─", "faint"))
    taken: dict[int, float] = {}
    for at, sign in marks:
        if not 0 < at <= top:
            continue
        cell = min(int(at / top * width), width - 1)
        if cell in taken:  # both are to be seen
            cell += 1 if at > taken[cell] and cell + 1 < width else -1
        taken[cell] = at
        cells[max(cell, 0)] = (sign, "accent" if sign == PENDING_MARK else "strong")
    return _joined(cells)


def _joined(cells: Sequence[tuple[str, str]]) -> Line:
    line: Line = []
    for sign, tone in cells:
        if line and line[-1][1] == tone:
            line[-1] = (line[-1][0] + sign, tone)
        else:
            line.append((sign, tone))
    return line


def spark(values: Sequence[float], width: int, top: float | None = None) -> str:
    """The last `width` values as a trend; 0 is the lowest sign, `top` (or the greatest value) the highest."""
    shown = list(values)[-width:]
    highest = top if top else max(shown, default=0.0)
    if highest <= 0 or not math.isfinite(highest):
        return (SPARKS[0] * len(shown)).rjust(width)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[min(max(round(v / highest * steps), 0), steps)] for v in shown).rjust(width)
