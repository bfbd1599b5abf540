"""What the caller learns when the screen has closed."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How the terminal left the supervisor.

    `reason`: `stopped` (it ended as asked), `ended` (it had ended by itself), `released` (it runs on),
    `detached` (it was never ours), `closed` (this terminal went by a signal). `lines` are to be printed.
    """

    reason: str
    pid: int = 0
    exit_code: int = 0
    lines: list[str] = field(default_factory=list)
