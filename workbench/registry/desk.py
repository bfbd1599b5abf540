"""What every part of the registry's core works at: workers, jobs, the queue, clocks, and what it wants done."""

import heapq
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.model.desk import Now
from workbench.model.wire import Message
from workbench.registry.records import NEVER, Attempt, Job, Worker

MOST_ATTEMPTS = 3  # assignments of a job that never started


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. Times in seconds."""

    grace_s: float = 20.0  # in which a lost worker may come back to its jobs
    offer_s: float = 5.0  # in which it must answer an offer
    pass_s: float = 0.5  # a worker that refused a job is not asked again for it
    closed_s: float = 1.0  # a worker that is full, or the like, is not asked at all
    load_s: float = 5.0  # for which a load it told is believed
    queue_size: int = 1000
    queue_timeout_s: float = 30.0
    kept: int = 10_000  # ended jobs


class Send(NamedTuple):
    """Tell a worker."""

    link: int
    message: Message


class Close(NamedTuple):
    """End a connection."""

    link: int
    code: int
    reason: str


class Settled(NamedTuple):
    """Whoever dispatched this job can be answered."""

    job: Job


class Say(NamedTuple):
    """A line for the log."""

    level: str
    text: str


Effect = Send | Close | Settled | Say


@dataclass
class Desk:
    """State, and trays for what is wanted. `changed` is called with ("job" or "worker", id) at each change."""

    limits: Limits = field(default_factory=Limits)
    new_id: Callable[[], str] = lambda: secrets.token_hex(8)
    changed: Callable[[str, str], None] = lambda kind, name: None
    now: Now = field(default_factory=lambda: Now(0.0, 0.0))
    workers: dict[str, Worker] = field(default_factory=dict)
    by_link: dict[int, Worker] = field(default_factory=dict)
    by_agent: dict[str, dict[str, Worker]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    active: dict[str, Job] = field(default_factory=dict)
    ended: deque[str] = field(default_factory=deque)
    queues: dict[str, dict[str, Job]] = field(default_factory=dict)
    queued: int = 0
    offers: int = 0
    losses: int = 0
    forgotten: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    effects: list[Effect] = field(default_factory=list)
    timers: list[tuple[float, int, str, str, int]] = field(default_factory=list)
    _timer: int = 0
    freed: dict[str, None] = field(default_factory=dict)  # agents that a slot may be free for

    def want(self, effect: Effect) -> None:
        """Something to be done in the world."""
        self.effects.append(effect)

    def say(self, level: str, text: str) -> None:
        """Something to be read in the log."""
        self.effects.append(Say(level, text))

    def touch(self, thing: Job | Worker) -> None:
        """It has changed."""
        self.changed("job" if isinstance(thing, Job) else "worker", thing.id)

    def after(self, delay_s: float, kind: str, name: str, number: int = 0) -> None:
        """Look again after a while; who is asked then checks whether it still matters."""
        self.at(self.now.mono + delay_s, kind, name, number)

    def at(self, mono: float, kind: str, name: str, number: int = 0) -> None:
        """Look again at a time of the monotonic clock."""
        self._timer += 1
        heapq.heappush(self.timers, (mono, self._timer, kind, name, number))

    def due(self) -> Iterator[tuple[str, str, int]]:
        """What was to be looked at by now."""
        while self.timers and self.timers[0][0] <= self.now.mono:
            _, _, kind, name, number = heapq.heappop(self.timers)
            yield kind, name, number

    # --- jobs and slots ------------------------------------------------------------------------

    def enqueue(self, job: Job, first: bool = False) -> None:
        """Let it wait for a worker."""
        job.status, job.worker_id = "queued", None
        queue = self.queues.setdefault(job.agent_name, {})
        self.queued += 1
        if job.deadline is not None and job.clocked != job.deadline:
            job.clocked = job.deadline
            self.at(job.deadline, "deadline", job.id)
        if first:
            others = dict(queue)
            queue.clear()
            queue[job.id] = job
            queue.update(others)
        else:
            queue[job.id] = job
        self.touch(job)

    def dequeue(self, job: Job) -> None:
        """It waits no more."""
        queue = self.queues.get(job.agent_name, {})
        if queue.pop(job.id, None) is not None:
            self.queued -= 1
        if not queue:
            self.queues.pop(job.agent_name, None)

    def pass_over(self, job: Job, worker_id: str, for_s: float) -> None:
        """Do not offer the job to this worker for a while, and then look again."""
        job.passed[worker_id] = self.now.mono + for_s
        if for_s != NEVER:
            self.after(for_s, "pump", job.agent_name)

    def take_slot(self, worker: Worker, job: Job) -> None:
        """A slot of this worker is this job's."""
        job.worker_id = worker.id
        worker.jobs[job.id] = job
        self.touch(worker)

    def free_slot(self, job: Job) -> None:
        """The job takes no slot any more; others may have it."""
        worker = self.workers.get(job.worker_id or "")
        if worker is not None and worker.jobs.pop(job.id, None) is not None:
            self.touch(worker)
            self.freed[worker.agent_name] = None

    def hold(self, worker: Worker, job: Job, status: str) -> None:
        """The worker has the job, from now on or, as it turns out, for some time."""
        self.take_slot(worker, job)
        job.status, job.unknown_since = status, None
        job.attempt += 1
        job.assigned_at = self.now.at
        job.started_at = self.now.at if status == "running" else None
        job.attempts.append(Attempt(job.attempt, worker.id, self.now.at, job.started_at))
        self.touch(job)

    def tell(self, job: Job) -> None:
        """Whoever waits for the job's fate can know it."""
        if not job.told:
            job.told = True
            self.want(Settled(job))

    def end(self, job: Job, status: str, reason: str, error: str | None = None) -> None:
        """The job's one end."""
        assert not job.ended, job
        self.dequeue(job)
        self.free_slot(job)
        if job.attempts and job.attempts[-1].ended_at is None:
            job.attempts[-1].ended_at, job.attempts[-1].reason = self.now.at, reason
        job.status, job.reason, job.error, job.ended_at = status, reason, error, self.now.at
        job.lighten()
        self.active.pop(job.id, None)
        self.ends[status, reason] += 1
        self.ended.append(job.id)
        self.touch(job)
        self.tell(job)
        while len(self.ended) > self.limits.kept:
            del self.jobs[self.ended.popleft()]
            self.forgotten += 1
