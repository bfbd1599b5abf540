"""What the worker's state is made of: one record for each process and job, and one for each side of the worker."""

from dataclasses import dataclass, field
from typing import Any

ENDED = frozenset({"completed", "failed", "cancelled"})
ACTIVE = frozenset({"queued", "starting", "running"})

# The only moves a process may make.
PROCESS_MOVES: dict[str, frozenset[str]] = {
    "starting": frozenset({"idle", "stopping", "dead"}),
    "idle": frozenset({"busy", "stopping", "dead"}),
    "busy": frozenset({"idle", "stopping", "dead"}),
    "stopping": frozenset({"dead"}),
    "dead": frozenset(),
}


class IllegalMove(Exception):
    """A bug of ours: an event that the state's table of moves forbids."""


@dataclass(slots=True)
class Process:
    """One child; `id` is its place in the order of starts, `pid` is 0 until it exists."""

    id: int
    generation: int
    start_method: str
    since: float
    pid: int = 0
    state: str = "starting"
    why: str = ""
    memory_mb: float | None = None
    memory_metric: str = "own pages of the tree"
    cpu: float | None = None
    loop_lag_ms: float | None = None
    heartbeat_age_s: float | None = None
    jobs_done: int = 0
    job_id: str | None = None
    warm_ms: float | None = None
    stalled: bool = False
    stalled_at: float | None = None
    stack: str = ""
    warned_mb: float | None = None

    def move(self, state: str, at: float, why: str = "") -> None:
        """Change the state by the table.

        Raises:
            IllegalMove: the table has no such move.
        """
        if state not in PROCESS_MOVES[self.state]:
            raise IllegalMove(f"process {self.id}: {self.state} -> {state}")
        self.state, self.since, self.why = state, at, why


@dataclass(slots=True)
class Job:
    """One job, from acceptance to its one end."""

    id: str
    room_id: str
    metadata: dict[str, Any]
    queued_at: float
    own: bool = False
    assigned: bool = False  # by a registry
    status: str = "queued"
    reason: str | None = None
    error: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    attempt: int = 0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    generation: int | None = None
    pid: int | None = None
    process_id: int | None = None
    warm: bool | None = None
    started_at: float | None = None
    ended_at: float | None = None
    start_latency_ms: float | None = None
    asked: str | None = None
    pinned: bool = False  # it stays on its generation
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Holds a slot."""
        return self.status in ACTIVE


@dataclass(slots=True)
class Worker:
    """The worker as a whole; `status` and its reason `why` say whether it takes jobs."""

    agent_id: str = ""
    worker_id: str = ""
    version: str = ""
    pid: int = 0
    target: str = ""
    folder: str = ""  # whose workbench.toml and pyproject.toml are read
    socket: str = ""
    url: str = ""
    url_note: str = ""
    started_at: float = 0.0
    start_job: bool = False
    status: str = "starting"
    why: str = "loading the agent"
    status_since: float = 0.0
    draining: bool = False
    drain_why: str = ""
    drain_deadline_at: float | None = None
    stopping: bool = False
    stop_why: str = ""
    degraded: bool = False
    held_until_at: float | None = None
    held_why: str = ""
    held_failures: int = 0
    generation: int = 0
    reserved: int = 0  # slots kept for jobs that were offered


@dataclass(slots=True)
class Load:
    """The last measurements of the whole worker."""

    load: float | None = None
    cpu: float | None = None
    memory_mb: float = 0.0
    supervisor_lag_ms: float = 0.0


UNREGISTERING = "unregistering"  # how the reason of a link begins that is given up after its jobs


@dataclass(slots=True)
class Link:
    """The registry link."""

    state: str = "local"
    why: str = "not registered"
    attempt: int = 0
    retry_at: float | None = None
    url: str = ""
    worker_id: str = ""  # what the registry calls this worker
    undelivered: int = 0  # updates that it has not confirmed
    since: float = 0.0

    @property
    def leaving(self) -> bool:
        """It is up only until the jobs from there have ended, and that is told."""
        return self.state == "connected" and self.why.startswith(UNREGISTERING)


@dataclass(slots=True)
class Reload:
    """The generation that is being made, and the last failure as long as it stands."""

    mode: str = "off"
    jobs: str = "keep"  # what becomes of running jobs: keep, restart
    watched: int = 0
    polling: str = ""  # why saves are looked for, and not heard of
    pending: list[str] = field(default_factory=list)  # saved, and not asked for yet
    suspended: dict[str, str] = field(default_factory=dict)  # files whose saves load nothing, and why
    step: str = "idle"
    detail: str = ""
    generation: int = 0
    changed: list[str] = field(default_factory=list)
    since: float = 0.0
    took_ms: float | None = None
    problem: dict[str, Any] | None = None
    start_method: str = ""
    start_method_why: str = ""
    import_ms: float | None = None
    import_before_ms: float | None = None  # of the generation before
    memory_mb: float | None = None  # resident, of the first process when it was ready
    memory_before_mb: float | None = None
    needs_restart: list[str] = field(default_factory=list)  # options of the file that the running worker cannot take
    layered: bool = False
