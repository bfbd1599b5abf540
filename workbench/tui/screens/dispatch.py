"""A form for one job: agent, room, metadata."""

import secrets
from typing import Any, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from workbench.model.jsontext import parse
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS
from workbench.tui.widgets.clean_input import CleanInput


class Wanted(NamedTuple):
    """What is to be dispatched."""

    agent: str
    room: str
    metadata: dict[str, Any]


class DispatchScreen(ModalScreen[Wanted | None]):
    """Enter dispatches from any field, Esc changes nothing. What is wrong is told below the fields."""

    BINDINGS = [Binding("escape", "leave", "Back", tooltip="dispatch nothing")]

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent

    def compose(self) -> ComposeResult:
        """The parts."""
        with Vertical(id="dispatch") as form:
            form.border_title, form.border_subtitle = "Dispatch a job", "Enter dispatches, Tab next field, Esc back"
            for name, value, words in (
                ("agent", self._agent, "the agent's id"),
                ("room", f"room-{secrets.token_hex(3)}", ROOM_ID_WORDS),
                ("metadata", "", "a JSON object, or nothing"),
            ):
                with Horizontal(classes="field"):
                    yield Label(name)
                    yield CleanInput(value, placeholder=words, id=f"dispatch-{name}")
            yield Label("", id="dispatch-wrong", markup=False)

    def on_mount(self) -> None:
        """Where the agent is known already, the room is what one may change."""
        self._field("room" if self._agent else "agent").focus()

    def _field(self, name: str) -> CleanInput:
        return self.query_one(f"#dispatch-{name}", CleanInput)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        agent, room, text = (self._field(name).value.strip() for name in ("agent", "room", "metadata"))
        try:
            metadata = parse(text) if text else {}
        except ValueError as error:
            self._refuse(f"metadata is no JSON: {error}")
            return
        if not agent:
            self._refuse("agent must be named")
        elif not ROOM_ID.fullmatch(room):
            self._refuse(f"room must be {ROOM_ID_WORDS}")
        elif not isinstance(metadata, dict):
            self._refuse('metadata must be a JSON object: {"name": "value"}')
        else:
            self.dismiss(Wanted(agent, room, metadata))

    def _refuse(self, words: str) -> None:
        wrong = self.query_one("#dispatch-wrong", Label)
        wrong.update(words)
        wrong.display = True

    @on(CleanInput.Left)
    def action_leave(self) -> None:
        """Nothing."""
        self.dismiss(None)
