"""Every key, read off the real bindings, pane by pane."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.screen import ModalScreen

from workbench.tui.lines import Line, pad
from workbench.tui.widgets.line_widget import Painted

KEY_CELLS = 16

Group = tuple[str, list[tuple[str, str]]]


class HelpText(Painted[object]):
    """Groups of keys, in two columns where there is room."""

    def __init__(self, groups: list[Group]) -> None:
        super().__init__(id="help-text")
        self._groups = groups

    def draw(self, board: object, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        lines: list[Line] = []
        for title, rows in self._groups:
            lines += [[(title, "accent")]] if title else []
            lines += [
                [(pad(keys, KEY_CELLS), "strong"), (pad(words, width - KEY_CELLS), "plain")] for keys, words in rows
            ]
            lines.append([])
        return lines[:-1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Every row."""
        return sum(len(rows) + 2 for _, rows in self._groups) - 1


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
