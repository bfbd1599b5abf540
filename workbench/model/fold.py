"""How each event changes the state: one function for each."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.model import events as ev
from workbench.model.records import IllegalMove, Job, Link, Load, Process

if TYPE_CHECKING:
    from workbench.model.state import State

ENDED_JOBS_KEPT = 1000
E_ = TypeVar("E_", bound=ev.Event)

HANDLERS: dict[type[ev.Event], "Callable[[State, Any], None]"] = {}


def _on(kind: type[E_]) -> "Callable[[Callable[[State, E_], None]], Callable[[State, E_], None]]":
    def register(handler: "Callable[[State, E_], None]") -> "Callable[[State, E_], None]":
        HANDLERS[kind] = handler
        return handler

    return register


# --- the worker ---------------------------------------------------------------------------------


@_on(ev.WorkerStarted)
def _worker_started(state: "State", event: ev.WorkerStarted) -> None:
    worker = state.worker
    worker.agent_id, worker.worker_id, worker.version = event.agent_id, event.worker_id, event.version
    worker.pid, worker.target, worker.socket = event.pid, event.target, event.socket
    worker.started_at = worker.status_since = event.at
    worker.start_job, worker.folder = event.start_job, event.folder
    state.reload.jobs = event.reload_jobs


@_on(ev.Listening)
def _listening(state: "State", event: ev.Listening) -> None:
    state.worker.url, state.worker.url_note, state.worker.socket = event.url, event.note, event.socket


@_on(ev.AdmissionChanged)
def _admission_changed(state: "State", event: ev.AdmissionChanged) -> None:
    worker = state.worker
    if worker.status != event.status:
        worker.status_since = event.at
        state.counters[f"admission_{event.status}"] += 1
    worker.status, worker.why = event.status, event.why


@_on(ev.OptionsChanged)
def _options_changed(state: "State", event: ev.OptionsChanged) -> None:
    state.options = event.options
    state.worker.agent_id = event.options["agent_id"]["value"]


@_on(ev.DrainStarted)
def _drain_started(state: "State", event: ev.DrainStarted) -> None:
    worker = state.worker
    worker.draining, worker.drain_why, worker.drain_deadline_at = True, event.why, event.deadline_at


@_on(ev.DrainCancelled)
def _drain_cancelled(state: "State", event: ev.DrainCancelled) -> None:
    worker = state.worker
    worker.draining, worker.drain_why, worker.drain_deadline_at = False, "", None


@_on(ev.StopStarted)
def _stop_started(state: "State", event: ev.StopStarted) -> None:
    state.worker.stopping, state.worker.stop_why = True, event.why


@_on(ev.PoolHeld)
def _pool_held(state: "State", event: ev.PoolHeld) -> None:
    worker = state.worker
    worker.degraded, worker.held_until_at, worker.held_why = event.degraded, event.until_at, event.why
    worker.held_failures = event.failures
    state.counters["pool_held"] += 1


@_on(ev.PoolHealed)
def _pool_healed(state: "State", event: ev.PoolHealed) -> None:
    worker = state.worker
    worker.degraded, worker.held_until_at, worker.held_why, worker.held_failures = False, None, "", 0


@_on(ev.LinkChanged)
def _link_changed(state: "State", event: ev.LinkChanged) -> None:
    since = state.link.since if state.link.state == event.state else event.at
    state.link = Link(
        event.state, event.why, event.attempt, event.retry_at, event.url, event.worker_id, event.undelivered, since
    )


@_on(ev.LinkMessageDropped)
def _link_message_dropped(state: "State", event: ev.LinkMessageDropped) -> None:
    state.counters["link_messages_dropped"] += 1


# --- processes ----------------------------------------------------------------------------------


@_on(ev.ProcessSpawning)
def _process_spawning(state: "State", event: ev.ProcessSpawning) -> None:
    state.processes[event.id] = Process(event.id, event.generation, event.start_method, event.at)
    state.counters["processes_started"] += 1


@_on(ev.ProcessForked)
def _process_forked(state: "State", event: ev.ProcessForked) -> None:
    state.processes[event.id].pid = event.pid


@_on(ev.ProcessReady)
def _process_ready(state: "State", event: ev.ProcessReady) -> None:
    process = state.processes[event.id]
    process.move("idle", event.at)
    process.warm_ms = event.warm_ms


@_on(ev.ProcessFreed)
def _process_freed(state: "State", event: ev.ProcessFreed) -> None:
    process = state.processes[event.id]
    process.move("idle", event.at)
    process.job_id = None


@_on(ev.ProcessStopping)
def _process_stopping(state: "State", event: ev.ProcessStopping) -> None:
    state.processes[event.id].move("stopping", event.at, event.why)


@_on(ev.ProcessExited)
def _process_exited(state: "State", event: ev.ProcessExited) -> None:
    process = state.processes.pop(event.id)
    process.move("dead", event.at, event.why)
    state.counters["processes_exited"] += 1
    if event.unexpected:
        state.counters["processes_died"] += 1


@_on(ev.ProcessStalled)
def _process_stalled(state: "State", event: ev.ProcessStalled) -> None:
    process = state.processes[event.id]
    if not process.stalled:
        state.counters["stalls"] += 1
        process.stack = ""  # where it stood the last time says nothing of this one
        process.stalled_at = event.at - event.age_s
    process.stalled, process.stack = True, event.stack or process.stack


@_on(ev.ProcessResumed)
def _process_resumed(state: "State", event: ev.ProcessResumed) -> None:
    state.processes[event.id].stalled = False


@_on(ev.MemoryCrossed)
def _memory_crossed(state: "State", event: ev.MemoryCrossed) -> None:
    state.processes[event.id].warned_mb = event.memory_mb
    state.counters["memory_warnings"] += 1


@_on(ev.Sampled)
def _sampled(state: "State", event: ev.Sampled) -> None:
    state.load = Load(event.load, event.cpu, event.memory_mb, event.supervisor_lag_ms)
    state.counters["log_lines"] = event.log_lines
    state.counters["log_lines_dropped"] = event.log_lines_dropped
    state.counters["log_lines_kept"] = event.log_lines_kept
    state.counters["log_bytes_cut"] = event.log_bytes_cut
    for key, figures in event.processes.items():
        process = state.processes.get(int(key))
        if process is not None:
            for name, value in figures.items():
                setattr(process, name, value)


# --- jobs ---------------------------------------------------------------------------------------


@_on(ev.JobQueued)
def _job_queued(state: "State", event: ev.JobQueued) -> None:
    job = Job(event.id, event.room_id, event.metadata, event.at, event.own, event.assigned)
    state.jobs[event.id] = state._active[event.id] = job
    state.counters["jobs_accepted"] += 1


@_on(ev.JobRefused)
def _job_refused(state: "State", event: ev.JobRefused) -> None:
    state.counters["jobs_refused"] += 1
    state.counters[f"jobs_refused_{event.reason}"] += 1


@_on(ev.SlotReserved)
def _slot_reserved(state: "State", event: ev.SlotReserved) -> None:
    state.worker.reserved += 1
    state.counters["offers_accepted"] += 1


@_on(ev.SlotReleased)
def _slot_released(state: "State", event: ev.SlotReleased) -> None:
    state.worker.reserved -= 1
    if event.why != "assigned":
        state.counters[f"reservations_{event.why}"] += 1


@_on(ev.JobStarting)
def _job_starting(state: "State", event: ev.JobStarting) -> None:
    job, process = state.jobs[event.id], state.processes[event.process_id]
    process.move("busy", event.at)
    process.job_id = job.id
    job.status, job.warm = "starting", event.warm
    job.process_id, job.pid, job.generation = process.id, process.pid, process.generation


@_on(ev.JobStarted)
def _job_started(state: "State", event: ev.JobStarted) -> None:
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
def _job_reported(state: "State", event: ev.JobReported) -> None:
    state.jobs[event.id].report.update(event.fields)


@_on(ev.JobPinned)
def _job_pinned(state: "State", event: ev.JobPinned) -> None:
    state.jobs[event.id].pinned = event.pinned


@_on(ev.JobEndAsked)
def _job_end_asked(state: "State", event: ev.JobEndAsked) -> None:
    state.jobs[event.id].asked = event.rung


@_on(ev.JobRequeued)
def _job_requeued(state: "State", event: ev.JobRequeued) -> None:
    job = state.jobs[event.id]
    _close_attempt(job, event.reason, event.at)
    job.status, job.asked = "queued", None
    job.process_id = job.pid = job.generation = job.warm = None
    state.counters["jobs_requeued"] += 1


@_on(ev.JobEnded)
def _job_ended(state: "State", event: ev.JobEnded) -> None:
    job = state.jobs[event.id]
    if not job.active:
        raise IllegalMove(f"job {job.id} has ended as {job.status} already")
    _close_attempt(job, event.reason, event.at)
    job.status, job.reason, job.error = event.status, event.reason, event.error
    job.exit_code, job.signal, job.ended_at = event.exit_code, event.signal, event.at
    del state._active[job.id]
    state.counters[f"jobs_{event.status}"] += 1
    process = state.processes.get(job.process_id or 0)
    if process is not None and process.job_id == job.id:
        process.jobs_done += 1
    _forget_oldest(state)


@_on(ev.LateReport)
def _late_report(state: "State", event: ev.LateReport) -> None:
    state.counters["late_reports"] += 1


def _close_attempt(job: Job, reason: str, at: float) -> None:
    if job.attempts and job.attempts[-1]["ended_at"] is None:
        job.attempts[-1].update(ended_at=at, reason=reason)


def _forget_oldest(state: "State") -> None:
    state.counters["jobs_ended_kept"] += 1
    if state.counters["jobs_ended_kept"] > ENDED_JOBS_KEPT:
        oldest = next(job.id for job in state.jobs.values() if not job.active)
        del state.jobs[oldest]
        state.counters["jobs_ended_kept"] -= 1


# --- code ---------------------------------------------------------------------------------------


@_on(ev.ReloadStarted)
def _reload_started(state: "State", event: ev.ReloadStarted) -> None:
    reload = state.reload
    reload.step, reload.detail, reload.since = "loading", "", event.at
    reload.generation, reload.changed, reload.pending = event.generation, event.changed, []


@_on(ev.ReloadStep)
def _reload_step(state: "State", event: ev.ReloadStep) -> None:
    state.reload.step, state.reload.detail = event.step, event.detail


@_on(ev.ReloadDone)
def _reload_done(state: "State", event: ev.ReloadDone) -> None:
    reload = state.reload
    reload.step, reload.detail, reload.problem, reload.since = "idle", "", None, event.at
    reload.took_ms, reload.layered, reload.needs_restart = event.took_ms, event.layered, event.needs_restart
    reload.import_before_ms, reload.import_ms = reload.import_ms, event.import_ms
    reload.memory_before_mb, reload.memory_mb = reload.memory_mb, event.memory_mb
    reload.start_method, reload.start_method_why = event.start_method, event.start_method_why
    state.worker.generation = event.generation
    state.counters["reloads_done"] += 1


@_on(ev.ReloadFailed)
def _reload_failed(state: "State", event: ev.ReloadFailed) -> None:
    reload = state.reload
    if event.generation >= reload.generation:  # else newer code is on its way already, and shows how that fares
        reload.step, reload.detail, reload.problem, reload.since = "failed", "", event.problem, event.at
    if event.serving and event.generation == state.worker.generation:  # it had served: what it cost is no measure
        reload.import_ms, reload.memory_mb = reload.import_before_ms, reload.memory_before_mb
    if event.serving:
        state.worker.generation = event.serving
    state.counters["reloads_failed"] += 1


@_on(ev.ReloadIdle)
def _reload_idle(state: "State", event: ev.ReloadIdle) -> None:
    state.reload.mode, state.reload.watched, state.reload.polling = event.mode, event.watched, event.polling


@_on(ev.ReloadPending)
def _reload_pending(state: "State", event: ev.ReloadPending) -> None:
    state.reload.pending = event.changed


@_on(ev.ReloadSuspended)
def _reload_suspended(state: "State", event: ev.ReloadSuspended) -> None:
    state.reload.suspended = event.files
