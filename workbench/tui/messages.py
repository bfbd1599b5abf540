"""What the parts of the TUI tell each other. Widgets never call the supervisor: they post what is wanted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

from workbench.tui.widgets.logs.store import LogRecord

if TYPE_CHECKING:
    from workbench.client.owner import Ended


@dataclass
class BoardChanged(Message):
    """The board shows something new; with it the log lines that came since the last time."""

    records: list[LogRecord]


@dataclass
class LinkLost(Message):
    """The stream ended; it is tried again on its own."""

    why: str


@dataclass
class SupervisorEnded(Message):
    """The supervisor that this terminal owns is gone."""

    ended: "Ended"


@dataclass
class RoomJoined(Message):
    """The talk pane is in this room."""

    room_id: str


@dataclass
class RoomSaid(Message):
    """Something from the joined room, as it came."""

    news: dict[str, Any]


@dataclass
class RoomLeft(Message):
    """The room's line closed."""

    why: str


@dataclass
class NewJobWanted(Message):
    """Dispatch a job."""


@dataclass
class JobEndWanted(Message):
    """Ask a job to end, or move it down its stop ladder."""

    job_id: str


@dataclass
class KillWanted(Message):
    """Kill a process."""

    pid: int


@dataclass
class ReloadWanted(Message):
    """Load the agent again."""


@dataclass
class DrainWanted(Message):
    """Take no new jobs."""


@dataclass
class AdmitWanted(Message):
    """Take jobs again."""


@dataclass
class SayWanted(Message):
    """Say `text` in the joined room."""

    text: str


@dataclass
class CopyWanted(Message):
    """Copy lines."""

    text: str
    lines: int
