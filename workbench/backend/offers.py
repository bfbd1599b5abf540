"""What a registry asks of this worker's jobs, and what it is told of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from workbench.agent.assigned import JOINED
from workbench.backend.outbox import Outbox
from workbench.model import events as ev
from workbench.model import wire
from workbench.model.admission import Verdict
from workbench.model.jsontext import MAX_DEPTH, dump, too_deep
from workbench.model.state import Job
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS, cut
from workbench.supervisor.worker import Supervisor

MOST_METADATA = 32 * 1024
LONGEST_ERROR = 2000
UNJOINED_S = 30.0  # then a job that was to join first is told to run all the same, as by VideoSDK's worker
LONGEST_TOKEN = 16 * 1024
ENDS_KEPT = 10_000  # of jobs that a registry may ask about once more


class Offers:
    """Answers to the registry, and the updates that follow from what becomes of its jobs.

    Every answer is decided and its slot taken before anything is awaited. What makes no sense is refused with a
    reason, and never ends a job that runs.

    Args:
        news: called when there is something for the registry that follows from no event.
    """

    def __init__(self, supervisor: Supervisor, outbox: Outbox, news: Callable[[], None]) -> None:
        self._supervisor, self._outbox, self._news = supervisor, outbox, news
        self.closed = False  # the worker unregisters
        self._jobs: dict[str, Job] = {}  # those that a registry gave and that have not ended
        self._ends: OrderedDict[str, wire.JobUpdate] = OrderedDict()
        self._outside: dict[str, asyncio.TimerHandle] = {}  # jobs that began, and are to join their rooms first

    # --- asked ----------------------------------------------------------------------------------

    def offered(self, offer: wire.AvailabilityRequest) -> wire.AvailabilityResponse:
        """Keep a slot for the job, or say why not."""
        why = self._unfit(offer.job_id, offer.room_id, offer.agent_name)
        if self.closed:
            why = "draining: the worker leaves, or registers anew"
        if why is None and self._known(offer.job_id) is not None:
            why = "this worker has had that job already"
        if why is None and offer.job_id not in self._supervisor.core.reservations:
            verdict = self._supervisor.reserve(offer.job_id)
            why = None if verdict.status == "ready" else f"{verdict.status}: {verdict.why}"
        return wire.AvailabilityResponse(job_id=offer.job_id, available=why is None, error=why)

    def assigned(self, order: wire.JobAssignment) -> None:
        """Start the job; once, however often it is assigned."""
        known = self._known(order.job_id)
        if known is not None:
            self._noise(f"job {order.job_id} was assigned twice")
            self._put(known)
            return
        why = self._unfit(order.job_id, order.room_id, order.agent_name)
        why = why or _too_much(order)
        if why is None:
            taken = self._supervisor.submit(
                order.room_id or None, order.metadata or {}, job_id=order.job_id, token=order.token or "",
                room_options=order.room_options, wait=bool(order.wait),
            )  # fmt: skip
            why = f"{taken.status}: {taken.why}" if isinstance(taken, Verdict) else None
        if why is not None:
            self._supervisor.release(order.job_id, "rejected")
            self._put(wire.JobUpdate(job_id=order.job_id, status="failed", error=f"{wire.REJECTED}{why}"))

    def terminated(self, order: wire.JobTermination) -> None:
        """End the job, whatever it does."""
        job = self._jobs.get(order.job_id)
        if job is not None:
            if job.asked is None:  # once more must not make it faster
                self._supervisor.end_job(job.id)
        elif order.job_id in self._ends:
            self._put(self._ends[order.job_id])
        elif not self._supervisor.release(order.job_id, "terminated"):
            self._noise(f"job {order.job_id}, which is to end, is not known here")

    # --- told -----------------------------------------------------------------------------------

    def heard(self, event: ev.Event) -> bool:
        """Note what an event means for the registry; True when there is something for it."""
        match event:
            case ev.JobQueued() if event.assigned:
                self._jobs[event.id] = self._supervisor.state.jobs[event.id]
            case ev.JobStarted() if event.id in self._jobs and event.attempt == 1:
                if self._joins_first(event.id):
                    late = asyncio.get_running_loop().call_later(UNJOINED_S, self._never_joined, event.id)
                    self._outside[event.id] = late
                return event.id not in self._outside
            case ev.JobReported() if event.id in self._outside and JOINED & event.fields.keys():
                self._outside.pop(event.id).cancel()
                self._put(_update(self._jobs[event.id]))
                return True
            case ev.JobEnded() if event.id in self._jobs:
                if event.id in self._outside:
                    self._outside.pop(event.id).cancel()
                self._ends[event.id] = _update(self._jobs.pop(event.id))
                self._put(self._ends[event.id])
                if len(self._ends) > ENDS_KEPT:
                    self._ends.popitem(last=False)
                return True
        return False

    def launching(self, job_id: str) -> wire.JobUpdate | None:
        """What the registry is to be told before a process has the job, which may begin from then on."""
        job = self._supervisor.state.jobs[job_id]
        if not job.assigned or job.attempts:
            return None
        return wire.JobUpdate(job_id=job_id, status="pending" if self._joins_first(job_id) else "running")

    def standing(self) -> list[wire.JobUpdate]:
        """What a registry must know that has just registered this worker: the jobs it has."""
        return [_update(job, outside=self._is_outside(job)) for job in self._jobs.values()]

    def _is_outside(self, job: Job) -> bool:
        return job.id in self._outside or (not job.attempts and self._joins_first(job.id))

    def _joins_first(self, job_id: str) -> bool:
        room = self._supervisor.rooms.of_job(job_id)
        return room is not None and room.assigned.wait

    def _never_joined(self, job_id: str) -> None:
        del self._outside[job_id]
        self._put(_update(self._jobs[job_id]))
        self._news()

    @property
    def job_count(self) -> int:
        """Jobs of a registry that have not ended."""
        return len(self._jobs)

    def _known(self, job_id: str) -> wire.JobUpdate | None:
        """How a job of that name fares that was given before, by whomever."""
        job = self._supervisor.state.jobs.get(job_id)
        return _update(job, outside=self._is_outside(job)) if job is not None else self._ends.get(job_id)

    def _put(self, update: wire.JobUpdate) -> None:
        if update.error:  # only there can a secret be: a word of the protocol may be somebody's token
            update = update.model_copy(update={"error": self._supervisor.logs.mask.text(update.error)})
        self._outbox.put(update.text())

    def _unfit(self, job_id: str, room_id: str, agent_name: str) -> str | None:
        mine = self._supervisor.settings.options.agent_id
        if agent_name and agent_name != mine:
            return f"this worker runs agent {mine}, not {cut(agent_name, 80)}"
        if not ROOM_ID.fullmatch(job_id):
            return f"job_id must be {ROOM_ID_WORDS}"
        if room_id and not ROOM_ID.fullmatch(room_id):
            return f"room_id must be {ROOM_ID_WORDS}"
        if room_id and self._supervisor.rooms.taken(room_id):
            return f"a job runs in room {room_id} already"
        return None

    def _noise(self, why: str) -> None:
        self._supervisor.publish(ev.LinkMessageDropped(at=self._supervisor.shell.now().at, why=why))


def _too_much(order: wire.JobAssignment) -> str | None:
    """What of it cannot be handed to a process."""
    for name, value in (("metadata", order.metadata or {}), ("room_options", order.room_options or {})):
        if too_deep(value):
            return f"its {name} are nested more than {MAX_DEPTH} deep"
        if len(dump(value)) > MOST_METADATA:
            return f"its {name} are larger than {MOST_METADATA // 1024} KB"
    return f"its token is longer than {LONGEST_TOKEN} characters" if len(order.token or "") > LONGEST_TOKEN else None


def _update(job: Job, *, outside: bool = False) -> wire.JobUpdate:
    if job.active:
        handed_on = bool(job.attempts) or job.status == "starting"  # see `launching`: it is not said again later
        status = "running" if handed_on and not outside else "pending"
        return wire.JobUpdate(job_id=job.id, status=status)
    if job.status == "completed":
        return wire.JobUpdate(job_id=job.id, status="completed")
    detail = job.error or job.signal or (f"exit code {job.exit_code}" if job.exit_code is not None else "")
    error = ": ".join(part for part in (job.reason, detail) if part)
    return wire.JobUpdate(job_id=job.id, status=job.status, error=cut(error, LONGEST_ERROR))
