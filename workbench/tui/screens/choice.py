"""A question that must be answered before anything happens. Esc is always the harmless answer."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from workbench.model.text import plural
from workbench.tui.board import Board
from workbench.tui.widgets.choices import Choice, Choices


class ChoiceScreen(ModalScreen[str]):
    """Dismissed with the result of what was chosen; the empty string stands for nothing."""

    BINDINGS = [Binding("escape", "leave", "Back", tooltip="change nothing")]

    def __init__(self, board: object, title: str, question: list[str], choices: list[Choice]) -> None:
        super().__init__()
        self._board, self._title = board, title
        self._choices = Choices(question, [*choices, Choice("c", "Cancel: change nothing", "")])

    def compose(self) -> ComposeResult:
        """The parts."""
        self._choices.border_title = self._title
        yield self._choices

    def on_mount(self) -> None:
        """Ask."""
        self._choices.focus()
        self._choices.show(self._board)

    @on(Choices.Taken)
    def _taken(self, event: Choices.Taken) -> None:
        event.stop()
        self.dismiss(event.result)

    def action_leave(self) -> None:
        """Nothing."""
        self.dismiss("")


def leaving_screen(board: Board, draining: bool) -> ChoiceScreen:
    """What becomes of other people's jobs when this terminal closes."""
    others, everything = len(board.others()), len(board.state.active_jobs())
    besides = " besides the workbench's own" if everything != others else ""
    words = f"{plural(others, 'job')} {'runs' if others == 1 else 'run'}{besides}"
    question = [f"{words}.", "What becomes of the worker?"]
    choices = [
        Choice(
            "s",
            f"Stop now: ask {plural(everything, 'job')} to end, kill after 5 s",
            "stop",
        ),
        Choice("d", "Drain: take no new jobs, leave when the last one has ended", "drain"),
        Choice("l", "Leave it running: close this terminal, attach again later", "release"),
    ]
    return ChoiceScreen(board, "Quit", question, [c for c in choices if not (draining and c.result == "drain")])
