"""The page of a process on the screen: it scrolls, and only rows that changed are painted again."""

from workbench.tui.lines import Line
from workbench.tui.widgets.detail.page import page
from workbench.tui.widgets.detail.subject import Subject
from workbench.tui.widgets.scrolled import Scrolled


class DetailView(Scrolled):
    """All sections of one process."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.starts: dict[int, int] = {}
        self.environment = False
        self._subject: Subject | None = None

    def show(self, subject: Subject) -> None:
        """Draw what is known now."""
        self._subject = subject
        self.redraw()

    def make(self, width: int) -> list[Line] | None:
        """See `Scrolled`."""
        if self._subject is None:
            return None
        made = page(self._subject, width, self.screen.size.height, self.environment)
        self.starts = made.starts
        return made.lines

    # --- moving ---------------------------------------------------------------------------------

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
