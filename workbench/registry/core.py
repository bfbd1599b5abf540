"""The registry without its sockets: what is told to it changes its state and leaves effects for the shell.

Time is passed in with every call. Nothing here waits, reads a clock or sends anything.
"""

from collections.abc import Callable
from typing import Any

from workbench.model.desk import Now
from workbench.model.wire import AvailabilityResponse, JobTermination, JobUpdate, Message, Register, StatusUpdate
from workbench.registry.desk import Desk, Effect, Limits, Send
from workbench.registry.members import Members
from workbench.registry.offers import Offers, Refused
from workbench.registry.records import WAITING, Job, Worker
from workbench.registry.updates import Updates


class Core:
    """Workers, jobs and the queue."""

    def __init__(self, limits: Limits | None = None, new_id: Callable[[], str] | None = None) -> None:
        self.desk = Desk(limits or Limits())
        if new_id is not None:
            self.desk.new_id = new_id
        self._offers = Offers(self.desk)
        self._updates = Updates(self.desk, self._offers)
        self._members = Members(self.desk, self._offers, self._updates)

    # --- from workers --------------------------------------------------------------------------

    def heard(self, link: int, message: Message, address: str, now: Now) -> None:
        """A message of a connection."""
        desk, worker = self._at(now), self.desk.by_link.get(link)
        if isinstance(message, Register) and worker is None:
            self._members.register(link, message, address)
        elif worker is None or isinstance(message, Register):
            desk.counters["messages_malformed"] += 1  # not registered, or registered already
        else:
            worker.last_seen_at = now.at
            if isinstance(message, JobUpdate):
                self._updates.heard(worker, message)
            elif isinstance(message, AvailabilityResponse):
                self._offers.answered(worker, message)
            elif isinstance(message, StatusUpdate):
                self._members.status(worker, message)
        self._offers.pump()

    def lost(self, link: int, why: str, now: Now) -> None:
        """A connection is over."""
        self._at(now)
        self._members.lost(link, why)
        self._offers.pump()

    # --- from those who want jobs done -----------------------------------------------------------

    def submit(
        self,
        agent_name: str,
        room_id: str,
        now: Now,
        *,
        metadata: dict[str, Any] | None = None,
        room_options: dict[str, Any] | None = None,
        token: str | None = None,
        wait_s: float | None = None,
    ) -> Job | Refused:
        """A new job.

        Args:
            wait_s: how long it may wait for a free slot; None not at all.
        """
        desk = self._at(now)
        job = Job(desk.new_id(), agent_name, room_id, now.at, metadata or {}, room_options, token)
        refused = self._offers.submit(job, wait_s)
        self._offers.pump()
        return refused or job

    def end_job(self, job: Job, now: Now, words: str = "asked to end") -> str | None:
        """Ask a job to end; why that cannot be, or None."""
        desk = self._at(now)
        if job.ended:
            return f"the job has ended: {job.status}, {job.reason}"
        worker = desk.workers.get(job.worker_id or "")
        if job.status in WAITING:
            desk.end(job, "cancelled", "cancelled", f"{words} while it waited for a worker")
        elif worker is not None and not worker.ours:
            return (
                "not supported by this worker: workers of VideoSDK's do not obey a termination; "
                "ending the worker ends all of its jobs"
            )
        elif worker is not None:
            job.end_asked = True
            job.note(words)
            desk.touch(job)
            if worker.link is not None:
                desk.want(Send(worker.link, JobTermination(job_id=job.id, reason=words)))
        self._offers.pump()
        return None

    def drain(self, worker: Worker, on: bool, now: Now) -> None:
        """Offer a worker nothing more; or something again."""
        self._at(now)
        self._members.drain(worker, on)
        self._offers.pump()

    # --- time ----------------------------------------------------------------------------------

    def tick(self, now: Now) -> None:
        """Do what was to be done by now."""
        desk = self._at(now)
        for kind, name, number in desk.due():
            if kind == "offer":
                self._offers.silent(name, number)
            elif kind == "deadline":
                self._deadline(name)
            elif kind == "grace":
                self._members.grace_over(name, number)
            else:
                desk.freed[name] = None
        self._offers.pump()

    @property
    def next_due(self) -> float | None:
        """When to call `tick` (monotonic seconds)."""
        return self.desk.timers[0][0] if self.desk.timers else None

    def take_effects(self) -> list[Effect]:
        """What is wanted of the shell since the last call, in order."""
        effects, self.desk.effects = self.desk.effects, []
        return effects

    def _deadline(self, job_id: str) -> None:
        desk, job = self.desk, self.desk.active.get(job_id)
        if job is not None and job.status == "queued" and (job.deadline or 0.0) <= desk.now.mono:
            self._offers.give_up(job)

    def _at(self, now: Now) -> Desk:
        self.desk.now = now
        return self.desk
