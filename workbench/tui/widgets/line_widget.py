"""The base of every pane that draws itself from spans: only cells that changed are painted again."""

from functools import partial
from typing import Any, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from workbench.tui.board import Board
from workbench.tui.lines import Line, changed_cells, gated
from workbench.tui.tones import TonedApp

B = TypeVar("B")


class ToneStyles(Widget):
    """Turns spans into strips by the style sheet's tones."""

    app: TonedApp[Any]

    def tone(self, name: str) -> Style:
        """How the style sheet wants a tone to look, without the background below it."""
        return self.app.tone(name) if name else Style.null()

    def strip(self, line: Line, row_tone: str = "") -> Strip:
        """A line as a strip of the content's width; a row tone colours it to the end."""
        base = self.rich_style + self.tone(row_tone)
        # What is foreign was cleaned on its way in. Where that was forgotten, it is done here: no terminal acts on it.
        made = Strip(
            [Segment(text if text.isprintable() else gated(text), base + self.tone(tone)) for text, tone in line]
        )
        return made.adjust_cell_length(self.content_size.width, base)


class Painted(ToneStyles, Generic[B]):
    """A pane whose lines are computed from a board of the kind `B`. Subclasses say what they are in `draw`."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []
        self._row_tones: list[str] = []
        self.board: B | None = None

    def draw(self, board: B, width: int, height: int) -> list[Line]:
        """The lines for `width` cells and `height` rows (0: as many as there are)."""
        raise NotImplementedError

    def row_tone(self, y: int) -> str:
        """The tone of a whole row, for cursors."""
        return ""

    def show(self, board: B) -> None:
        """Draw from the board, and repaint what became different."""
        self.board = board
        self.redraw()

    def redraw(self) -> None:
        """Compute the lines again and repaint the cells that differ."""
        width, height = self.content_size
        if self.board is None or not width or not height:
            return
        lines = self.draw(self.board, width, height)[:height]
        lines += [[] for _ in range(height - len(lines))]
        tones = [self.row_tone(y) for y in range(height)]
        old, old_tones = self._lines, self._row_tones
        self._lines, self._row_tones = lines, tones
        if len(old) != len(lines):
            self.refresh()
            return
        differ = partial(self._difference, old, old_tones, width)
        regions = [region for y in range(height) if (region := differ(y)) is not None]
        if regions:
            self.refresh(*regions)

    def _difference(self, old: list[Line], old_tones: list[str], width: int, y: int) -> Region | None:
        if old_tones[y] != self._row_tones[y]:
            return Region(0, y, width, 1)
        span = changed_cells(old[y], self._lines[y])
        return Region(span[0], y, span[1], 1) if span else None

    def on_resize(self) -> None:
        """Another size: everything is drawn again."""
        self._lines = []
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One row for the compositor."""
        if y >= len(self._lines):
            return Strip.blank(self.content_size.width, self.rich_style)
        return self.strip(self._lines[y], self._row_tones[y])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are lines, where the style sheet says `auto`."""
        return len(self.draw(self.board, width, 0)) if self.board is not None else 1


class LineWidget(Painted[Board]):
    """A pane about a worker."""
