"""The title row of a pane; where panes share one place it is also the row of tabs."""

from textual import events
from textual.widget import Widget

from workbench.tui.lines import Line, choose, spread, width_of
from workbench.tui.messages import PaneWanted
from workbench.tui.widgets.line_widget import Painted

PANES = ("processes", "logs", "talk", "events", "tune", "load")
GAP = 2
TOLD_CELLS = 16  # the pane's own words keep at least this much: then the other tabs are numbers only


class PaneBar(Painted[object]):
    """Number and name of pane `name` on the left, what its owner tells on the right."""

    def __init__(self, name: str, panes: tuple[str, ...] = PANES) -> None:
        super().__init__(classes="pane-bar")
        self.pane, self._panes = name, panes
        self.tabs: tuple[str, ...] = (name,)
        self._told: list[tuple[int, Line]] = []

    def tell(self, *parts: tuple[int, Line]) -> None:
        """What stands on the right, as ranked parts: the highest ranks leave first."""
        self._told = list(parts)
        self.redraw()

    def set_tabs(self, tabs: tuple[str, ...]) -> None:
        """The panes that share this place."""
        self.tabs = tabs if self.pane in tabs else (self.pane,)
        self.redraw()

    def draw(self, board: object, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        left: Line = [("▌" if self._lit else " ", "accent")]
        for name, words in self._tabs(width):
            here = name == self.pane
            number, _, title = words.partition(" ")
            left += [(number, "accent" if here else "dim"), (f" {title}" if title else "", "head" if here else "dim")]
            left += [(" " * GAP, "")]
        room = width - width_of(left) - 2
        told = choose(self._told, room, "   ") if self._told and room > 4 else []
        return [spread(left, told, width - 1)]

    def _tabs(self, width: int) -> list[tuple[str, str]]:
        """Each tab's pane and words."""
        full = [(name, f"{self._panes.index(name) + 1} {name.capitalize()}") for name in self.tabs]
        if sum(len(words) + GAP for _, words in full) + TOLD_CELLS <= width or len(full) == 1:
            return full
        return [(name, words if name == self.pane else words[:1]) for name, words in full]

    @property
    def _lit(self) -> bool:
        return isinstance(self.parent, Widget) and self.parent.has_pseudo_class("focus-within")

    def on_click(self, event: events.Click) -> None:
        """A click on a tab goes to its pane."""
        x = 1
        for name, words in self._tabs(self.size.width):
            x += len(words) + GAP
            if event.x < x:
                self.post_message(PaneWanted(name))
                return
