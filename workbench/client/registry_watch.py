"""What the stream of a registry tells of its workers and jobs, and what moves them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.client.calls import ClientError, why
from workbench.client.registry import ENDED, RegistryClient
from workbench.model.jsontext import parse

ENDED_KEPT = 500  # jobs that have ended; as many as a snapshot has
BEAT_S = 5.0  # a registry that stands still answers no ping: its connection is over after half as long again
STEP = 500  # jobs that are read before anything else gets its turn

At = Annotated[float, Field(ge=0, le=1e11)]  # epoch seconds


class _Told(BaseModel):
    """What a registry tells: known fields only, of the right kind. Texts may be strangers'."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Attempt(_Told):
    """One assignment of a job."""

    attempt: int = 0
    worker_id: str = ""
    assigned_at: At | None = None
    started_at: At | None = None
    ended_at: At | None = None
    reason: str | None = None


class SeenJob(_Told):
    """A job, as its registry has it."""

    id: str
    agent_name: str = ""
    room_id: str = ""
    metadata: dict[str, Any] = {}
    room_options: list[str] = []
    status: str = "queued"
    reason: str | None = None
    error: str | None = None
    worker_id: str | None = None
    attempt: int = 0
    attempts: list[Attempt] = []
    queued_at: At = 0.0
    started_at: At | None = None
    ended_at: At | None = None
    unknown_since: At | None = None
    notes: list[str] = []

    @property
    def ended(self) -> bool:
        """For ever."""
        return self.status in ENDED


class SeenWorker(_Told):
    """A worker, as its registry has it; `kind` is whose program it is."""

    id: str
    agent_name: str = ""
    kind: str = ""
    status: str = "available"
    connected: bool = True
    draining: bool = False
    address: str = ""
    load: float | None = None
    load_threshold: float | None = None
    max_processes: int = 0
    slots_used: int = 0
    job_count: int | None = None
    jobs: list[str] = []
    registered_at: At = 0.0
    last_seen_at: At = 0.0
    notes: list[str] = []


class Limits(_Told):
    """How long and how much; times in seconds."""

    grace_s: float = 0.0
    queue_size: int = 0
    queue_timeout_s: float = 0.0


class About(_Told):
    """The registry itself."""

    version: str = ""
    pid: int = 0
    url: str = ""
    started_at: At = 0.0
    ending: bool = False
    queue: int = 0
    jobs_active: int = 0
    jobs_ended: int = 0
    limits: Limits = Limits()


class End(_Told):
    """How many jobs ended in one way."""

    status: str
    count: int


class _Frame(_Told):
    type: str
    at: At = 0.0
    state: dict[str, Any] = {}


class _News(_Told):
    registry: About
    workers: list[SeenWorker] = []
    workers_gone: list[str] = []
    jobs: list[dict[str, Any]] = []
    counters: dict[str, int] = {}
    ends: list[End] = []


class Change(NamedTuple):
    """One worker or job before and after; None where there was or is none."""

    before: SeenWorker | SeenJob | None
    after: SeenWorker | SeenJob | None


@dataclass(slots=True)
class Seen:
    """A registry as it was last heard of. `at` is its clock then; jobs are in the order in which they came."""

    about: About = field(default_factory=About)
    workers: dict[str, SeenWorker] = field(default_factory=dict)
    jobs: dict[str, SeenJob] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    at: float = 0.0
    _over: dict[str, None] = field(default_factory=dict)  # jobs that have ended, in their order

    @property
    def connected(self) -> int:
        """Workers whose link is up."""
        return sum(worker.connected for worker in self.workers.values())

    @property
    def slots(self) -> tuple[int, int]:
        """Taken, and all there are, of the workers whose link is up."""
        up = [worker for worker in self.workers.values() if worker.connected]
        return sum(worker.slots_used for worker in up), sum(worker.max_processes for worker in up)

    def of_status(self, *statuses: str) -> int:
        """Jobs that stand so."""
        return sum(job.status in statuses for job in self.jobs.values())

    def begin(self, told: _News, jobs: list[SeenJob]) -> None:
        """All of it anew."""
        self.workers, self.jobs, self._over = {}, {}, {}
        self.take(told, jobs)

    def take(self, told: _News, jobs: list[SeenJob]) -> list[Change]:
        """Fold what has changed; every worker and job of it before and after."""
        self.about, self.counters = told.registry, told.counters
        self.ends = {}
        for end in told.ends:
            self.ends[end.status] = self.ends.get(end.status, 0) + end.count
        changes = [Change(self.workers.pop(name, None), None) for name in told.workers_gone]
        for worker in told.workers:
            changes.append(Change(self.workers.get(worker.id), worker))
            self.workers[worker.id] = worker
        for job in jobs:
            changes.append(Change(self.jobs.get(job.id), job))
            self._take_job(job)
        return changes

    def _take_job(self, job: SeenJob) -> None:
        self.jobs[job.id] = job
        if job.ended:
            self._over[job.id] = None
        while len(self._over) > ENDED_KEPT:
            oldest = next(iter(self._over))
            del self._over[oldest]
            self.jobs.pop(oldest, None)


@dataclass(slots=True)
class RegistryFrame:
    """One step of the stream: the state after it, and what changed; a snapshot changes everything."""

    seen: Seen
    changes: list[Change] = field(default_factory=list)
    snapshot: bool = False


class RegistryWatch(RegistryClient):
    """A connection to one registry that also follows it, and moves its workers and jobs."""

    async def dispatch(self, agent: str, room_id: str, metadata: dict[str, Any]) -> tuple[str, str]:
        """Have a job done by one of the agent's workers, at once or not at all; the job and its worker."""
        job = await self.dispatch_for(agent, room_id, metadata)
        return str(job.get("id")), str(job.get("worker_id"))

    async def end_job(self, job_id: str) -> None:
        """Ask a job to end."""
        await self.request("DELETE", f"/jobs/{_in_path(job_id)}")

    async def drain(self, worker_id: str, on: bool) -> None:
        """Offer a worker nothing more, or something again."""
        await self.request("POST" if on else "DELETE", f"/workers/{_in_path(worker_id)}/drain")

    async def frames(self) -> AsyncIterator[RegistryFrame]:
        """The registry's state, then what changes, until the link ends.

        Raises:
            ClientError: no connection, or what answers is no registry.
        """
        import aiohttp

        seen = Seen()
        try:
            async with self._session.ws_connect("/events", max_msg_size=0, heartbeat=BEAT_S) as socket:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return
                    yield await self._fold(seen, message.data)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ClientError(f"no events from {self.address}: {why(error, self.WHAT)}") from error

    async def _fold(self, seen: Seen, text: str) -> RegistryFrame:
        try:
            raw = parse(text)
            frame = _Frame.model_validate(raw)
            snapshot = frame.type == "snapshot"
            told = _News.model_validate(frame.state if snapshot else raw)
            jobs = await _read_jobs(told.jobs)
        except (ValidationError, ValueError) as error:
            problem = str(error).splitlines()[0]
            raise ClientError(f"what answers at {self.address} is no registry: {problem}") from None
        seen.at = frame.at
        if snapshot:
            seen.begin(told, jobs)
            return RegistryFrame(seen, snapshot=True)
        return RegistryFrame(seen, seen.take(told, jobs))


def _in_path(id: str) -> str:
    """An id as a part of a path; half a character, which no registry of ours tells, cannot be one."""
    return quote(id, safe="", errors="replace")


async def _read_jobs(told: list[dict[str, Any]]) -> list[SeenJob]:
    """The jobs; keys are answered while thousands are read."""
    jobs: list[SeenJob] = []
    for job in told:
        jobs.append(SeenJob.model_validate(job))
        if not len(jobs) % STEP:
            await asyncio.sleep(0)
    return jobs
