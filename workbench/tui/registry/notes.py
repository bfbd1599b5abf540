"""What a person should see once of a registry: changes worth a line, in words."""

from collections.abc import Iterator, Mapping

from workbench.client.registry_watch import Change, Seen, SeenJob, SeenWorker
from workbench.model.text import plural
from workbench.tui.lines import clean, cut
from workbench.tui.notes import Note

SHORT = 8
RECENT_FAILURES = 10
COUNTED = {  # counters of the registry that somebody should hear of
    "refused_no_workers_registered": "refused: no worker of that agent is registered",
    "refused_no_workers_available": "refused: all workers of that agent are busy",
    "refused_queue_full": "refused: the queue is full",
    "offers_silent": "not answered by their workers in time",
    "over_accepts": "accepted by workers that had no room",
}


def short(id: str | None) -> str:
    """Enough of an id to tell it from others."""
    return clean(id or "", 64)[:SHORT]


def who(worker: SeenWorker) -> str:
    """`worker 1f2e3d4c of support`."""
    return f"worker {short(worker.id)} of {cut(clean(worker.agent_name, 80), 28)}"


def worker_note(change: Change, seen: Seen) -> Note | None:
    """What became of a worker."""
    before, after = change
    if not isinstance(before or after, SeenWorker):
        return None
    made = _worker(before, after, seen)  # type: ignore[arg-type]
    return Note(seen.at, made[0], made[1]) if made else None


def _worker(before: SeenWorker | None, after: SeenWorker | None, seen: Seen) -> tuple[str, str] | None:
    if after is None:
        return _left(before) if before is not None else None
    if before is None:
        return "good", f"{who(after)} registered ({clean(after.kind, 20)}, {plural(after.max_processes, 'slot')})"
    if before.connected != after.connected:
        return None if seen.about.ending else _link(after, seen)
    if before.draining != after.draining:
        return ("warn", f"{who(after)} drains") if after.draining else ("good", f"{who(after)} takes jobs again")
    new = [note for note in after.notes if note not in before.notes]
    return ("warn", f"{who(after)}: {clean(new[-1], 200)}") if new else None


def _left(worker: SeenWorker) -> tuple[str, str]:
    if worker.connected:
        return "info", f"{who(worker)} has left"
    jobs = f" to its {plural(len(worker.jobs), 'job')}" if worker.jobs else ""
    return "bad", f"{who(worker)} did not come back{jobs}"


def _link(worker: SeenWorker, seen: Seen) -> tuple[str, str]:
    if worker.connected:
        return "good", f"{who(worker)} is back"
    jobs = f", {plural(len(worker.jobs), 'job')} of its unknown" if worker.jobs else ""
    return "bad", f"{who(worker)}: link down{jobs}; it has {seen.about.limits.grace_s:g} s to come back"


def job_note(change: Change, seen: Seen) -> Note | None:
    """What became of a job: only ends that nobody wanted, and what is given to a second worker."""
    before, job = change
    if not isinstance(job, SeenJob) or (before is not None and not isinstance(before, SeenJob)):
        return None
    if job.status == "failed" and (before is None or before.status != "failed"):
        return Note(job.ended_at or seen.at, "bad", failed_words(job))
    if before is not None and job.attempt > max(before.attempt, 1):
        return Note(seen.at, "warn", f"job {short(job.id)} goes to another worker, {short(job.worker_id)}")
    return None


def failed_words(job: SeenJob) -> str:
    """`job 1f2e3d4c of support failed / raised: ValueError: boom`."""
    error = f": {clean(job.error, 300)}" if job.error else ""
    agent = cut(clean(job.agent_name, 80), 28)
    return f"job {short(job.id)} of {agent} failed / {clean(job.reason or 'unknown', 40)}{error}"


def notes_of(seen: Seen) -> list[Note]:
    """What the first snapshot tells of the past."""
    failed = [job for job in seen.jobs.values() if job.status == "failed"][-RECENT_FAILURES:]
    return [Note(job.ended_at or seen.at, "bad", failed_words(job)) for job in failed]


def registry_note(seen: Seen, another: bool) -> Note:
    """The stream is taken up again, with this registry or with one that began since."""
    words = "the registry was started again: it knows only what its workers tell it" if another else "connected again"
    return Note(seen.at, "warn" if another else "good", words)


def counted(before: Mapping[str, int], seen: Seen) -> Iterator[Note]:
    """Refusals and the like that were counted since."""
    for name, words in COUNTED.items():
        more = seen.counters.get(name, 0) - before.get(name, 0)
        if more > 0:
            yield Note(seen.at, "warn", f"{plural(more, 'job')} {words}")
