"""Everything that the registry's panes draw from, folded from the frames of its stream. No Textual here."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.client.registry_watch import Change, RegistryFrame, Seen, SeenWorker
from workbench.tui.notes import Note
from workbench.tui.registry.notes import counted, job_note, notes_of, registry_note, worker_note

NOTES_KEPT = 200
TREND_KEPT = 120  # one a second
RATE_S = 10.0


@dataclass(slots=True)
class RegistryBoard:
    """The registry as it was last heard of, and how long ago that was."""

    clock: Callable[[], float]
    title: str = ""
    seen: Seen = field(default_factory=Seen)
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))
    known: bool = False
    stale_since: float | None = None
    stale_why: str = ""
    retry_at: float | None = None  # when it is connected to again
    slots_trend: deque[float] = field(default_factory=lambda: deque(maxlen=TREND_KEPT))
    rate_trend: deque[float] = field(default_factory=lambda: deque(maxlen=TREND_KEPT))
    _ahead_s: float = 0.0  # how far the registry's clock is ahead of ours
    _taken: deque[tuple[float, int]] = field(default_factory=deque)  # when, and jobs until then
    _kept_at: float = 0.0
    _ending: bool = False
    _lost_at: dict[str, float] = field(default_factory=dict)  # when a worker was seen to be lost
    _counters: dict[str, int] = field(default_factory=dict)

    def take(self, frame: RegistryFrame) -> None:
        """Fold one frame."""
        if frame.snapshot:
            self._begin(frame.seen)
        self.seen, self.known = frame.seen, True
        self._ahead_s = frame.seen.at - self.clock()
        self.stale_since, self.retry_at = None, None
        if frame.seen.about.ending and not self._ending:
            self.notes.append(Note(frame.seen.at, "warn", "the registry is ending: jobs go on at their workers"))
        self._ending = frame.seen.about.ending
        for change in frame.changes:
            self._lost(change)
            note = worker_note(change, frame.seen) or job_note(change, frame.seen)
            if note is not None:
                self.notes.append(note)
        self.notes.extend(counted(self._counters, frame.seen))
        self._counters = frame.seen.counters
        self._count()

    def _begin(self, seen: Seen) -> None:
        """A snapshot: the first, one of the same registry after a gap, or one of a registry that began since."""
        another = (self.seen.about.pid, self.seen.about.started_at) != (seen.about.pid, seen.about.started_at)
        if not self.known:
            self.notes.extend(notes_of(seen))
        elif self.stale_since is not None:
            self.notes.append(registry_note(seen, another))
        if another:
            self._taken.clear()
            self._counters = seen.counters

    def lose(self, why: str) -> None:
        """The stream ended: from here on everything shown is old."""
        if self.stale_since is None:
            self.stale_since = self.clock()
            if self.known:
                self.notes.append(Note(self.stale_since, "bad", f"the registry is lost: {why}"))
        self.stale_why = why

    def tick(self) -> None:
        """Keep what the trends show: once a second, while anything is known."""
        now = self.clock()
        if not self.known or self.stale_since is not None or now - self._kept_at < 1.0:
            return
        self._kept_at = now
        used, most = self.seen.slots
        self.slots_trend.append(used / most if most else 0.0)
        self.rate_trend.append(self.rate())

    # --- reading --------------------------------------------------------------------------------

    def now(self) -> float:
        """The registry's time; of what is old, the moment at which it was true."""
        return (self.clock() if self.stale_since is None else self.stale_since) + self._ahead_s

    def rate(self) -> float:
        """Jobs taken in a second, over the last 10 s."""
        self._forget_before(self.clock() - RATE_S)
        return (self._taken[-1][1] - self._taken[0][1]) / RATE_S if self._taken else 0.0

    def lost_for(self, worker: SeenWorker) -> float:
        """Seconds for which its link is down, as far as it is known."""
        told = (job.unknown_since for id in worker.jobs if (job := self.seen.jobs.get(id)) and job.unknown_since)
        return self.now() - min(told, default=self._lost_at.get(worker.id, worker.last_seen_at))

    def _lost(self, change: Change) -> None:
        before, after = change
        if isinstance(after, SeenWorker) and not after.connected:
            self._lost_at.setdefault(after.id, self.seen.at)
        elif isinstance(before or after, SeenWorker):
            self._lost_at.pop((after or before).id, None)  # type: ignore[union-attr]

    def _count(self) -> None:
        total = self.seen.about.jobs_active + self.seen.about.jobs_ended
        self._taken.append((self.clock(), total))

    def _forget_before(self, start: float) -> None:
        """All but the last count before that moment."""
        while len(self._taken) > 1 and self._taken[1][0] <= start:
            self._taken.popleft()
