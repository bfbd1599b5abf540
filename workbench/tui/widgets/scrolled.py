"""Lines that scroll, and of which only rows that changed are painted again."""

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.lines import Line
from workbench.tui.widgets.line_widget import ToneStyles


class Scrolled(ToneStyles, ScrollView, can_focus=True):
    """Subclasses say in `make` what the lines are."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = []

    def make(self, width: int) -> list[Line] | None:
        """All lines for `width` cells; None while nothing is known."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Make the lines again, and repaint those that differ and are seen."""
        region = self.scrollable_content_region
        made = self.make(region.width) if region.width else None
        if made is None:
            return
        old, self.lines = self.lines, made
        if len(old) != len(self.lines):
            self.virtual_size = Size(region.width, len(self.lines))
            self.refresh()
            return
        top = round(self.scroll_y)
        rows = range(top, min(top + region.height, len(self.lines)))
        changed = [Region(0, row - top, region.width, 1) for row in rows if old[row] != self.lines[row]]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Another size: all is laid out again."""
        self.lines = []
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One row on the screen."""
        row = round(self.scroll_y) + y
        return self.strip(self.lines[row] if row < len(self.lines) else [])

    # --- moving ---------------------------------------------------------------------------------

    def move(self, rows: int) -> None:
        """Scroll by rows."""
        self.scroll_to(y=self.scroll_y + rows, animate=False, immediate=True)

    def move_pages(self, pages: float) -> None:
        """Scroll by parts of what is seen."""
        self.move(round(pages * max(self.scrollable_content_region.height - 1, 1)))
