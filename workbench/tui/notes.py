"""What a person should see once: the events worth a line, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.model import events as ev
from workbench.model.state import Job, State
from workbench.model.text import plural
from workbench.supervisor.words import costs_more, reload_facts
from workbench.tui import format as fmt
from workbench.tui.lines import clean
from workbench.tui.words import job_story, pending_words, problem_place, retry_words, suspended_words

RECENT_FAILURES = 20
CANNOT_SERVE = "new code cannot serve: "


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the events pane. `tone` says how bad: info, good, warn or bad."""

    at: float
    tone: str
    text: str

    @property
    def sign(self) -> str:
        """The sign that stands for the tone."""
        return {"bad": "✗", "warn": "!", "good": "✓"}.get(self.tone, "·")


def note_of(event: ev.Event, state: State) -> Note | None:
    """The note an event deserves, if any; `state` is the one after it."""
    maker = _MAKERS.get(type(event))
    made = maker(event, state) if maker else None
    return Note(event.at, made[0], clean(made[1])) if made else None


def notes_of(state: State) -> list[Note]:
    """What a snapshot tells of the past: the last failed jobs, and what stands now."""
    notes = failed_notes(state, set())
    for process in state.processes.values():
        if process.stalled:
            notes.append(Note(process.stalled_at or 0.0, "bad", clean(f"{process.pid} stalled {process.stack}")))
    if state.link.state == "failed":
        notes.append(Note(state.link.since, "bad", clean(f"registry failed: {state.link.why}; L tries again")))
    if state.reload.problem is not None:
        notes.append(Note(state.reload.since, "bad", clean(_broken(state.reload.problem))))
    return sorted(notes, key=lambda note: note.at)


def failed_notes(state: State, told: set[str]) -> list[Note]:
    """The last failed jobs that are not among the `told` ones."""
    failed = [job for job in state.jobs.values() if job.status == "failed" and job.id not in told]
    return [Note(job.ended_at or 0.0, "bad", clean(_ending(job))) for job in failed[-RECENT_FAILURES:]]


Made = tuple[str, str] | None


def _ending(job: Job) -> str:
    return f"{job.id} {job_story(job)}"


def _broken(problem: dict[str, Any]) -> str:
    place = problem_place(problem)
    return f"{CANNOT_SERVE}{problem.get('message') or problem.get('kind')}{f' ({place})' if place else ''}"


def _job_ended(event: ev.JobEnded, state: State) -> Made:
    tone = {"failed": "bad", "completed": "good"}.get(event.status, "info")
    job = state.jobs.get(event.id)
    return tone, _ending(job) if job else f"{event.id} {event.status}"


def _pid(state: State, process_id: int) -> str:
    process = state.processes.get(process_id)
    return f"process {process.pid}" if process else f"process #{process_id}"


def _stalled(event: ev.ProcessStalled, state: State) -> Made:
    stack = event.stack.strip().splitlines()
    if stack:  # the second word on it, once the dump is there
        return "bad", f"{_pid(state, event.id)} stands still at {stack[-1].strip()}"
    return "bad", f"{_pid(state, event.id)} has stood still for {fmt.beat(event.age_s)}"


def _crossed(event: ev.MemoryCrossed, state: State) -> Made:
    over = f"{fmt.megabytes(event.memory_mb)}, over {fmt.megabytes(event.warn_mb)}"
    return "warn", f"{_pid(state, event.id)} holds {over}"


def _exited(event: ev.ProcessExited, state: State) -> Made:
    if not event.unexpected:
        return None
    how = event.signal or f"exit code {event.exit_code}"
    return "bad", f"process #{event.id} died: {how}; {event.why}".rstrip("; ")


def _admission(event: ev.AdmissionChanged, state: State) -> Made:
    if state.worker.status_since != event.at:
        return None  # the same status for another reason: the header shows it
    tone = {"ready": "good", "degraded": "bad"}.get(event.status, "warn")
    return ("info" if event.status == "starting" else tone), f"{event.status.replace('_', ' ')}: {event.why}"


def _reloaded(event: ev.ReloadDone, state: State) -> Made:
    old = sum(p.generation != event.generation and p.state == "busy" for p in state.processes.values())
    left = f"; {plural(old, 'job')} on older code" if old else ""
    tone = "warn" if event.needs_restart or costs_more(event, state) else "good"
    live = f"generation {event.generation} live in {event.took_ms:.0f} ms"
    return tone, f"{live}{reload_facts(event, state)}{left}"


def _suspended(event: ev.ReloadSuspended, state: State) -> Made:
    return ("warn", suspended_words(event.files)) if event.files else None


def _pending(event: ev.ReloadPending, state: State) -> Made:
    return ("info", pending_words(event.changed)) if event.changed else None


def _pinned(event: ev.JobPinned, state: State) -> Made:
    job = state.jobs[event.id]
    return "info", f"{event.id} stays on generation {job.generation}" if event.pinned else f"{event.id} is not pinned"


def _link(event: ev.LinkChanged, state: State) -> Made:
    if event.state == "connecting" and event.attempt:
        return None  # why it was lost, and when it is tried again, has been told
    tone = {"connected": "good", "waiting": "warn", "failed": "bad"}.get(event.state, "info")
    again = f"; {retry_words(state, event.at)}" if event.retry_at is not None else ""
    cure = "; L tries again" if event.state == "failed" else ""
    return tone, f"registry {event.state}: {event.why}{again}{cure}"


def _released(event: ev.SlotReleased, state: State) -> Made:
    if event.why != "expired":
        return None  # its job came, or what happened instead is told
    return "warn", f"registry: the job {event.id} was offered and accepted, and never came; its slot is free again"


def _noted(event: ev.Noted, state: State) -> Made:
    tone = {"WARNING": "warn", "ERROR": "bad", "CRITICAL": "bad"}.get(event.level, "info")
    return tone, event.text


_MAKERS: dict[type[ev.Event], Callable[[Any, State], Made]] = {
    ev.JobEnded: _job_ended,
    ev.JobRefused: lambda e, s: ("warn", f"job refused, {e.reason}: {e.text}"),
    ev.JobRequeued: lambda e, s: ("info", f"{e.id} starts again: {e.reason}"),
    ev.ProcessStalled: _stalled,
    ev.ProcessResumed: lambda e, s: ("good", f"{_pid(s, e.id)} turns again"),
    ev.ProcessExited: _exited,
    ev.MemoryCrossed: _crossed,
    ev.AdmissionChanged: _admission,
    ev.DrainStarted: lambda e, s: ("warn", f"drain: {e.why}"),
    ev.DrainCancelled: lambda e, s: ("good", "jobs are admitted again"),
    ev.StopStarted: lambda e, s: ("warn", f"the worker ends: {e.why}"),
    ev.PoolHeld: lambda e, s: ("bad" if e.degraded else "warn", f"process starts wait: {e.why}"),
    ev.PoolHealed: lambda e, s: ("good", "processes start and stay again"),
    ev.LinkChanged: _link,
    ev.LinkMessageDropped: lambda e, s: ("warn", f"registry: a message was dropped: {e.why}"),
    ev.SlotReleased: _released,
    ev.Listening: lambda e, s: ("warn" if e.note else "info", f"listens on {e.url}; {e.note}".rstrip("; ")),
    ev.ReloadStarted: lambda e, s: ("info", f"loading generation {e.generation}"),
    ev.ReloadDone: _reloaded,
    ev.ReloadFailed: lambda e, s: ("bad", _broken(e.problem)),
    ev.ReloadPending: _pending,
    ev.ReloadSuspended: _suspended,
    ev.JobPinned: _pinned,
    ev.Noted: _noted,
}
