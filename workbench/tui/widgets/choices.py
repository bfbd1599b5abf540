"""A few answers to a question, each with its key; the cursor can choose too."""

from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message

from workbench.tui.lines import Line, wrap
from workbench.tui.widgets.line_widget import Painted

INDENT = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer; `text` says what it does, `result` is what it stands for."""

    key: str
    text: str
    result: str


class Choices(Painted[object], can_focus=True):
    """Question above, answers below."""

    BINDINGS = [
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("enter", "take", "Choose"),
    ]

    class Taken(Message):
        """An answer was chosen."""

        def __init__(self, result: str) -> None:
            super().__init__()
            self.result = result

    def __init__(self, question: list[str], choices: list[Choice]) -> None:
        super().__init__()
        self._question, self._choices = question, choices
        self._cursor = len(choices) - 1  # the last is always the harmless one

    def draw(self, board: object, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        return [
            *self._asked(width),
            *(row for index in range(len(self._choices)) for row in self._answer(index, width)),
        ]

    def _asked(self, width: int) -> list[Line]:
        rows = [(row, index) for index, text in enumerate(self._question) for row in wrap(text, width)]
        return [*([(row, "strong" if index == 0 else "plain")] for row, index in rows), []]

    def _answer(self, index: int, width: int) -> list[Line]:
        choice, here = self._choices[index], index == self._cursor
        first, *more = wrap(choice.text, width - INDENT)
        lead: Line = [("▌" if here else " ", "accent"), (f"{choice.key}  ", "accent")]
        tone = "strong" if here else "plain"
        return [[*lead, (first, tone)], *([("    ", ""), (text, tone)] for text in more)]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Every row."""
        answers = sum(len(self._answer(index, width)) for index in range(len(self._choices)))
        return len(self._asked(width)) + answers

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._cursor = (self._cursor + rows) % len(self._choices)
        self.redraw()

    def action_take(self) -> None:
        """Choose what the cursor is on."""
        self.post_message(self.Taken(self._choices[self._cursor].result))

    def on_key(self, event: events.Key) -> None:
        """A choice's own key chooses it."""
        for choice in self._choices:
            if event.character == choice.key:
                event.stop()
                self.post_message(self.Taken(choice.result))
                return
