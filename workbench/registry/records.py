"""What the registry knows of a job and of a worker, and how both are shown."""

from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from workbench.model.jsontext import dump

WAITING = frozenset({"queued", "offered"})  # no worker has it
HELD = frozenset({"assigned", "running", "unknown"})  # one worker has it, as far as is known
ENDED = frozenset({"completed", "failed", "cancelled"})
STATUSES = (*sorted(WAITING), *sorted(HELD), *sorted(ENDED))
MOST_NOTES = 10
MOST_KEPT = 4096  # bytes of an ended job's metadata
NEVER = float("inf")


@dataclass(slots=True)
class Attempt:
    """One assignment of a job. `reason` is why it was over: an end's, `rejected` or `lost` when it never started."""

    attempt: int
    worker_id: str
    assigned_at: float
    started_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None


@dataclass(slots=True)
class Job:
    """A job. Times that end in `_at` are epoch seconds, the others are the monotonic clock's.

    Attributes:
        deadline: until when it may wait for a worker; None: it does not wait.
        clocked: the deadline that has its appointment.
        passed: workers that refused it, and until when they are not asked again.
        told: whoever dispatched it has his answer.
        spoken_of: its worker has said a word of it: it may have begun there.
        offer: the number of its last offer.
        end_asked: somebody wants it to end.
    """

    id: str
    agent_name: str
    room_id: str
    queued_at: float
    metadata: dict[str, Any] = field(default_factory=dict)
    room_options: dict[str, Any] | None = None
    token: str | None = None
    status: str = "queued"
    reason: str | None = None
    error: str | None = None
    worker_id: str | None = None
    attempt: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    assigned_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    unknown_since: float | None = None
    notes: list[str] = field(default_factory=list)
    deadline: float | None = None
    clocked: float | None = None
    passed: dict[str, float] = field(default_factory=dict)
    told: bool = False
    spoken_of: bool = False
    offer: int = 0
    end_asked: bool = False
    began: float = 0.0

    @property
    def ended(self) -> bool:
        """For ever."""
        return self.status in ENDED

    def note(self, text: str) -> None:
        """Words for whoever looks at it."""
        if len(self.notes) < MOST_NOTES and text not in self.notes:
            self.notes.append(text)

    def lighten(self) -> None:
        """It has ended, and is kept with thousands of others: without what only a worker needs."""
        self.token = None
        self.passed.clear()
        self.room_options = dict.fromkeys(self.room_options or ())
        size = len(dump(self.metadata)) if self.metadata else 0
        if size > MOST_KEPT:
            self.metadata = {}
            self.note(f"its metadata of {size / 1024:.1f} KB is not kept after its end")

    def to_json(self) -> dict[str, Any]:
        """As it is shown: without its token, and of its room's options only the names."""
        return {
            "id": self.id,
            "agent_name": self.agent_name,
            "room_id": self.room_id,
            "metadata": self.metadata,
            "room_options": sorted(self.room_options or ()),
            "status": self.status,
            "reason": self.reason,
            "error": self.error,
            "worker_id": self.worker_id,
            "attempt": self.attempt,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "queued_at": self.queued_at,
            "assigned_at": self.assigned_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "unknown_since": self.unknown_since,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class Worker:
    """A worker, also one whose link is down for the moment.

    Attributes:
        status: `joining` (it has not told yet which jobs it has), `available`, `draining` or `offline`.
        ours: it keeps its word (see `model.wire`); others are VideoSDK's own.
        link: the number of its connection; None while it has none.
        room: jobs that it takes at once.
        jobs: those that it was offered or has: each takes a slot.
        strays: jobs that run there although they are settled otherwise; they take slots, too.
        hidden: jobs beyond these that it counted when it last told.
        reported: it has told which jobs it has, since it registered.
        closed_until: it refused for a reason that holds for every job.
        silences: offers in a row that it did not answer; it is asked again at mute_until.
        gone: the number of the last loss of its link, among those of all workers.
        excess: status updates in a row in which it counted more jobs than there are.
    """

    id: str
    agent_name: str
    ours: bool
    address: str
    registered_at: float
    last_seen_at: float
    max_processes: int = 1
    room: int = 1
    load_threshold: float | None = None
    link: int | None = None
    status: str = "available"
    load: float | None = None
    load_told: float = -NEVER
    job_count: int | None = None
    draining: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)
    hidden: int = 0
    reported: bool = False
    closed_until: float = -NEVER
    silences: int = 0
    mute_until: float = -NEVER
    last_offer: int = 0
    last_end: float = -NEVER
    gone: int = 0
    excess: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Whose program it is."""
        return "workbench" if self.ours else "videosdk"

    def find_room(self) -> None:
        """How many jobs it takes at once: VideoSDK's refuse from a share of busy slots on."""
        self.room = self.max_processes
        if not self.ours and self.load_threshold is not None:
            share = max(0.0, min(self.load_threshold, 1.0))
            self.room = ceil(share * self.max_processes - 1e-9)

    @property
    def used(self) -> int:
        """Slots that are taken, by the registry's own count from the offer on."""
        return len(self.jobs) + len(self.strays) + self.hidden

    def note(self, text: str) -> None:
        """Words for whoever looks at it."""
        if len(self.notes) < MOST_NOTES and text not in self.notes:
            self.notes.append(text)

    def to_json(self) -> dict[str, Any]:
        """As it is shown."""
        return {
            "id": self.id,
            "agent_name": self.agent_name,
            "kind": self.kind,
            "status": "draining" if self.draining and self.status == "available" else self.status,
            "connected": self.link is not None,
            "draining": self.draining,
            "address": self.address,
            "load": self.load,
            "load_threshold": self.load_threshold,
            "max_processes": self.max_processes,
            "slots_used": self.used,
            "job_count": self.job_count,
            "jobs": list(self.jobs),
            "registered_at": self.registered_at,
            "last_seen_at": self.last_seen_at,
            "notes": list(self.notes),
        }
