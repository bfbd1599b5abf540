"""What the state of a worker or a job looks like at its registry, and who needs a look first."""

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.lines import clean
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.words import Look

RECENT_S = 600.0
QUIET_S = 60.0  # a worker says something every `ping_interval`, 30 s
_JOB = {
    "queued": ("◌", "warn"),
    "offered": ("◌", "info"),
    "assigned": ("○", "info"),
    "running": ("●", "busy"),
    "unknown": ("▲", "bad"),
    "completed": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("■", "dim"),
}


def worker_look(worker: SeenWorker) -> Look:
    """The first of: lost, draining, joining (its jobs are not known yet), its own word, over load, full, ready."""
    if not worker.connected:
        return Look("✗", "lost", "bad")
    if worker.draining or worker.status == "draining":
        return Look("◐", "draining", "warn")
    if worker.status == "joining":
        return Look("◌", "joining", "info")
    if worker.status != "available":
        return Look("?", clean(worker.status, 20), "warn")
    if over_load(worker):
        return Look("▲", "over load", "warn")
    if worker.slots_used >= worker.max_processes:
        return Look("◆", "full", "warn")
    return Look("●", "ready", "good")


def over_load(worker: SeenWorker) -> bool:
    """Its load is at its threshold or above it."""
    return worker.load is not None and worker.load_threshold is not None and worker.load >= worker.load_threshold


def job_look(job: SeenJob) -> Look:
    """A job's status."""
    sign, tone = _JOB.get(job.status, ("?", "warn"))
    return Look(sign, clean(job.status, 20), tone)


def worker_rank(worker: SeenWorker, board: RegistryBoard) -> int:
    """Lost, over load, draining, full, all others."""
    return {"lost": 0, "over load": 1, "draining": 3, "full": 4, "ready": 5}.get(worker_look(worker).word, 2)


def job_rank(job: SeenJob, board: RegistryBoard) -> int:
    """Unknown, failed not long ago, waiting, on its way, all others."""
    if job.status == "failed":
        return 1 if board.now() - (job.ended_at or 0.0) < RECENT_S else 5
    return {"unknown": 0, "queued": 2, "offered": 3, "assigned": 3, "running": 4}.get(job.status, 5)


def job_why(job: SeenJob, board: RegistryBoard) -> tuple[str, str]:
    """The one thing to know about a job: how it ended, or what it waits for."""
    if job.ended:
        error = f": {clean(job.error, 300)}" if job.error else ""
        reason = "" if job.reason == job.status else clean(job.reason or "", 40)
        told = "" if job.status == "completed" else f"{reason}{error}".removeprefix(": ")
        return told, "bad" if job.status == "failed" else "dim"
    if job.status == "unknown":
        since = f" for {fmt.age(board.now() - job.unknown_since)}" if job.unknown_since else ""
        return f"its worker's link is down{since}", "bad"
    if job.status == "queued":
        return "waits for a worker", "warn"
    return (clean(job.notes[-1], 200), "dim") if job.notes else ("", "")


def worker_note(worker: SeenWorker, board: RegistryBoard) -> tuple[str, str]:
    """The one thing to know about a worker."""
    if not worker.connected:
        left = board.seen.about.limits.grace_s - board.lost_for(worker)
        return (f"{fmt.age(left)} left to come back" if left > 0 else "given up soon"), "bad"
    if worker.notes:
        return clean(worker.notes[-1], 200), "warn"
    if worker.job_count is not None and worker.job_count != worker.slots_used:
        return f"counts {plural(worker.job_count, 'job')} itself", "dim"
    return "", ""


def matches(words: str, *texts: str) -> bool:
    """Whether the texts hold each word of a filter, and none of those behind a `!`."""
    whole = " ".join(texts).lower()
    return all((part[1:] not in whole) if part.startswith("!") and part[1:] else part in whole
               for part in words.lower().split())  # fmt: skip
