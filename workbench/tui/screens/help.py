"""Every key, read off the real bindings, pane by pane."""

from collections.abc import Iterable
from itertools import zip_longest

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.screen import ModalScreen

from workbench.tui.lines import Line, pad, spread, wrap
from workbench.tui.widgets.line_widget import Painted

KEY_CELLS = 16
GAP = 4
TWO_COLUMNS = 120  # cells

Group = tuple[str, list[tuple[str, str]]]


class HelpText(Painted[object]):
    """Groups of keys, in two columns where there is room; words that are too long go on below."""

    def __init__(self, groups: list[Group]) -> None:
        super().__init__(id="help-text")
        self._groups = groups

    def draw(self, board: object, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        if width < TWO_COLUMNS:
            return _below(self._groups, width)[:-1]
        half = (width - GAP) // 2
        sides = [_below(groups, half) for groups in _halves(self._groups)]
        return [[*spread(left, [], half), (" " * GAP, ""), *right] for left, right in zip_longest(*sides, fillvalue=[])]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Every row."""
        return len(self.draw(None, width, 0))


def _halves(groups: list[Group]) -> tuple[list[Group], list[Group]]:
    """The groups for the left and those for the right, as even as can be."""
    sizes = [len(rows) + 2 for _, rows in groups]
    at = min(range(len(groups) + 1), key=lambda n: max(sum(sizes[:n]), sum(sizes[n:])))
    return groups[:at], groups[at:]


def _below(groups: list[Group], width: int) -> list[Line]:
    lines: list[Line] = []
    for title, rows in groups:
        lines += [[(title, "accent")]] if title else []
        for keys, words in rows:
            for part in wrap(words, width - KEY_CELLS):
                lines.append([(pad(keys, KEY_CELLS), "strong"), (part, "plain")])
                keys = ""
        lines.append([])
    return lines


class HelpScreen(ModalScreen[None]):
    """Scrolls with the usual keys; Esc, q and ? close it."""

    BINDINGS = [
        Binding("escape,q,question_mark", "dismiss", "Close"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("space,pagedown", "scroll(10)", "Page down", show=False),
        Binding("b,pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self, groups: list[Group]) -> None:
        super().__init__()
        self._text = HelpText(groups)

    def compose(self) -> ComposeResult:
        """The parts."""
        with VerticalScroll(id="help") as scroll:
            scroll.border_title = "Keys"
            scroll.border_subtitle = "Esc closes"
            yield self._text

    def on_mount(self) -> None:
        """Draw."""
        self._text.show(self)

    def action_scroll(self, rows: int) -> None:
        """Move."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def group_of(title: str, bindings: Iterable[Binding], shown: "dict[str, str]") -> Group:
    """One group: each action once, with all its keys. `shown` maps keys to how they are written."""
    keys: dict[tuple[str, str], list[str]] = {}
    for binding in bindings:
        words = binding.tooltip or binding.description.lower()
        keys.setdefault((binding.action, words), []).append(shown.get(binding.key, binding.key))
    return title, [(" ".join(found), words[:1].upper() + words[1:]) for (_, words), found in keys.items()]
