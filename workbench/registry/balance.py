"""Who is offered the next job: the worker with the smallest share of its slots taken, and in turn among equals."""

from collections.abc import Iterable

from workbench.model.desk import Now
from workbench.registry.desk import Limits
from workbench.registry.records import Job, Worker


def may_take(worker: Worker, now: Now) -> bool:
    """It can be offered a job at all."""
    return (
        worker.link is not None
        and worker.reported
        and not worker.draining
        and worker.status == "available"
        and worker.closed_until <= now.mono
        and worker.mute_until <= now.mono
        and worker.used < worker.room
    )


def over_load(worker: Worker, now: Now, limits: Limits) -> bool:
    """It told a load that is too high, so lately that it must still be true. VideoSDK's tell old figures."""
    if not worker.ours or worker.load is None or worker.load_threshold is None:
        return False
    return worker.load >= worker.load_threshold and now.mono - worker.load_told < limits.load_s


def pick(job: Job, workers: Iterable[Worker], now: Now, limits: Limits) -> Worker | None:
    """The worker to offer this job to; None when nobody can take it now."""
    best, least, last = None, 1.0, 0
    for worker in workers:  # all of the agent's, for each dispatch: the cheapest questions first
        share = worker.used / worker.room if worker.room else 1.0
        if share > least or (share == least and worker.last_offer >= last):
            continue
        if not may_take(worker, now) or over_load(worker, now, limits):
            continue
        if job.passed.get(worker.id, 0.0) <= now.mono:
            best, least, last = worker, share, worker.last_offer
    return best
