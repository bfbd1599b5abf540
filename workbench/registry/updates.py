"""What workers say of jobs, and what is believed of it."""

import re

from workbench.model.text import ROOM_ID, cut
from workbench.model.wire import REJECTED, JobTermination, JobUpdate
from workbench.registry.desk import Desk, Send
from workbench.registry.offers import Offers
from workbench.registry.records import HELD, NEVER, Job, Worker

REASONS = frozenset(
    "raised exited signalled oom_limit oom_kernel hung timeout init_failed drain_cut supervisor_lost".split()
)
ALIVE, FINAL = ("pending", "running"), ("completed", "failed", "cancelled")
LONGEST_ERROR = 4000
LONGEST_LATE = 500
MOST_ADOPTED = 1000  # jobs of one worker that only it knows
# What VideoSDK's worker says of a job that it accepted, but had no process for; and of one it aborted.
NO_ROOM = re.compile(r"(All \d+ attempts failed\. Last error: )?No available resources( for task execution)?")
SHUTDOWN = "Worker shutdown"
SWALLOWED_S = 0.005  # a job of a process that is dead is completed as soon as it runs
AFTER_S = 10.0  # after the end of the job that took the process along


class Updates:
    """Applies them."""

    def __init__(self, desk: Desk, offers: Offers) -> None:
        self._desk, self._offers = desk, offers

    def heard(self, worker: Worker, update: JobUpdate) -> None:
        """One update."""
        desk, job = self._desk, self._desk.jobs.get(update.job_id)
        if update.status not in (*ALIVE, *FINAL):
            desk.counters["messages_malformed"] += 1
        elif job is None:
            self._unknown(worker, update)
        elif job.ended:
            self._too_late(worker, job, update)
        elif job.worker_id == worker.id and job.status in HELD:
            self._own(worker, job, update)
        elif any(attempt.worker_id == worker.id for attempt in job.attempts):
            self._from_before(worker, job, update)
        else:
            desk.counters["updates_strange"] += 1

    def unheard(self, worker: Worker) -> None:
        """It has told which jobs it has: the others that it had are over, or never reached it."""
        for job in [job for job in worker.jobs.values() if job.status == "unknown"]:
            self.lost(job, "it ended while the worker's link was down, and the worker did not tell how")

    def lost(self, job: Job, words: str) -> None:
        """Its worker has it no more. Only a job that never began runs again; a worker says a word before one may."""
        if not job.spoken_of:
            worker = self._desk.workers[job.worker_id or ""]
            if not worker.ours:
                self._desk.pass_over(
                    job, worker.id, NEVER
                )  # it may run there after all, and that worker would not tell
            self._offers.again(job, "lost")
        else:
            self._desk.end(job, "failed", "supervisor_lost", words)

    # --- by whom -------------------------------------------------------------------------------

    def _own(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        if update.status in ALIVE:
            self._alive(job, update.status)
        elif _never_started(worker, update):
            if not worker.ours:
                self._desk.counters["over_accepts"] += 1
                worker.note("accepted more jobs than it had room for")
            self._desk.pass_over(job, worker.id, self._desk.limits.pass_s)
            self._offers.again(job, "rejected")
        else:
            self._final(worker, job, update)

    def _alive(self, job: Job, status: str) -> None:
        job.spoken_of = True
        running = status == "running" or job.started_at is not None
        if running and job.started_at is None:
            job.started_at = job.attempts[-1].started_at = self._desk.now.at
            job.began = self._desk.now.mono
        job.status, job.unknown_since = "running" if running else "assigned", None
        self._desk.touch(job)

    def _final(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        desk = self._desk
        status, reason, error = _end(worker, update)
        took_s = desk.now.mono - job.began if job.started_at is not None else None
        swallowed = took_s is not None and took_s <= SWALLOWED_S and desk.now.mono - worker.last_end <= AFTER_S
        if swallowed and status == "completed" and not worker.ours:
            desk.counters["suspicious"] += 1
            job.note(
                "suspicious: completed at once, right after another job's end: a dead process may have swallowed it"
            )
        worker.last_end = desk.now.mono
        desk.end(job, status, reason, error)

    def _from_before(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        """It had the job, was given up, and the job is queued, offered, or already somebody else's."""
        desk = self._desk
        if job.status in HELD:
            self._stray(worker, job, update)
        elif not _never_started(worker, update):
            if job.status == "offered":
                self._offers.withdraw(job)
            desk.dequeue(job)
            desk.counters["reclaimed"] += 1
            job.note(f"worker {worker.id} came back with it")
            desk.hold(worker, job, "assigned")
            self._own(worker, job, update)

    def _stray(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        """It runs in two places, or did: the worker that was given up for dead is told to end it."""
        desk = self._desk
        if update.status in FINAL:
            self._stray_over(worker, job, update)
            return
        if job.id not in worker.strays:
            worker.strays.add(job.id)
            desk.counters["duplicates"] += 1
            job.note(f"worker {worker.id} came back with it when worker {job.worker_id} had it already")
            desk.touch(job)
        if worker.ours and worker.link is not None:
            desk.want(Send(worker.link, JobTermination(job_id=job.id, reason="it was given to another worker")))

    def _too_late(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        """The first end holds; what comes after it is told with the job."""
        if update.status in FINAL:
            self._stray_over(worker, job, update)
        elif job.worker_id != worker.id:
            self._stray(worker, job, update)
        elif job.id not in worker.strays:
            worker.strays.add(job.id)
            job.note(f"still runs on worker {worker.id}, though its end was told")
            self._desk.touch(job)

    def _stray_over(self, worker: Worker, job: Job, update: JobUpdate) -> None:
        desk = self._desk
        desk.counters["updates_late"] += 1
        words = f": {cut(update.error, LONGEST_LATE)}" if update.error else ""
        job.note(f"late: worker {worker.id} says that it {update.status}{words}")
        desk.touch(job)
        self.forget_stray(worker, job.id)

    def forget_stray(self, worker: Worker, job_id: str) -> None:
        """It is over, too."""
        if job_id in worker.strays:
            worker.strays.discard(job_id)
            self._desk.touch(worker)
            self._desk.freed[worker.agent_name] = None

    def _unknown(self, worker: Worker, update: JobUpdate) -> None:
        """A job from before this registry's start: only its worker knows it."""
        desk = self._desk
        if update.job_id in worker.strays:
            if update.status in FINAL:
                self.forget_stray(worker, update.job_id)
            return
        if not ROOM_ID.fullmatch(update.job_id) or len(worker.jobs) >= MOST_ADOPTED:
            desk.counters["messages_malformed"] += 1
            return
        job = Job(update.job_id, worker.agent_name, "", desk.now.at, told=True, began=desk.now.mono)
        job.note("known from its worker only: it was given out before this registry's start")
        desk.jobs[job.id] = desk.active[job.id] = job
        desk.counters["adopted"] += 1
        desk.hold(worker, job, "assigned")
        self._own(worker, job, update)


def _never_started(worker: Worker, update: JobUpdate) -> bool:
    error = update.error or ""
    if update.status != "failed":
        return False
    return error.startswith(REJECTED) if worker.ours else NO_ROOM.fullmatch(error) is not None


def _end(worker: Worker, update: JobUpdate) -> tuple[str, str, str | None]:
    """Status, reason and error of an end."""
    error = cut(update.error, LONGEST_ERROR) if update.error else None
    if update.status == "cancelled":
        return "cancelled", "cancelled", error
    if update.status == "completed":
        if error == SHUTDOWN and not worker.ours:
            return "cancelled", "cancelled", "aborted: its worker was shut down while it ran"
        return "completed", "returned", error
    if not worker.ours or error is None:
        return "failed", "raised", error
    word, _, rest = error.partition(": ")
    return ("failed", word, rest or None) if word in REASONS else ("failed", "raised", error)
