"""The worker's state: what the supervisor, the TUI and a replay fold from the same events with this code."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from workbench.model import events as ev

ENDED_JOBS_KEPT = 1000
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
    memory_metric: str = "rss - shared with zygote"
    cpu: float | None = None
    loop_lag_ms: float | None = None
    heartbeat_age_s: float | None = None
    jobs_done: int = 0
    job_id: str | None = None
    warm_ms: float | None = None
    stalled: bool = False
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
    degraded: bool = False
    held_until_at: float | None = None
    held_why: str = ""
    generation: int = 0


@dataclass(slots=True)
class Load:
    """The last measurements of the whole worker."""

    load: float | None = None
    cpu: float | None = None
    memory_mb: float = 0.0
    supervisor_lag_ms: float = 0.0


@dataclass(slots=True)
class Link:
    """The registry link."""

    state: str = "local"
    why: str = "not registered"
    attempt: int = 0
    retry_at: float | None = None


@dataclass(slots=True)
class Reload:
    """The generation that is being made, and the last failure as long as it stands."""

    mode: str = "off"
    watched: int = 0
    step: str = "idle"
    detail: str = ""
    generation: int = 0
    changed: list[str] = field(default_factory=list)
    since: float = 0.0
    took_ms: float | None = None
    problem: dict[str, Any] | None = None
    start_method: str = ""
    start_method_why: str = ""


E_ = TypeVar("E_", bound=ev.Event)


@dataclass(slots=True)
class State:
    """Everything an outsider may know. `apply` is the only way it changes."""

    seq: int = 0
    worker: Worker = field(default_factory=Worker)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    link: Link = field(default_factory=Link)
    reload: Reload = field(default_factory=Reload)
    counters: Counter[str] = field(default_factory=Counter)

    def apply(self, event: ev.Event) -> None:
        """Fold one event into the state."""
        self.seq += 1
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    # --- reading --------------------------------------------------------------------------------

    def active_jobs(self) -> list[Job]:
        """Jobs that hold a slot, oldest first."""
        return [job for job in self.jobs.values() if job.active]

    def live(self, *states: str) -> list[Process]:
        """Processes in any of `states`."""
        return [process for process in self.processes.values() if process.state in states]

    def option(self, name: str) -> Any:
        """The value of an option as shown."""
        return self.options[name]["value"] if name in self.options else None

    def to_json(self) -> dict[str, Any]:
        """The snapshot that `GET /stats` answers."""
        return {
            "seq": self.seq,
            "worker": asdict(self.worker),
            "options": self.options,
            "processes": [asdict(p) for p in self.processes.values()],
            "jobs": [asdict(j) for j in reversed(self.jobs.values())],
            "load": asdict(self.load),
            "link": asdict(self.link),
            "reload": asdict(self.reload),
            "counters": dict(self.counters),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "State":
        """The state a snapshot stands for; unknown fields are left out."""
        return cls(
            seq=data["seq"],
            worker=_make(Worker, data["worker"]),
            options=data["options"],
            processes={p["id"]: _make(Process, p) for p in data["processes"]},
            jobs={j["id"]: _make(Job, j) for j in reversed(data["jobs"])},
            load=_make(Load, data["load"]),
            link=_make(Link, data["link"]),
            reload=_make(Reload, data["reload"]),
            counters=Counter(data["counters"]),
        )


M_ = TypeVar("M_")


def _make(cls: type[M_], data: dict[str, Any]) -> M_:
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]  # every caller hands in a dataclass
    return cls(**{name: value for name, value in data.items() if name in names})


_HANDLERS: dict[type[ev.Event], Callable[[State, Any], None]] = {}


def _on(kind: type[E_]) -> Callable[[Callable[[State, E_], None]], Callable[[State, E_], None]]:
    def register(handler: Callable[[State, E_], None]) -> Callable[[State, E_], None]:
        _HANDLERS[kind] = handler
        return handler

    return register


# --- the worker ---------------------------------------------------------------------------------


@_on(ev.WorkerStarted)
def _worker_started(state: State, event: ev.WorkerStarted) -> None:
    worker = state.worker
    worker.agent_id, worker.worker_id, worker.version = event.agent_id, event.worker_id, event.version
    worker.pid, worker.target, worker.socket = event.pid, event.target, event.socket
    worker.started_at = worker.status_since = event.at
    worker.start_job = event.start_job


@_on(ev.Listening)
def _listening(state: State, event: ev.Listening) -> None:
    state.worker.url, state.worker.url_note, state.worker.socket = event.url, event.note, event.socket


@_on(ev.AdmissionChanged)
def _admission_changed(state: State, event: ev.AdmissionChanged) -> None:
    worker = state.worker
    if worker.status != event.status:
        worker.status_since = event.at
        state.counters[f"admission_{event.status}"] += 1
    worker.status, worker.why = event.status, event.why


@_on(ev.OptionsChanged)
def _options_changed(state: State, event: ev.OptionsChanged) -> None:
    state.options = event.options
    state.worker.agent_id = event.options["agent_id"]["value"]


@_on(ev.DrainStarted)
def _drain_started(state: State, event: ev.DrainStarted) -> None:
    worker = state.worker
    worker.draining, worker.drain_why, worker.drain_deadline_at = True, event.why, event.deadline_at


@_on(ev.DrainCancelled)
def _drain_cancelled(state: State, event: ev.DrainCancelled) -> None:
    worker = state.worker
    worker.draining, worker.drain_why, worker.drain_deadline_at = False, "", None


@_on(ev.StopStarted)
def _stop_started(state: State, event: ev.StopStarted) -> None:
    state.worker.stopping = True


@_on(ev.PoolHeld)
def _pool_held(state: State, event: ev.PoolHeld) -> None:
    worker = state.worker
    worker.degraded, worker.held_until_at, worker.held_why = event.degraded, event.until_at, event.why
    state.counters["pool_held"] += 1


@_on(ev.PoolHealed)
def _pool_healed(state: State, event: ev.PoolHealed) -> None:
    worker = state.worker
    worker.degraded, worker.held_until_at, worker.held_why = False, None, ""


@_on(ev.LinkChanged)
def _link_changed(state: State, event: ev.LinkChanged) -> None:
    state.link = Link(event.state, event.why, event.attempt, event.retry_at)


# --- processes ----------------------------------------------------------------------------------


@_on(ev.ProcessSpawning)
def _process_spawning(state: State, event: ev.ProcessSpawning) -> None:
    state.processes[event.id] = Process(event.id, event.generation, event.start_method, event.at)
    state.counters["processes_started"] += 1


@_on(ev.ProcessForked)
def _process_forked(state: State, event: ev.ProcessForked) -> None:
    state.processes[event.id].pid = event.pid


@_on(ev.ProcessReady)
def _process_ready(state: State, event: ev.ProcessReady) -> None:
    process = state.processes[event.id]
    process.move("idle", event.at)
    process.warm_ms = event.warm_ms


@_on(ev.ProcessFreed)
def _process_freed(state: State, event: ev.ProcessFreed) -> None:
    process = state.processes[event.id]
    process.move("idle", event.at)
    process.job_id = None


@_on(ev.ProcessStopping)
def _process_stopping(state: State, event: ev.ProcessStopping) -> None:
    state.processes[event.id].move("stopping", event.at, event.why)


@_on(ev.ProcessExited)
def _process_exited(state: State, event: ev.ProcessExited) -> None:
    process = state.processes.pop(event.id)
    process.move("dead", event.at, event.why)
    state.counters["processes_exited"] += 1
    if event.unexpected:
        state.counters["processes_died"] += 1


@_on(ev.ProcessStalled)
def _process_stalled(state: State, event: ev.ProcessStalled) -> None:
    process = state.processes[event.id]
    if not process.stalled:
        state.counters["stalls"] += 1
    process.stalled, process.stack = True, event.stack or process.stack


@_on(ev.ProcessResumed)
def _process_resumed(state: State, event: ev.ProcessResumed) -> None:
    state.processes[event.id].stalled = False


@_on(ev.MemoryCrossed)
def _memory_crossed(state: State, event: ev.MemoryCrossed) -> None:
    state.processes[event.id].warned_mb = event.memory_mb
    state.counters["memory_warnings"] += 1


@_on(ev.Sampled)
def _sampled(state: State, event: ev.Sampled) -> None:
    state.load = Load(event.load, event.cpu, event.memory_mb, event.supervisor_lag_ms)
    state.counters["log_lines"] = event.log_lines
    state.counters["log_lines_dropped"] = event.log_lines_dropped
    for key, figures in event.processes.items():
        process = state.processes.get(int(key))
        if process is not None:
            for name, value in figures.items():
                setattr(process, name, value)


# --- jobs ---------------------------------------------------------------------------------------


@_on(ev.JobQueued)
def _job_queued(state: State, event: ev.JobQueued) -> None:
    state.jobs[event.id] = Job(event.id, event.room_id, event.metadata, event.at, event.own)
    state.counters["jobs_accepted"] += 1


@_on(ev.JobRefused)
def _job_refused(state: State, event: ev.JobRefused) -> None:
    state.counters["jobs_refused"] += 1
    state.counters[f"jobs_refused_{event.reason}"] += 1


@_on(ev.JobStarting)
def _job_starting(state: State, event: ev.JobStarting) -> None:
    job, process = state.jobs[event.id], state.processes[event.process_id]
    process.move("busy", event.at)
    process.job_id = job.id
    job.status, job.warm = "starting", event.warm
    job.process_id, job.pid, job.generation = process.id, process.pid, process.generation


@_on(ev.JobStarted)
def _job_started(state: State, event: ev.JobStarted) -> None:
    job = state.jobs[event.id]
    job.status, job.attempt, job.started_at = "running", event.attempt, event.at
    job.start_latency_ms = event.start_latency_ms
    job.attempts.append(
        {
            "attempt": event.attempt,
            "generation": job.generation,
            "pid": job.pid,
            "started_at": event.at,
            "ended_at": None,
            "reason": None,
        }
    )


@_on(ev.JobReported)
def _job_reported(state: State, event: ev.JobReported) -> None:
    state.jobs[event.id].report.update(event.fields)


@_on(ev.JobEndAsked)
def _job_end_asked(state: State, event: ev.JobEndAsked) -> None:
    state.jobs[event.id].asked = event.rung


@_on(ev.JobRequeued)
def _job_requeued(state: State, event: ev.JobRequeued) -> None:
    job = state.jobs[event.id]
    _close_attempt(job, event.reason, event.at)
    job.status, job.asked = "queued", None
    job.process_id = job.pid = job.generation = job.warm = None
    state.counters["jobs_requeued"] += 1


@_on(ev.JobEnded)
def _job_ended(state: State, event: ev.JobEnded) -> None:
    job = state.jobs[event.id]
    if not job.active:
        raise IllegalMove(f"job {job.id} has ended as {job.status} already")
    _close_attempt(job, event.reason, event.at)
    job.status, job.reason, job.error = event.status, event.reason, event.error
    job.exit_code, job.signal, job.ended_at = event.exit_code, event.signal, event.at
    state.counters[f"jobs_{event.status}"] += 1
    process = state.processes.get(job.process_id or 0)
    if process is not None and process.job_id == job.id:
        process.jobs_done += 1
    _forget_oldest(state)


@_on(ev.LateReport)
def _late_report(state: State, event: ev.LateReport) -> None:
    state.counters["late_reports"] += 1


def _close_attempt(job: Job, reason: str, at: float) -> None:
    if job.attempts and job.attempts[-1]["ended_at"] is None:
        job.attempts[-1].update(ended_at=at, reason=reason)


def _forget_oldest(state: State) -> None:
    state.counters["jobs_ended_kept"] += 1
    if state.counters["jobs_ended_kept"] > ENDED_JOBS_KEPT:
        oldest = next(job.id for job in state.jobs.values() if not job.active)
        del state.jobs[oldest]
        state.counters["jobs_ended_kept"] -= 1


# --- code ---------------------------------------------------------------------------------------


@_on(ev.ReloadStarted)
def _reload_started(state: State, event: ev.ReloadStarted) -> None:
    reload = state.reload
    reload.step, reload.detail, reload.since = "loading", "", event.at
    reload.generation, reload.changed = event.generation, event.changed


@_on(ev.ReloadStep)
def _reload_step(state: State, event: ev.ReloadStep) -> None:
    state.reload.step, state.reload.detail = event.step, event.detail


@_on(ev.ReloadDone)
def _reload_done(state: State, event: ev.ReloadDone) -> None:
    reload = state.reload
    reload.step, reload.detail, reload.problem, reload.since = "idle", "", None, event.at
    reload.took_ms = event.took_ms
    reload.start_method, reload.start_method_why = event.start_method, event.start_method_why
    state.worker.generation = event.generation
    state.counters["reloads_done"] += 1


@_on(ev.ReloadFailed)
def _reload_failed(state: State, event: ev.ReloadFailed) -> None:
    reload = state.reload
    reload.step, reload.detail, reload.problem, reload.since = "failed", "", event.problem, event.at
    state.counters["reloads_failed"] += 1


@_on(ev.ReloadIdle)
def _reload_idle(state: State, event: ev.ReloadIdle) -> None:
    state.reload.mode, state.reload.watched = event.mode, event.watched
