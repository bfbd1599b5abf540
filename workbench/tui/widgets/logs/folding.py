"""Where a long line is broken into rows."""

from rich.cells import get_character_cell_size

LEAST = 8


def breaks(text: str, room: int) -> list[tuple[int, int]]:
    """Begin and end of each row of `text` in `room` cells: between words where one ends there, else inside.

    Rows after the first one have the first one's indent before them, see `hang`.
    """
    room = max(room, LEAST)
    plain = text.isascii()
    if plain and len(text) <= room:
        return [(0, len(text))]
    indent = hang(text, room)
    rows, at, width = [], 0, room
    while True:
        end = at + width if plain else _end(text, at, width)
        if end >= len(text):
            rows.append((at, len(text)))
            return rows
        space = text.rfind(" ", at + indent + 1 if not rows else at + 1, end + 1)
        stop, after = (space, space + 1) if space > 0 else (end, end)
        rows.append((at, stop))
        at, width = after, room - indent


def hang(text: str, room: int) -> int:
    """The indent of rows after the first: that of the text, but no more than half of the room."""
    return min(len(text) - len(text.lstrip(" ")), max(room, LEAST) // 2)


def _end(text: str, at: int, width: int) -> int:
    """How far `width` cells reach from `at`: one character at least."""
    end = at
    while end < len(text):
        width -= get_character_cell_size(text[end])
        if width < 0:
            break
        end += 1
    return max(end, at + 1)
