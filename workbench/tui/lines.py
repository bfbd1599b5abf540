"""Lines of coloured text as plain data: what a pane shows can be computed and tested without a terminal.

A span is a text and a tone; the style sheet says what a tone looks like. Text from outside enters a span
through `clean`, which is the only way in.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from workbench.model.text import clean_text

Span = tuple[str, str]
Line = list[Span]

TONES = (
    "plain",
    "dim",
    "faint",
    "strong",
    "good",
    "busy",
    "info",
    "warn",
    "bad",
    "accent",
    "head",
    "agent",
    "user",
    "match",
)
ROW_TONES = ("cursor", "quiet")


def clean(text: object, limit: int = 512) -> str:
    """Foreign text on one line, harmless to a terminal."""
    return clean_text(str(text).replace("\n", " ⏎ "), limit)


def gated(text: str) -> str:
    """All of a text, harmless to a terminal whether or not it was cleaned before."""
    return clean(text, 4 * len(text) + 64)  # a tab becomes four spaces; nothing is left out


def width_of(line: Iterable[Span]) -> int:
    """Cells the line takes."""
    return sum(cell_len(text) for text, _ in line)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, set to the left or to the right."""
    text = cut(text, width)
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def fit(line: Line, width: int) -> Line:
    """The line cut to `width` cells."""
    kept: Line = []
    for text, tone in line:
        if width <= 0:
            break
        text = cut(text, width)
        width -= cell_len(text)
        kept.append((text, tone))
    return kept


def spread(left: Line, right: Line, width: int) -> Line:
    """`left` and `right` at the two ends of a line; `left` is cut when both do not fit."""
    left = fit(left, max(width - width_of(right) - 1, 0))
    gap = width - width_of(left) - width_of(right)
    return [*left, (" " * max(gap, 0), ""), *right]


def choose(parts: Sequence[tuple[int, Line]], width: int, gap: str = "  ") -> Line:
    """As many of the ranked parts as fit in `width`, in their order; the highest ranks leave first."""
    kept = list(parts)
    while len(kept) > 1 and sum(width_of(part) + len(gap) for _, part in kept) - len(gap) > width:
        kept.remove(max(kept, key=lambda ranked: ranked[0]))
    line: Line = []
    for _, part in kept:
        line += [(gap, "")] if line else []
        line += part
    return fit(line, width)


def wrap(text: str, width: int) -> list[str]:
    """`text` broken between words into pieces of at most `width` cells; a longer word is broken inside."""
    width = max(width, 2)
    rows: list[str] = []
    row, used = "", 0
    for word in text.split(" "):
        size = cell_len(word)
        if row and used + 1 + size <= width:
            row, used = f"{row} {word}", used + 1 + size
            continue
        if row:
            rows.append(row)
        *full, row = chop_cells(word, width) if size > width else [word]
        rows += full
        used = cell_len(row)
    return [*rows, row]


def changed_cells(old: Line, new: Line) -> tuple[int, int] | None:
    """Where (first cell, number of cells) two lines differ; None when they look the same."""
    if old == new:
        return None
    start = 0
    for before, after in zip(old, new, strict=False):
        if before != after:
            break
        start += cell_len(after[0])
    old_width, new_width = width_of(old), width_of(new)
    end = max(old_width, new_width)
    if old_width == new_width:
        for before, after in zip(reversed(old), reversed(new), strict=False):
            if before != after or end - cell_len(after[0]) < start:
                break
            end -= cell_len(after[0])
    return start, max(end - start, 1)
