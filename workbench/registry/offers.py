"""From the queue to a worker: one offer at a time for a job, the next on refusal or silence, then the assignment."""

from dataclasses import dataclass

from workbench.model.text import cut, plural
from workbench.model.wire import AvailabilityRequest, AvailabilityResponse, JobAssignment, JobTermination
from workbench.registry.balance import may_take, over_load, pick
from workbench.registry.desk import MOST_ATTEMPTS, Desk, Send
from workbench.registry.records import NEVER, Job, Worker

NOBODY, ALL_BUSY = "No workers registered", "No workers available"  # VideoSDK's words
LONGEST_REASON = 200
LONGEST_MUTE_S = 60.0
REFUSALS = {"full": "full", "capacity": "full", "load": "over_load", "drain": "draining", "stopp": "draining"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A job that was not taken: the HTTP status, a reason to count it by, words."""

    status: int
    reason: str
    message: str


class Offers:
    """Places jobs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def submit(self, job: Job, wait_s: float | None) -> Refused | None:
        """Take a new job in: offer it, or let it wait; or say why not."""
        desk = self._desk
        job.began = desk.now.mono
        worker = self._pick(job)
        if worker is None and wait_s is None:
            return self._refused(job)
        if worker is None and desk.queued >= desk.limits.queue_size:
            waiting = f"{plural(desk.queued, 'job')} {'waits' if desk.queued == 1 else 'wait'} for a worker"
            return self._count(Refused(503, "queue_full", f"queue is full: {waiting}"))
        desk.jobs[job.id] = desk.active[job.id] = job
        if wait_s is not None:
            self._wait_at_most(job, wait_s)
        if worker is None:
            desk.enqueue(job)
        else:
            self._offer(job, worker)
        return None

    def answered(self, worker: Worker, answer: AvailabilityResponse) -> None:
        """What a worker says to an offer; to one that was withdrawn, too late: no job is given out twice."""
        desk, job = self._desk, self._desk.jobs.get(answer.job_id)
        if job is None or job.status != "offered" or job.worker_id != worker.id:
            desk.counters["offers_answered_late"] += 1
            holds = job is not None and job.worker_id == worker.id
            if answer.available and worker.ours and worker.link is not None and not holds:
                words = "the offer was withdrawn"  # and the slot that is kept for it is free again
                desk.want(Send(worker.link, JobTermination(job_id=answer.job_id, reason=words)))
            return
        worker.silences, worker.mute_until = 0, -NEVER
        if answer.available:
            desk.counters["offers_accepted"] += 1
            self._assign(job, worker)
            return
        desk.counters["offers_refused"] += 1
        why = _refusal(answer.error)
        desk.counters[f"refusals_{why}"] += 1
        job.note(f"worker {worker.id} refused it: {cut(answer.error or 'it does not say why', LONGEST_REASON)}")
        if why != "other":
            self._close_for_now(worker)
        self._withdraw(job)
        self.place(job)

    def silent(self, job_id: str, number: int) -> None:
        """The time for an answer is over."""
        job = self._desk.jobs.get(job_id)
        if job is not None and job.status == "offered" and job.offer == number:
            self._desk.counters["offers_silent"] += 1
            self._desk.say("WARNING", f"worker {job.worker_id} did not answer the offer of job {job.id}")
            self._mute(self._desk.workers[job.worker_id or ""])
            self._withdraw(job)
            self.place(job)

    def withdraw(self, job: Job) -> None:
        """Nobody is asked for this job any more: the worker's link is down, or the job turned up elsewhere."""
        self._desk.counters["offers_withdrawn"] += 1
        self._withdraw(job)

    def place(self, job: Job) -> None:
        """Offer a job that nobody has; let it wait or end it where nobody can take it now."""
        desk, worker = self._desk, self._pick(job)
        if worker is not None:
            self._offer(job, worker)
        elif job.deadline is not None and desk.now.mono < job.deadline:
            desk.enqueue(job, first=True)
        else:
            self.give_up(job)

    def give_up(self, job: Job) -> None:
        """Nobody took it in its time."""
        if job.attempts:
            words = f"its {job.attempt}. worker never started it, and no other took it in time"
            self._desk.end(job, "failed", "supervisor_lost", words)
        else:
            self._desk.end(job, "failed", "no_workers", self._refused(job).message)

    def again(self, job: Job, why: str) -> None:
        """Its assignment is void: it never started, so another worker may have it."""
        desk = self._desk
        desk.free_slot(job)
        last = job.attempts[-1]
        last.ended_at, last.reason = desk.now.at, why
        job.worker_id = job.assigned_at = job.started_at = job.unknown_since = None
        job.spoken_of = False
        if job.end_asked:
            desk.end(job, "cancelled", "cancelled", "asked to end before it had started")
        elif job.attempt >= MOST_ATTEMPTS:
            words = f"given to a worker {job.attempt} times, and never started; the last: {last.worker_id}, {why}"
            desk.end(job, "failed", "supervisor_lost", words)
        else:
            desk.counters["reoffers"] += 1
            self._wait_at_most(job, desk.limits.queue_timeout_s)
            self.place(job)

    def pump(self) -> None:
        """Give free slots to who waits."""
        desk = self._desk
        while desk.freed:
            agent = next(iter(desk.freed))
            del desk.freed[agent]
            self._serve_queue(agent)

    # --- steps ---------------------------------------------------------------------------------

    def _serve_queue(self, agent: str) -> None:
        desk, queue = self._desk, self._desk.queues.get(agent)
        listed = desk.by_agent.get(agent, {}).values() if queue else ()
        free = [w for w in listed if may_take(w, desk.now) and not over_load(w, desk.now, desk.limits)]
        for job in list(queue or ()) if free else []:
            waiting = desk.active[job]
            worker = pick(waiting, free, desk.now, desk.limits)
            if worker is not None:
                desk.dequeue(waiting)
                self._offer(waiting, worker)
                if not may_take(worker, desk.now):
                    free.remove(worker)
            if not free:
                return

    def _pick(self, job: Job) -> Worker | None:
        desk = self._desk
        return pick(job, desk.by_agent.get(job.agent_name, {}).values(), desk.now, desk.limits)

    def _offer(self, job: Job, worker: Worker) -> None:
        desk = self._desk
        desk.offers += 1
        desk.counters["offers"] += 1
        job.status, job.offer, worker.last_offer = "offered", desk.offers, desk.offers
        desk.take_slot(worker, job)
        desk.touch(job)
        assert worker.link is not None
        desk.want(Send(worker.link, AvailabilityRequest(
            job_id=job.id, room_id=job.room_id, agent_name=job.agent_name
        )))  # fmt: skip
        desk.after(desk.limits.offer_s, "offer", job.id, job.offer)

    def _withdraw(self, job: Job) -> None:
        """The worker is passed over for a while; for this dispatch altogether, where nobody waits."""
        desk = self._desk
        desk.free_slot(job)
        pause_s = NEVER if job.deadline is None else desk.limits.pass_s
        desk.pass_over(job, job.worker_id or "", pause_s)
        job.status, job.worker_id = "queued", None

    def _mute(self, worker: Worker) -> None:
        """It is asked ever more rarely while it does not answer: each time somebody waits for that."""
        desk = self._desk
        pause_s = min(LONGEST_MUTE_S, desk.limits.offer_s * 2**worker.silences)
        worker.silences += 1
        worker.mute_until = desk.now.mono + pause_s
        worker.note("has left offers without an answer; it is asked more rarely while it does")
        desk.after(pause_s, "pump", worker.agent_name)
        desk.touch(worker)

    def _close_for_now(self, worker: Worker) -> None:
        worker.closed_until = self._desk.now.mono + self._desk.limits.closed_s
        self._desk.after(self._desk.limits.closed_s, "pump", worker.agent_name)

    def _assign(self, job: Job, worker: Worker) -> None:
        desk = self._desk
        desk.hold(worker, job, "assigned")
        assert worker.link is not None
        desk.want(Send(worker.link, JobAssignment(
            job_id=job.id, room_id=job.room_id, agent_name=job.agent_name, token=job.token or "",
            room_options=job.room_options, metadata=job.metadata,
        )))  # fmt: skip
        desk.tell(job)
        if job.end_asked and worker.ours:
            desk.want(Send(worker.link, JobTermination(job_id=job.id, reason="asked to end")))

    def _wait_at_most(self, job: Job, wait_s: float) -> None:
        job.deadline = self._desk.now.mono + wait_s

    def _refused(self, job: Job) -> Refused:
        if self._desk.by_agent.get(job.agent_name):
            return self._count(Refused(503, "no_workers_available", ALL_BUSY))
        return self._count(Refused(404, "no_workers_registered", NOBODY))

    def _count(self, refused: Refused) -> Refused:
        self._desk.counters[f"refused_{refused.reason}"] += 1
        return refused


def _refusal(error: str | None) -> str:
    """Why a worker refused, in a word to count it by."""
    words = (error or "").lower()
    return next((name for sign, name in REFUSALS.items() if sign in words), "other")
