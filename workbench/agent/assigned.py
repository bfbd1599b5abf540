"""What whoever gave a job has said of its room."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Assigned:
    """Is laid over what the agent's file says of a job's room.

    Attributes:
        room_id: the room that was chosen; empty when the worker made a name up.
        token: for this room only; it is a secret.
        room_options: fields of `RoomOptions`, by their names.
        wait: whoever gave the job counts it as running only when its room is joined.
    """

    room_id: str = ""
    token: str = field(default="", repr=False)
    room_options: dict[str, Any] = field(default_factory=dict)
    wait: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it travels to the job's process: without what was not said."""
        values = {"room_id": self.room_id, "token": self.token, "room_options": self.room_options, "wait": self.wait}
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Assigned":
        """What a message stands for."""
        return cls(**data)


NOTHING = Assigned()
JOINED = frozenset({"joined", "url"})  # what a job reports when it is in its room
