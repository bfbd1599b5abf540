"""The page of a process on the screen: it scrolls, and only rows that changed are painted again."""

from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.lines import Line
from workbench.tui.widgets.detail.page import page
from workbench.tui.widgets.detail.subject import Subject
from workbench.tui.widgets.line_widget import ToneStyles


class DetailView(ToneStyles, ScrollView, can_focus=True):
    """All sections of one process."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = []
        self.starts: dict[int, int] = {}
        self.environment = False
        self._subject: Subject | None = None

    def show(self, subject: Subject) -> None:
        """Draw what is known now."""
        self._subject = subject
        self.redraw()

    def redraw(self) -> None:
        """Make the lines again, and repaint those that differ and are seen."""
        region = self.scrollable_content_region
        if self._subject is None or not region.width:
            return
        old = self.lines
        self.lines, self.starts = page(self._subject, region.width, self.screen.size.height, self.environment)
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

    def go(self, number: int) -> None:
        """Show a section from its title on."""
        if number in self.starts:
            self.scroll_to(y=self.starts[number], animate=False, immediate=True)

    def step(self, by: int) -> None:
        """Go to the next section that begins below the top row, or to the one before."""
        top = round(self.scroll_y)
        rows = sorted(set(self.starts.values()))
        ahead = [row for row in rows if row > top] if by > 0 else [row for row in reversed(rows) if row < top]
        if ahead:
            self.scroll_to(y=ahead[0], animate=False, immediate=True)
