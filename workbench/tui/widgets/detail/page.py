"""The sections put together: one below the other, or in columns where there is room."""

from typing import NamedTuple

from workbench.tui.lines import Line, fit, width_of
from workbench.tui.widgets.detail.sections import SECTIONS, View
from workbench.tui.widgets.detail.subject import Subject

GAP = 2
TWO_FROM = 112
THREE_FROM = 180
CHART_ROWS = ((50, 4), (36, 2), (0, 1))  # from so many rows of the terminal on
# Which sections (by number) stand in which column.
COLUMNS = {
    1: ((1, 2, 3, 4, 5, 6, 7, 8, 9),),
    2: ((1, 2, 3, 6, 7), (4, 5, 8, 9)),
    3: ((1, 2, 3, 8), (4, 5), (6, 7, 9)),
}


class Page(NamedTuple):
    """All lines, and the row of each section's title by its number."""

    lines: list[Line]
    starts: dict[int, int]


def page(subject: Subject, width: int, height: int, environment: bool) -> Page:
    """What there is to see on a screen of that size."""
    columns = COLUMNS[3 if width >= THREE_FROM else 2 if width >= TWO_FROM else 1]
    view = View(environment, next(rows for least, rows in CHART_ROWS if height >= least))
    each = (width - GAP * (len(columns) - 1)) // len(columns)
    starts: dict[int, int] = {}
    made = [_column(subject, numbers, each, view, starts) for numbers in columns]
    if len(made) == 1:
        return Page(made[0], starts)
    tallest = max(map(len, made))
    lines = []
    for row in range(tallest):
        line: Line = []
        for column in made:
            cells = column[row] if row < len(column) else []
            line += cells
            if column is not made[-1]:
                line.append((" " * (each - width_of(cells) + GAP), ""))
        lines.append(line)
    return Page(lines, starts)


def _column(subject: Subject, numbers: tuple[int, ...], width: int, view: View, starts: dict[int, int]) -> list[Line]:
    lines: list[Line] = []
    for number in numbers:
        name, section = SECTIONS[number - 1]
        if lines:
            lines.append([])
        starts[number] = len(lines)
        title = f" {name} "
        rule = "─" * max(width - len(title) - 2, 0)
        lines.append([(str(number), "accent"), (title, "head"), (rule, "faint")])
        lines += [fit(line, width) for line in section(subject, width, view)]
    return lines
