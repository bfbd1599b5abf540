"""Charts of the last minute: one column a second, the newest at the right, what is over its mark in another tone."""

from collections.abc import Callable, Sequence

from workbench.tui.format import SPARKS
from workbench.tui.lines import Line

STEPS = len(SPARKS)


def chart(values: Sequence[float], width: int, height: int, top: float, tone_of: Callable[[float], str]) -> list[Line]:
    """`height` lines of `width` cells; `top` fills a column."""
    shown = list(values)[-width:]
    full = height * STEPS
    eighths = [min(max(round(value / top * full), 1), full) if top > 0 else 1 for value in shown]
    tones = [tone_of(value) for value in shown]
    lines: list[Line] = []
    for row in range(height - 1, -1, -1):
        line: Line = [(" " * (width - len(shown)), "")] if len(shown) < width else []
        for filled, tone in zip(eighths, tones, strict=True):
            here = min(max(filled - row * STEPS, 0), STEPS)
            sign = SPARKS[here - 1] if here else " "
            if line and line[-1][1] == tone:
                line[-1] = (line[-1][0] + sign, tone)
            else:
                line.append((sign, tone))
        lines.append(line)
    return lines
