"""Workers come, tell how they fare, lose their link, come back or do not."""

from collections import OrderedDict
from math import isfinite

from workbench.model.text import ROOM_ID, plural
from workbench.model.wire import OURS, REPLACED, TOO_BUSY, JobTermination, Register, Registered, StatusUpdate
from workbench.registry.desk import Close, Desk, Send
from workbench.registry.offers import Offers
from workbench.registry.records import NEVER, Worker
from workbench.registry.updates import Updates

MOST_WORKERS = 10_000
MOST_SLOTS = 100_000  # of one worker
LONGEST_NAME = 200
STATUSES = frozenset({"available", "draining", "offline"})
LEAVING = frozenset({"draining", "offline"})
LEAK_UPDATES = 2  # status updates in a row with too many jobs


class Members:
    """Keeps the list of workers."""

    def __init__(self, desk: Desk, offers: Offers, updates: Updates) -> None:
        self._desk, self._offers, self._updates = desk, offers, updates
        self._drained: OrderedDict[str, None] = OrderedDict()  # ids, also of workers that are away

    def register(self, link: int, message: Register, address: str) -> Worker | None:
        """A worker's first words on a connection. None: it was refused."""
        desk = self._desk
        name = message.agent_name
        if len(name) > LONGEST_NAME or not name.isprintable():
            words = f"agent_name must be 1 to {LONGEST_NAME} printable characters"
            desk.want(Send(link, Registered(success=False, message=words)))
            return None
        worker = self._known(message)
        if worker is None and len(desk.workers) >= MOST_WORKERS:
            words = f"{MOST_WORKERS} workers are registered already"
            desk.want(Send(link, Registered(success=False, message=words)))
            desk.want(Close(link, TOO_BUSY, "retry_after_s=30"))
            return None
        if worker is None:
            worker = self._new(message, address)
        elif worker.link is not None:
            desk.want(Close(worker.link, REPLACED, "another connection registered under this worker_id"))
            self.lost(worker.link, "replaced by another connection under its id")
        self._describe(worker, message, address)
        desk.by_link[link], worker.link = worker, link
        desk.want(Send(link, Registered(success=True, worker_id=worker.id)))
        desk.say("INFO", f"worker {worker.id} of {worker.agent_name} ({worker.kind}) registered from {address}")
        return worker

    def status(self, worker: Worker, update: StatusUpdate) -> None:
        """How it fares now."""
        desk = self._desk
        if update.status is not None:
            worker.status = update.status if update.status in STATUSES else "available"
        if update.load is not None:
            worker.load, worker.load_told = _finite(update.load), desk.now.mono
            desk.after(desk.limits.load_s, "pump", worker.agent_name)
        worker.closed_until = -NEVER
        if not worker.reported:
            worker.reported = True
            self._updates.unheard(worker)
            self._ask_again(worker)
        if update.job_count is not None:
            self._count(worker, update.job_count)
        desk.freed[worker.agent_name] = None
        desk.touch(worker)

    def lost(self, link: int, why: str) -> None:
        """The connection is over: its jobs are unknown until the worker comes back, or does not in time."""
        desk = self._desk
        worker = desk.by_link.pop(link, None)
        if worker is None:
            return
        desk.losses += 1
        worker.link, worker.gone = None, desk.losses
        for job in list(worker.jobs.values()):
            if job.status == "offered":
                self._offers.withdraw(job)
                self._offers.place(job)
            else:
                job.status, job.unknown_since = "unknown", job.unknown_since or desk.now.at
                desk.touch(job)
        left = f"; {plural(len(worker.jobs), 'job')} unknown" if worker.jobs else ""
        desk.say("WARNING" if worker.jobs else "INFO", f"worker {worker.id}: link down: {why}{left}")
        if worker.jobs or worker.strays or worker.status not in LEAVING:
            desk.after(desk.limits.grace_s, "grace", worker.id, worker.gone)
            desk.touch(worker)
        else:
            self._forget(worker)

    def grace_over(self, worker_id: str, number: int) -> None:
        """It has had its time to come back."""
        worker = self._desk.workers.get(worker_id)
        if worker is None or worker.link is not None or worker.gone != number:
            return
        words = f"its worker {worker.id} was lost, and did not come back within {self._desk.limits.grace_s:g} s"
        self._desk.say("WARNING", f"worker {worker.id} is lost, with {plural(len(worker.jobs), 'job')}")
        self._desk.counters["workers_lost"] += 1
        for job in list(worker.jobs.values()):
            self._updates.lost(job, words)
        self._forget(worker)

    def drain(self, worker: Worker, on: bool) -> None:
        """Offer it nothing more; or something again."""
        worker.draining = on
        self._drained.pop(worker.id, None)
        if on:
            self._drained[worker.id] = None
            if len(self._drained) > MOST_WORKERS:
                self._drained.popitem(last=False)
        self._desk.freed[worker.agent_name] = None
        self._desk.touch(worker)

    # --- steps ---------------------------------------------------------------------------------

    def _known(self, message: Register) -> Worker | None:
        """The worker that was here under this id; not one of another agent that is here right now."""
        worker = self._desk.workers.get(message.worker_id)
        if worker is None or worker.link is None or worker.agent_name == message.agent_name:
            return worker
        return None

    def _new(self, message: Register, address: str) -> Worker:
        desk, now = self._desk, self._desk.now.at
        given = message.worker_id
        keep = ROOM_ID.fullmatch(given) and given not in desk.workers
        return Worker(given if keep else desk.new_id(), message.agent_name, False, address, now, now)

    def _describe(self, worker: Worker, message: Register, address: str) -> None:
        desk = self._desk
        self._unlist(worker)
        desk.workers[worker.id] = worker
        worker.draining = worker.id in self._drained
        worker.agent_name, worker.address = message.agent_name, address
        desk.by_agent.setdefault(worker.agent_name, {})[worker.id] = worker
        worker.ours = OURS in (message.capabilities or ())
        worker.reported = not worker.ours
        if message.max_processes is None:
            worker.note("did not tell max_processes: it is given one job at a time")
        worker.max_processes = max(0, min(1 if message.max_processes is None else message.max_processes, MOST_SLOTS))
        worker.load_threshold = _finite(message.load_threshold)
        worker.find_room()
        worker.status = "available" if worker.reported else "joining"
        worker.load = worker.job_count = None
        worker.hidden = worker.excess = 0
        worker.closed_until = -NEVER
        worker.strays.clear()  # told again, where they still run
        worker.registered_at = worker.last_seen_at = desk.now.at
        for job in worker.jobs.values():
            if not worker.ours:
                job.note("unknown since its worker's link was down: workers of VideoSDK's do not tell what runs on")
        desk.freed[worker.agent_name] = None
        desk.touch(worker)

    def _count(self, worker: Worker, told: int) -> None:
        """Its own count of jobs: it may hold some that are not known here, or have leaked slots."""
        worker.job_count = told
        if told <= 0 and not worker.ours:  # it never forgets a job that runs, only ends that it could not tell
            for job in [job for job in worker.jobs.values() if job.status == "unknown"]:
                self._updates.lost(job, "it ended while the worker's link was down, and nobody heard how")
        own = len(worker.jobs) + len(worker.strays)
        worker.hidden = max(0, told - own)
        worker.excess = worker.excess + 1 if worker.hidden else 0
        if worker.excess > LEAK_UPDATES and not worker.ours:  # ours may have jobs that others gave it
            worker.note("has leaked slots: it counts jobs that have ended; restart it")

    def _ask_again(self, worker: Worker) -> None:
        """Jobs that were to end while its link was down."""
        for job in worker.jobs.values():
            if job.end_asked and worker.link is not None:
                self._desk.want(Send(worker.link, JobTermination(job_id=job.id, reason="asked to end")))

    def _forget(self, worker: Worker) -> None:
        self._unlist(worker)
        del self._desk.workers[worker.id]
        self._desk.touch(worker)

    def _unlist(self, worker: Worker) -> None:
        listed = self._desk.by_agent.get(worker.agent_name, {})
        listed.pop(worker.id, None)
        if not listed:
            self._desk.by_agent.pop(worker.agent_name, None)


def _finite(number: float | None) -> float | None:
    """Infinity is no bound, and what is no number says nothing."""
    return number if number is not None and isfinite(number) else None
