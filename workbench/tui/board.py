"""Everything the panes draw from, folded from the frames of the stream. No Textual here."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.client.client import Frame
from workbench.model.events import JobEnded, ProcessExited, Sampled
from workbench.model.state import Job, State
from workbench.tui.history import History
from workbench.tui.notes import Note, failed_notes, note_of, notes_of
from workbench.tui.places import Places
from workbench.tui.tuning import Tuning

if TYPE_CHECKING:
    from workbench.client.load.run import LoadRun

NOTES_KEPT = 200
SILENT_FROM_S = 5.0  # measurements come several times a second


@dataclass(slots=True)
class Board:
    """The worker as it was last heard of, and how long ago that was."""

    clock: Callable[[], float]
    title: str = ""
    state: State = field(default_factory=State)
    history: History = field(default_factory=History)
    places: Places = field(default_factory=Places)
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))
    known: bool = False
    stale_since: float | None = None
    stale_why: str = ""
    retry_at: float | None = None  # when it is connected to again
    silent: bool = False  # old because nothing comes, although the stream has not ended
    heard_at: float = 0.0
    ended: bool = False  # the supervisor that this terminal owns is gone
    worker_id: str = ""
    tuning: Tuning = field(default_factory=Tuning)
    load_run: "LoadRun | None" = None  # the present one, or the last
    demo: bool = False  # every job here is for show: none is at risk when the screen closes
    _told: set[str] = field(default_factory=set)  # failed jobs that have a note

    def take(self, frame: Frame) -> None:
        """Fold one frame."""
        self.state, self.known, self.heard_at = frame.state, True, self.clock()
        self.stale_since, self.retry_at, self.silent = None, None, False
        if frame.snapshot:
            self._begin(frame.state)
        if frame.event is not None:
            note = note_of(frame.event, frame.state)
            if note is not None:
                self.notes.append(note)
            if isinstance(frame.event, JobEnded):
                self._told.add(frame.event.id)
        self.places.take(frame.state)
        self.tuning.follow(frame.state.options)
        if isinstance(frame.event, ProcessExited):
            self.places.exited(frame.event)
        self.history.take(frame.state, self.clock(), sampled=isinstance(frame.event, Sampled))

    def lose(self, why: str) -> None:
        """The stream ended: from here on everything shown is old."""
        if self.stale_since is None:
            self.stale_since = self.clock()
        self.stale_why, self.silent = why, False

    def listen(self) -> None:
        """The stream has not ended, but a supervisor that stands still says nothing either."""
        if self.known and self.stale_since is None and self.clock() - self.heard_at >= SILENT_FROM_S:
            self.stale_since, self.stale_why, self.silent = self.heard_at, "the supervisor stands still", True

    def _begin(self, state: State) -> None:
        if state.worker.worker_id != self.worker_id:
            self.worker_id = state.worker.worker_id
            self.places, self.history = Places(), History()
            self.notes.clear()
            self._told.clear()
            self.tuning.forget()
        if not self.notes:
            self.notes.extend(notes_of(state))
        else:  # the stream had a gap: what failed meanwhile is told all the same
            self.notes.extend(failed_notes(state, self._told))
        self._told = {job.id for job in state.jobs.values() if job.status == "failed"}

    # --- reading --------------------------------------------------------------------------------

    def others(self) -> list[Job]:
        """Running jobs that somebody else handed in: what ending the worker would cost."""
        return [job for job in self.state.active_jobs() if not job.own and not self.demo]

    def own_job(self) -> Job | None:
        """The job the workbench itself started, while it runs."""
        return next((job for job in reversed(self.state.active_jobs()) if job.own), None)

    def can_pin(self, job: Job) -> bool:
        """Whether newer code would take the job, or only does not because it is pinned already."""
        return job.active and (job.own or job.pinned or self.state.reload.jobs == "restart")

    def can_admit(self) -> bool:
        """Whether jobs can be taken again: a drain with a deadline is an ending."""
        return self.state.worker.draining and self.state.worker.drain_deadline_at is None

    def idle_target(self) -> int:
        """Idle processes wanted now: fewer where running jobs leave no room."""
        most, wanted = (int(self.state.option(name) or 0) for name in ("max_processes", "num_idle_processes"))
        taken = len(self.state.live("busy")) + len(self.state.live("starting"))
        return max(min(wanted, most - taken), 0)
