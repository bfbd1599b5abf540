"""What happened, as frozen facts. The supervisor's state is the fold of these, and so is every client's.

Times named `at` are epoch seconds. An event crosses a socket as `{"type": <its class in snake case>, ...}`.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about the worker; `at` is when it became known."""

    at: float
    kind: ClassVar[str] = ""
    registry: ClassVar[dict[str, type["Event"]]] = {}

    def to_json(self) -> dict[str, Any]:
        """The event as it travels."""
        return {"type": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}


def from_json(message: dict[str, Any]) -> Event | None:
    """The event a message stands for; None for a kind this version does not know."""
    made = Event.registry.get(message["type"])
    if made is None:
        return None
    names = {f.name for f in fields(made)}
    return made(**{name: value for name, value in message.items() if name in names})


# --- the worker ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted(Event):
    """The supervisor runs; `url` is None while only the unix socket is open."""

    agent_id: str
    worker_id: str
    version: str
    pid: int
    target: str
    socket: str
    start_job: bool
    reload_jobs: str = "keep"
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """Where the routes can be reached: TCP at `url`, and the unix socket."""

    url: str
    note: str
    socket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionChanged(Event):
    """Whether new jobs are taken: `status` is a contract word, `why` its reason in words."""

    status: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsChanged(Event):
    """The whole table of options: name -> value, default, origin, effect, unit.

    Of a live change also `below` (value and origin without it) and `revert_at`, None where it is not for a time.
    """

    options: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted(Event):
    """No new jobs; `deadline_at` is None when the drain has no end of its own."""

    why: str
    deadline_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainCancelled(Event):
    """Jobs are admitted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStarted(Event):
    """The worker ends: running jobs are on the stop ladder."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHeld(Event):
    """Processes died too fast; the next start waits until `until_at`. `degraded`: the budget is used up."""

    failures: int
    until_at: float
    degraded: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHealed(Event):
    """Processes start and stay again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged(Event):
    """The registry link: `local` when off, else `connecting`, `connected`, `waiting`, `failed`.

    `url` is the registry, `worker_id` what it calls this worker, `undelivered` the updates it has not confirmed.
    """

    state: str
    why: str
    attempt: int
    retry_at: float | None
    url: str = ""
    worker_id: str = ""
    undelivered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkMessageDropped(Event):
    """The registry said something that could not be understood, or that concerns nothing here."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something a person should see once: `level` is a log level name."""

    level: str
    text: str


# --- processes ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpawning(Event):
    """A slot is taken; its process is being made."""

    id: int
    generation: int
    start_method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessForked(Event):
    """The process exists."""

    id: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReady(Event):
    """Loaded, prewarmed and rehearsed in `warm_ms`: it counts as idle."""

    id: int
    warm_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFreed(Event):
    """Its job is over and it takes another."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStopping(Event):
    """It was told to leave, or is leaving after its job."""

    id: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited(Event):
    """Reaped. Exactly one of `exit_code` and `signal` is set, neither when it never came to be."""

    id: int
    exit_code: int | None
    signal: str | None
    why: str
    unexpected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStalled(Event):
    """Its loop has stood still for `age_s`; `stack` names the line when a dump was had."""

    id: int
    age_s: float
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResumed(Event):
    """Its loop turns again after a stall."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCrossed(Event):
    """A process tree grew over `memory_warn_mb`, or again by a tenth of it."""

    id: int
    memory_mb: float
    warn_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled(Event):
    """All measurements of one moment; `processes` maps id -> the figures of a Process."""

    processes: dict[int, dict[str, Any]]
    load: float | None
    cpu: float | None
    memory_mb: float
    supervisor_lag_ms: float
    log_lines: int
    log_lines_dropped: int
    log_lines_kept: int = 0
    log_bytes_cut: int = 0


# --- jobs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueued(Event):
    """Accepted: its slot is taken from here on.

    `own` marks the job the workbench itself started, `assigned` one that a registry gave.
    """

    id: str
    room_id: str
    metadata: dict[str, Any]
    own: bool
    assigned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRefused(Event):
    """Not accepted; `reason` is a contract word."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReserved(Event):
    """A registry offered a job, and was told yes: the slot is kept for so long."""

    id: str
    held_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReleased(Event):
    """A reserved slot is free again: `assigned`, or `expired` and the like when the job never came."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarting(Event):
    """Sent to a process."""

    id: str
    process_id: int
    warm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    """The next thing in that process is the entrypoint's first line."""

    id: str
    attempt: int
    start_latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReported(Event):
    """`ctx.report(**fields)`."""

    id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPinned(Event):
    """Whether the job stays on its generation when newer code is promoted."""

    id: str
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEndAsked(Event):
    """A rung of the stop ladder: `end`, `cancel`, `terminate`, `kill`."""

    id: str
    rung: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequeued(Event):
    """It waits for another process: after a launch that never began, or (`reloaded`) to run on new code."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(Event):
    """Once and for ever. `status` and `reason` are contract words."""

    id: str
    status: str
    reason: str
    error: str | None
    exit_code: int | None
    signal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateReport(Event):
    """News of a job that has ended, or of an earlier attempt, or a request to end such a job: it changes nothing."""

    id: str
    text: str


# --- code ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadStarted(Event):
    """A new generation is loading beside the running one (or is the first)."""

    generation: int
    changed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadStep(Event):
    """Where the new generation stands: `loading`, `warming`; `detail` may name the line an import waits at."""

    generation: int
    step: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadDone(Event):
    """The new generation serves.

    `import_ms` is the time that loading the file took, `memory_mb` the resident memory of its first process;
    `needs_restart` names options whose new value in the file has no effect before a restart; `layered`: its zygote
    was forked from a base that had imported the libraries already.
    """

    generation: int
    took_ms: float
    start_method: str
    start_method_why: str
    import_ms: float = 0.0
    memory_mb: float = 0.0
    needs_restart: list[str] = field(default_factory=list)
    layered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadFailed(Event):
    """The new generation cannot serve. `problem` is a Problem as JSON (see `agent/problem`).

    `serving` is the generation that serves instead, 0 if there is none. It may have served before the failed one
    did: one whose processes die as soon as they are ready is rolled back.
    """

    generation: int
    problem: dict[str, Any]
    serving: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadIdle(Event):
    """What is watched for saves: `mode` is auto, manual or off. `polling` says why the kernel cannot tell of them."""

    mode: str
    watched: int
    polling: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadPending(Event):
    """Files were saved that no generation has loaded: they wait for somebody to ask for it. Replaces the last."""

    changed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadSuspended(Event):
    """Saves of these files load nothing any more: name to reason, of all of them. Replaces the last."""

    files: dict[str, str]


for _cls in Event.__subclasses__():
    _cls.kind = re.sub(r"(?<!^)(?=[A-Z])", "_", _cls.__name__).lower()
    Event.registry[_cls.kind] = _cls
