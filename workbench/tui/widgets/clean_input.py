"""A text field that takes no control characters, whatever is pasted into it."""

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from workbench.model.text import clean_text

LONGEST = 16_000


class CleanInput(Input):
    """Esc leaves the field; the pane decides what that means."""

    BINDING_GROUP_TITLE = "Text field"
    BINDINGS = [Binding("escape", "leave", "Leave", tooltip="leave the field", id="field.leave")]

    class Left(Message):
        """Esc was pressed in the field."""

        def __init__(self, field: "CleanInput") -> None:
            super().__init__()
            self.field = field

    def on_mount(self) -> None:
        """Nothing on the screen moves by itself."""
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """Every way into the field goes through here."""
        return clean_text(value, LONGEST)

    def action_leave(self) -> None:
        """Tell the pane."""
        self.post_message(self.Left(self))
