"""Columns of tables. Each has a rank: where width is short the highest ranks leave first."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workbench.tui.lines import Line, Span, pad


class Column(NamedTuple):
    """`cell` makes the text from an item and a board; `grow` is how many further cells the column can use."""

    title: str
    width: int
    rank: int
    cell: Callable[..., Span]
    right: bool = False
    grow: int = 0


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """Those that `width` cells have room for, stretched to fill it."""
    kept = list(columns)
    while len(kept) > 1 and needed(kept) > width:
        kept.remove(least(kept))
    return stretched(kept, width)


def needed(columns: Sequence[Column]) -> int:
    """Cells they take."""
    return sum(column.width + 1 for column in columns)


def least(columns: Sequence[Column]) -> Column:
    """The one that leaves next."""
    return max(columns, key=lambda column: column.rank)


def stretched(columns: Sequence[Column], width: int) -> list[Column]:
    """What is left of the width goes to those that can use it, from left to right."""
    spare, wider = width - needed(columns), []
    for column in columns:
        more = min(column.grow, spare)
        wider.append(column._replace(width=column.width + more))
        spare -= more
    return wider


def head(columns: Sequence[Column]) -> Line:
    """The titles."""
    return [("  ", ""), *((pad(c.title, c.width, right=c.right) + " ", "faint") for c in columns)]


def cells(columns: Sequence[Column], item: object, board: object, lead: Span) -> Line:
    """One row."""
    line: Line = [lead, (" ", "")]
    for column in columns:
        text, tone = column.cell(item, board)
        line.append((pad(text, column.width, right=column.right) + " ", tone))
    return line
