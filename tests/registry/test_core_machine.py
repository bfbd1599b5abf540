"""The registry's core against workers that lose links, come back, die, and messages that are on their way or lost."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.registry.simulated import Sim, World
from workbench.registry.records import ENDED, HELD

AGENTS = ("A", "A", "B")
GRACE_S = 20.0


class Machine(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(queue_size=5, queue_timeout_s=30.0)
        self.checked: dict[str, int] = {}  # attempts of a job that were looked at
        self.ends: dict[str, tuple[Any, ...]] = {}

    def some(self, data: Any, workers: list[Sim]) -> Sim:
        return workers[data.draw(st.integers(0, len(workers) - 1), label="worker")]

    @property
    def linked(self) -> list[Sim]:
        return [sim for sim in self.world.workers if sim.link is not None]

    @property
    def unlinked(self) -> list[Sim]:
        return [sim for sim in self.world.workers if sim.link is None and sim.alive]

    @initialize(kinds=st.lists(st.booleans(), min_size=1, max_size=3), room=st.integers(1, 3))
    def some_workers(self, kinds: list[bool], room: int) -> None:
        for ours in kinds:
            self.world.join("A", ours, room)
        self.world.talk()

    # --- what may happen -----------------------------------------------------------------------

    @precondition(lambda self: len(self.world.workers) < 5)
    @rule(agent=st.sampled_from(AGENTS), ours=st.booleans(), room=st.integers(1, 3))
    def join(self, agent: str, ours: bool, room: int) -> None:
        self.world.join(agent, ours, room)

    @rule(agent=st.sampled_from(AGENTS), wait_s=st.sampled_from([None, None, 3.0, 60.0]), number=st.integers(1, 4))
    def submit(self, agent: str, wait_s: float | None, number: int) -> None:
        for _ in range(number):
            self.world.submit(agent, wait_s)

    @precondition(lambda self: any(sim.outbox or sim.inbox for sim in self.linked))
    @rule(data=st.data(), number=st.integers(1, 8))
    def messages(self, data: Any, number: int) -> None:
        for _ in range(number):
            ways = [(sim, self.world.deliver) for sim in self.linked if sim.outbox]
            ways += [(sim, self.world.act) for sim in self.linked if sim.inbox]
            if not ways:
                return
            sim, do = ways[data.draw(st.integers(0, len(ways) - 1), label="way")]
            do(sim)

    @rule(rounds=st.integers(1, 6))
    def talk(self, rounds: int) -> None:
        self.world.talk(rounds)

    @rule(agent=st.just("A"), wait_s=st.sampled_from([None, 60.0]), number=st.integers(1, 4))
    def dispatch(self, agent: str, wait_s: float | None, number: int) -> None:
        self.submit(agent, wait_s, number)
        self.world.talk(2)

    @rule(seconds=st.sampled_from([0.3, 1.0]))
    def quiet_time(self, seconds: float) -> None:
        self.world.talk()
        self.world.pass_time(seconds)
        self.world.talk()

    @precondition(lambda self: any(sim.running for sim in self.world.workers))
    @rule(data=st.data(), how=st.sampled_from(["start", "completed", "failed"]))
    def job_goes_on(self, data: Any, how: str) -> None:
        sim = self.some(data, [sim for sim in self.world.workers if sim.running])
        job = data.draw(st.sampled_from(sorted(sim.running)), label="job")
        if how != "start":
            sim.end(job, how, "raised: it did" if how == "failed" else None)
        elif sim.running[job] == "pending":
            sim.running[job] = "running"
            sim.say(_running(job))

    @precondition(lambda self: self.linked)
    @rule(data=st.data(), noticed=st.booleans())
    def link_breaks(self, data: Any, noticed: bool) -> None:
        self.world.drop(self.some(data, self.linked), noticed)

    @precondition(lambda self: self.world.stale)
    @rule()
    def registry_notices(self) -> None:
        self.world.notice(self.world.stale[0])

    @precondition(lambda self: self.unlinked)
    @rule(data=st.data())
    def comes_back(self, data: Any) -> None:
        self.world.connect(self.some(data, self.unlinked))

    @precondition(lambda self: self.linked)
    @rule(data=st.data(), noticed=st.booleans())
    def worker_dies(self, data: Any, noticed: bool) -> None:
        sim = self.some(data, self.linked)
        sim.alive = False
        sim.running.clear()
        self.world.drop(sim, noticed)

    @precondition(lambda self: self.world.core.desk.active)
    @rule(data=st.data())
    def end_job(self, data: Any) -> None:
        active = self.world.core.desk.active
        job = active[data.draw(st.sampled_from(sorted(active)), label="job")]
        self.world.core.end_job(job, self.world.time)
        self.world.obey()

    @precondition(lambda self: self.world.core.desk.workers)
    @rule(data=st.data(), on=st.booleans())
    def drain(self, data: Any, on: bool) -> None:
        workers = self.world.core.desk.workers
        worker = workers[data.draw(st.sampled_from(sorted(workers)), label="worker")]
        self.world.core.drain(worker, on, self.world.time)
        self.world.obey()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0, 25.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def no_worker_runs_more_than_it_has_room_for(self) -> None:
        for sim in self.world.workers:
            if not sim.misjudged:
                assert len(sim.running) <= sim.room, sim

    @invariant()
    def the_books_are_right(self) -> None:
        desk = self.world.core.desk
        waiting = [job for queue in desk.queues.values() for job in queue.values()]
        assert desk.queued == len(waiting)
        assert {job.id for job in waiting} == {job.id for job in desk.active.values() if job.status == "queued"}
        assert all(queue for queue in desk.queues.values())
        holders: dict[str, str] = {}
        for worker in desk.workers.values():
            for job in worker.jobs.values():
                assert job.id not in holders, "at two workers at once"
                assert job.worker_id == worker.id
                holders[job.id] = worker.id
        placed = {job.id for job in desk.active.values() if job.status in (*HELD, "offered")}
        assert placed == set(holders)
        for job in desk.active.values():
            if job.status == "offered":
                assert desk.workers[job.worker_id or ""].link is not None

    @invariant()
    def a_job_ends_once_and_is_answered_once(self) -> None:
        world = self.world
        assert len(set(world.settled)) == len(world.settled)
        for job in world.jobs.values():
            ended = (job.status, job.reason, job.ended_at) if job.status in ENDED else None
            assert (job.id in world.core.desk.active) == (ended is None)
            assert self.ends.get(job.id, ended) == ended, "a second end"
            if ended is not None:
                self.ends[job.id] = ended
                assert job.id in world.settled

    @invariant()
    def a_job_starts_again_only_where_it_never_started(self) -> None:
        """... as far as anybody can know: its worker was away for the whole of its grace, or came back without it."""
        for job in self.world.jobs.values():
            over = [attempt for attempt in job.attempts if attempt.reason == "lost"]
            for attempt in over[self.checked.get(job.id, 0) :]:
                sim = next(sim for sim in self.world.workers if sim.id == attempt.worker_id)
                away = sim.id not in self.world.core.desk.workers
                if sim.ours and not away:
                    assert job.id not in sim.ever, "it was there, and came back"
            self.checked[job.id] = len(over)

    def teardown(self) -> None:
        """Everything dies: after the longest time that anything may take, no job is left."""
        for sim in self.world.workers:
            sim.running.clear()
            self.world.drop(sim, True)
        for link in self.world.stale:
            self.world.notice(link)
        self.world.pass_time(500.0)
        desk = self.world.core.desk
        assert not desk.active
        assert not desk.queues
        assert not desk.workers
        assert not desk.by_link
        assert not desk.by_agent
        assert set(self.world.settled) == set(self.world.jobs)
        self.a_job_ends_once_and_is_answered_once()


def _running(job: str) -> Any:
    from workbench.model.wire import JobUpdate

    return JobUpdate(job_id=job, status="running")


TestCore = Machine.TestCase
TestCore.settings = settings(max_examples=100, stateful_step_count=60)
