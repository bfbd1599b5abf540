"""`--ascii`: every sign on the screen as plain ASCII, for terminals and fonts that have nothing else.

One filter over everything that is painted, so that no pane has to know. Each sign keeps its number of cells.
"""

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# Signs of one cell each. States stay told apart without colour: no two of them share a letter or mark.
_SIGNS = {
    "●": "*", "○": "o", "◌": ".", "◐": "~", "✗": "x", "▲": "!", "■": "#", "✓": "+", "◆": "@", "·": "-",
    "◇": "%", "⇄": "<", "•": "*", "↺": "&",
    "▌": "|", "▐": "|", "┃": "|", "│": "|", "║": "|", "┊": ":", "╎": ":", "╸": "-", "╺": "-", "━": "=", "─": "-",
    "═": "=", "…": ".", "▼": "v", "▶": ">", "▸": ">", "▾": "v", "▽": "v", "▷": ">", "◂": "<", "◀": "<", "△": "^",
    "‖": "=", "→": ">", "←": "<", "↑": "^", "↓": "v", "⏎": "/", "›": ">", "‹": "<", "≥": ">", "≤": "<", "∞": "8",
    "×": "x", "±": "~", "⋯": ".", "▁": "_", "▂": "_", "▃": ".", "▄": "-", "▅": "-", "▆": "=", "▇": "#", "█": "#",
    "▀": "^", "▔": "-", "▎": "|", "▏": "|", "▍": "|", "▊": "|", "▋": "|", "▉": "|", "╭": "+", "╮": "+", "╯": "+",
    "╰": "+", "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+", "╱": "/",
    "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "°": "o", "µ": "u", "\xa0": " ", "\u2421": "?",
}  # fmt: skip
_TABLE = str.maketrans({**_SIGNS, **{chr(0x2400 + code): "?" for code in range(0x20)}})


def plain(text: str) -> str:
    """`text` in ASCII, as many cells wide; what has no likeness is a question mark for each cell."""
    if text.isascii():
        return text
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


class PlainSigns(LineFilter):
    """The filter."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter`."""
        return [Segment(plain(text), style, control) for text, style, control in segments]
