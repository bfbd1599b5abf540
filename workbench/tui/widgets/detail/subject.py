"""The process that the detail is about, and what is known of it."""

from dataclasses import dataclass, field
from typing import Any

from workbench.model.state import Job, Process
from workbench.tui.board import Board
from workbench.tui.places import Place

OLD_S = 3.0


@dataclass(slots=True)
class Subject:
    """A process in its place, also when it has ended; `told` is the last answer about it, of the moment `told_at`."""

    board: Board
    place: Place
    last: Process
    told: dict[str, Any] | None = None
    told_at: float = 0.0
    trouble: str = ""  # why there is no newer answer
    worker_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.worker_id = self.board.worker_id

    @property
    def process(self) -> Process | None:
        """The process while it lives: what keys act on."""
        if self.board.worker_id != self.worker_id:
            return None  # the numbers of another worker are of other processes
        return self.board.state.processes.get(self.last.id)

    @property
    def job(self) -> Job | None:
        """The job that runs in it."""
        process = self.process
        return self.board.state.jobs.get(process.job_id or "") if process is not None else None

    @property
    def shown(self) -> Process:
        """The process, or what was last known of it."""
        self.last = self.process or self.last
        return self.last

    @property
    def end(self) -> dict[str, Any] | None:
        """How it ended, by the answer or by the event; None while it lives."""
        told: dict[str, Any] | None = (self.told or {}).get("ended")
        if told is None and self.place.end is not None and self.place.end.id == self.last.id:
            end = self.place.end
            return {"at": end.at, "exit_code": end.exit_code, "signal": end.signal, "why": end.why}
        return told

    @property
    def finished(self) -> bool:
        """Nothing about it will change any more, and all of it is known."""
        return self.told is not None and self.told.get("ended") is not None

    @property
    def old(self) -> bool:
        """What is shown is not of now."""
        if self.finished or self.told is None:
            return False
        return self.board.stale_since is not None or self.board.clock() - self.told_at > OLD_S

    def get(self, name: str) -> Any:
        """A field of the answer; None when there is none yet."""
        return (self.told or {}).get(name)
