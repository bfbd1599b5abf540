"""What screens of panes share: a layout by size, one pane in front where several share a place, focus and zoom."""

from collections.abc import Mapping
from typing import ClassVar

from textual import events, on
from textual.screen import Screen

from workbench.tui.layout import CLASSES, layout_of
from workbench.tui.messages import PaneWanted
from workbench.tui.widgets.pane_bar import PaneBar


class PanedScreen(Screen[None]):
    """A subclass names its panes, the one above first, and says which of them show.

    Attributes:
        pane: the one that has the focus.
        lower: the one in front where those below share a place.
        zoomed: whether the focused one is alone.
    """

    PANES: ClassVar[tuple[str, ...]]
    FOCUS: ClassVar[Mapping[str, str]]
    """What has the focus in each, as a selector."""

    def __init__(self, lower: str) -> None:
        super().__init__()
        self.pane, self.lower, self.zoomed = self.PANES[0], lower, False

    def places(self, classes: set[str]) -> tuple[tuple[str, ...], str]:
        """Of a layout: the panes that share a place, and the one of them that shows."""
        raise NotImplementedError

    def on_resize(self, event: events.Resize) -> None:
        """The layout follows the size."""
        self.lay_out(event.size.width, event.size.height)

    def lay_out(self, width: int, height: int) -> None:
        """Give each pane its place."""
        classes = layout_of(width, height)
        for name in CLASSES:
            self.set_class(name in classes, name)
        self.set_class(self.zoomed, "-zoomed")
        tabs, shown = self.places(classes)
        for name in self.PANES:
            self.set_class(name == shown, f"-show-{name}")
        for bar in self.query(PaneBar):
            bar.set_tabs(tabs)

    def on_descendant_focus(self) -> None:
        """Where shared places are, the focused pane is the one that shows."""
        focused = self.focused
        pane = next((node.id for node in focused.ancestors if node.id in self.PANES), None) if focused else None
        if pane is not None and pane != self.pane:
            self.turn_to(pane)
        for bar in self.query(PaneBar):
            bar.redraw()

    @on(PaneWanted)
    def _wanted(self, event: PaneWanted) -> None:
        event.stop()
        self.action_go(event.name)

    def action_go(self, pane: str) -> None:
        """Show a pane and focus it; what is typed next is for it, however fast it comes."""
        self.turn_to(pane)
        place = self.query_one(self.FOCUS[pane])
        if not place.focusable:
            self.app.stylesheet.update(self)  # it would be shown later only
        self.set_focus(place)

    def turn_to(self, pane: str) -> None:
        """Show a pane."""
        self.pane = pane
        if pane != self.PANES[0]:
            self.lower = pane
        self.lay_out(*self.size)

    def action_zoom(self) -> None:
        """The focused pane alone, and back."""
        self.zoomed = not self.zoomed
        self.lay_out(*self.size)
