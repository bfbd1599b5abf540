"""What the parts of the TUI tell each other. Widgets never call the supervisor: they post what is wanted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from textual.message import Message

from workbench.tui.widgets.logs.store import LogRecord
from workbench.tui.widgets.logs.tracebacks import Frame

if TYPE_CHECKING:
    from workbench.client.load.plan import Plan
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
    """The room of this job is joined."""

    job_id: str


@dataclass
class RoomSaid(Message):
    """Something from a joined room, as it came."""

    job_id: str
    news: dict[str, Any]


@dataclass
class RoomLeft(Message):
    """The room's line closed."""

    job_id: str


@dataclass
class RoomLook(Message):
    """Show the conversation with this job."""

    job_id: str


@dataclass
class RoomCloseWanted(Message):
    """Leave the room of this job and forget what was said there."""

    job_id: str


@dataclass
class SayWanted(Message):
    """Say `text` in the room of this job."""

    job_id: str
    text: str


@dataclass
class SayAgainWanted(Message):
    """Say what was said before again."""


@dataclass
class SayAgainStopped(Message):
    """Say no more of it."""


@dataclass
class CopyWanted(Message):
    """Copy lines."""

    text: str
    lines: int


@dataclass
class DetailWanted(Message):
    """Fetch everything about a process."""

    pid: int


@dataclass
class StackWanted(Message):
    """Have a process dump its stack now."""

    pid: int


@dataclass
class ExportWanted(Message):
    """Write lines to a file."""

    lines: list[str]


@dataclass
class OpenWanted(Message):
    """Open a place in an editor; without one, or without an editor, the lines in a pager."""

    place: Frame | None
    lines: list[str]


@dataclass
class TellWanted(Message):
    """Tell the user something in passing."""

    words: str


@dataclass
class PaneWanted(Message):
    """Go to a pane."""

    name: str


@dataclass
class PendingChanged(Message):
    """Values are tried that are not applied yet, or no more: the gauges show their marks."""


@dataclass
class TuneWanted(Message):
    """Apply what is pending (for a time), undo what was applied last, copy it as code, or save it."""

    what: Literal["apply", "undo", "copy", "save"]
    for_s: float | None = None


@dataclass
class PourWanted(Message):
    """A key or a field of the load pane wants its jobs poured in; the pane reads the fields."""


@dataclass
class FieldsLeft(Message):
    """Esc was pressed in a field of the load pane."""


@dataclass
class LoadWanted(Message):
    """Pour jobs into the worker."""

    plan: "Plan"


@dataclass
class LoadEndWanted(Message):
    """No more of them; those that run are to end."""
