"""Workers and links without sockets, for the registry's core: messages can be on their way, late, or lost."""

from collections import deque
from dataclasses import dataclass, field

from workbench.model.desk import Now
from workbench.model.wire import (
    OURS,
    REJECTED,
    AvailabilityRequest,
    AvailabilityResponse,
    JobAssignment,
    JobTermination,
    JobUpdate,
    Message,
    Register,
    Registered,
    StatusUpdate,
)
from workbench.registry.core import Core
from workbench.registry.desk import Close, Limits, Say, Send, Settled
from workbench.registry.offers import Refused
from workbench.registry.records import Job

RESERVED_S = 7.5


@dataclass
class Sim:
    """A worker as it really is. `running` and `ever` are the ground truth."""

    agent: str
    ours: bool
    room: int
    id: str = ""
    link: int | None = None  # as it believes itself
    inbox: deque[Message] = field(default_factory=deque)
    outbox: deque[Message] = field(default_factory=deque)
    running: dict[str, str] = field(default_factory=dict)  # job -> pending or running
    reserved: dict[str, float] = field(default_factory=dict)
    unsent: list[JobUpdate] = field(default_factory=list)  # ends that nobody has acknowledged
    ever: set[str] = field(default_factory=set)
    alive: bool = True
    registered: bool = False  # on this link, as far as it knows
    misjudged: bool = False  # it was given up, or unknown, while it ran jobs that it does not tell of

    def say(self, message: Message) -> None:
        """Put on its way what can be told now."""
        if self.link is not None and (self.registered or isinstance(message, Register)):
            self.outbox.append(message)

    def status(self) -> None:
        """As it tells after each change."""
        self.say(StatusUpdate(worker_id=self.id, status="available", load=0.1, job_count=len(self.running)))

    def end(self, job: str, status: str, error: str | None = None) -> None:
        """A job of its own is over. Workers of ours keep the news until it was surely heard."""
        del self.running[job]
        update = JobUpdate(job_id=job, status=status, error=error)
        if self.ours:
            self.unsent.append(update)
        self.say(update)
        self.status()


class World:
    """A core, the workers, and what is on its way between them."""

    def __init__(self, **limits: float) -> None:
        self.core = Core(Limits(**limits), self._new_id)  # type: ignore[arg-type]
        self.now, self.links, self.ids = 0.0, 0, 0
        self.workers: list[Sim] = []
        self.by_link: dict[int, Sim] = {}  # as the registry believes
        self.settled: list[str] = []
        self.jobs: dict[str, Job] = {}
        self.refused = 0

    def _new_id(self) -> str:
        self.ids += 1
        return f"id{self.ids}"

    @property
    def time(self) -> Now:
        return Now(self.now, 1e9 + self.now)

    # --- links ---------------------------------------------------------------------------------

    def join(self, agent: str, ours: bool, room: int) -> Sim:
        sim = Sim(agent, ours, room)
        self.workers.append(sim)
        self.connect(sim)
        return sim

    def connect(self, sim: Sim) -> None:
        """It opens a connection; the registry may not have noticed the end of its last one."""
        self.links += 1
        sim.link = self.links
        self.by_link[sim.link] = sim
        sim.registered = False
        sim.inbox.clear()
        sim.outbox.clear()
        sim.reserved.clear()
        capabilities = ["room", OURS] if sim.ours else ["room"]
        sim.misjudged = sim.misjudged or (not sim.ours and bool(sim.running))
        sim.say(Register(
            worker_id=sim.id, agent_name=sim.agent, capabilities=capabilities, max_processes=sim.room, token="t" * 9
        ))  # fmt: skip

    def drop(self, sim: Sim, noticed: bool) -> None:
        """The connection breaks; what was on its way is lost. The registry notices now, or by its pings later."""
        link, sim.link = sim.link, None
        sim.inbox.clear()
        sim.outbox.clear()
        if noticed and link is not None:
            self.notice(link)

    def notice(self, link: int) -> None:
        if self.by_link.pop(link, None) is not None:
            self.core.lost(link, "broken", self.time)
            self.obey()

    @property
    def stale(self) -> list[int]:
        """Connections that only the registry believes in."""
        return [link for link, sim in self.by_link.items() if sim.link != link]

    # --- steps ---------------------------------------------------------------------------------

    def deliver(self, sim: Sim) -> None:
        """The registry gets the worker's next message."""
        assert sim.link is not None
        message = sim.outbox.popleft()
        if isinstance(message, JobUpdate) and message in sim.unsent:
            sim.unsent.remove(message)
        self.core.heard(sim.link, message, "sim", self.time)
        self.obey()

    def talk(self, rounds: int = 20) -> None:
        """Everything that is on its way arrives, and so do the answers, for so many rounds."""
        for _ in range(rounds):
            for sim in [sim for sim in self.workers if sim.link is not None]:
                while sim.link is not None and sim.outbox:
                    self.deliver(sim)
                while sim.link is not None and sim.inbox:
                    self.act(sim)

    def act(self, sim: Sim) -> None:
        """The worker deals with its next message."""
        message = sim.inbox.popleft()
        if isinstance(message, Registered):
            sim.id, sim.registered = message.worker_id or sim.id, True
            if sim.ours:
                for job, status in sim.running.items():
                    sim.say(JobUpdate(job_id=job, status=status))
                for update in sim.unsent:
                    sim.say(update)
                sim.status()
        elif isinstance(message, AvailabilityRequest):
            taken = len(sim.running) + len(sim.reserved)
            free = taken < sim.room or not sim.ours  # VideoSDK's say yes to all
            if free and sim.ours:
                sim.reserved[message.job_id] = self.now + RESERVED_S
            sim.say(AvailabilityResponse(job_id=message.job_id, available=free, error=None if free else "full"))
        elif isinstance(message, JobAssignment):
            self.assigned(sim, message.job_id)
        elif isinstance(message, JobTermination) and sim.ours and message.job_id in sim.running:
            sim.end(message.job_id, "cancelled")

    def assigned(self, sim: Sim, job: str) -> None:
        held = sim.reserved.pop(job, None) is not None
        assert job not in sim.running, "given to a worker that runs it"
        if sim.ours and not held and len(sim.running) + len(sim.reserved) >= sim.room:
            sim.say(JobUpdate(job_id=job, status="failed", error=f"{REJECTED}full"))
            return
        sim.ever.add(job)
        sim.running[job] = "pending" if sim.ours else "running"
        sim.say(JobUpdate(job_id=job, status=sim.running[job]))

    def submit(self, agent: str, wait_s: float | None) -> None:
        taken = self.core.submit(agent, "room", self.time, wait_s=wait_s)
        if isinstance(taken, Refused):
            self.refused += 1
        else:
            self.jobs[taken.id] = taken
        self.obey()

    def pass_time(self, seconds: float) -> None:
        """Time goes on, from one thing that is due to the next."""
        end = self.now + seconds
        while (due := self.core.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            self.core.tick(self.time)
            self.obey()
        self.now = end
        for sim in self.workers:
            sim.reserved = {job: until for job, until in sim.reserved.items() if until > end}

    def obey(self) -> None:
        """Do what the core wants."""
        for effect in self.core.take_effects():
            if isinstance(effect, Settled):
                self.settled.append(effect.job.id)
            elif isinstance(effect, Send):
                sim = self.by_link.get(effect.link)
                if sim is not None and sim.link == effect.link:
                    sim.inbox.append(effect.message)
            elif isinstance(effect, Close):
                sim = self.by_link.pop(effect.link, None)
                if sim is not None and sim.link == effect.link:
                    sim.link = None
            else:
                assert isinstance(effect, Say)
