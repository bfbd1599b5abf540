"""The core under any order of events: a machine plays kernel, children, operator and clock, and never plays fair."""

import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.core import Core, Now
from workbench.model.ending import End
from workbench.model.options import Options
from workbench.model.state import ENDED, State


@dataclass
class Child:
    """What really is: a process as the kernel has it, and what it was sent."""

    id: int
    generation: int
    forked: bool = False
    ready: bool = False
    killed: bool = False
    jobs: list[tuple[str, int]] = field(default_factory=list)


class Worker(RuleBasedStateMachine):
    """Every rule is something the outside can really do, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.options: dict[str, Any] = {"load_threshold": float("inf")}
        self.core = Core(Options(**self.options), random.Random(3))
        self.client = State()
        self.children: dict[int, Child] = {}
        self.ends: dict[str, list[ev.JobEnded]] = {}
        self.returned: set[tuple[str, int]] = set()
        self.accepted = 0
        self.generation = 0
        self.loading = self.saves = 0
        self.exits: list[fx.Exit] = []
        self.closed: set[str] = set()

    @initialize(serves=st.sampled_from([True, True, False]), most=st.integers(1, 5), each=st.sampled_from([0, 1, 2]))
    def begin(self, serves: bool, most: int, each: int) -> None:
        """Mostly there is something to trouble: a generation that serves."""
        self.tune(most=most, idle=2, each=each, job_timeout=5.0, close=3.0, load="cpu", threshold=0.5, limit=0.0)
        if serves:
            self.save()
            for _ in range(4):
                self.child_boots(0)

    # --- the shell ------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        return Now(self.time, 1_700_000_000.0 + self.time)

    def flush(self) -> None:
        """What the shell does after every call."""
        while self.core.has_news:
            events, effects = self.core.take()
            for event in events:
                self.client.apply(event)
                self.told(event)
            for effect in effects:
                self.do(effect)

    def told(self, event: ev.Event) -> None:
        if isinstance(event, ev.JobEnded):
            self.ends.setdefault(event.id, []).append(event)
        if isinstance(event, ev.ProcessSpawning):
            assert not self.exits, "a process is made after the end"

    def do(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Spawn():
                self.children[effect.process_id] = Child(effect.process_id, effect.generation)
                others = [c for c in self.children.values() if c.generation != self.core.pool.probing]
                awaited = [c for c in others if not self.lingers(c)]
                probe = effect.generation == self.core.pool.probing
                assert probe or (len(awaited) <= self.most and len(others) <= 2 * self.most)
            case fx.Launch():
                child = self.children[effect.process_id]
                assert (child.ready, child.killed) == (True, False), "a job for a process that is on its way out"
                child.jobs.append((effect.job_id, effect.attempt))
            case fx.Kill():
                if effect.process_id in self.children:
                    self.children[effect.process_id].killed = True
            case fx.RollBack():
                assert self.generation == effect.generation
                self.generation = self.core.pool.serving
                assert 0 < self.generation < effect.generation
                self.core.desk.tell(
                    ev.ReloadFailed(at=0, generation=effect.generation, problem={}, serving=self.generation)
                )
            case fx.Settle():
                assert not self.core.pool.fallback or self.core.pool.fallback >= effect.generation
            case fx.CloseRoom():
                self.closed.add(effect.job_id)
            case fx.Exit():
                self.exits.append(effect)

    @property
    def most(self) -> int:
        return self.core.options.max_processes

    def lingers(self, child: Child) -> bool:
        """It has been leaving for so long that its place is another's."""
        return self.core.state.processes[child.id].state == "stopping" and self.core.pool.slots[child.id].overdue

    def pick(self, number: int, **which: Any) -> Child | None:
        found = [c for c in self.children.values() if all(getattr(c, k) == v for k, v in which.items())]
        return found[number % len(found)] if found else None

    # --- jobs -----------------------------------------------------------------------------------

    @rule(force=st.booleans(), own=st.booleans(), early=st.booleans())
    def submit(self, force: bool, own: bool, early: bool) -> None:
        job_id = f"job-{len(self.ends) + self.accepted}-{self.time}"
        if job_id in self.core.state.jobs:
            return
        before = len(self.core.state.active_jobs())
        verdict = self.core.submit(job_id, "room", {}, self.now, force=force, own=own, early=early)
        taken = job_id in self.core.state.jobs
        assert taken == (verdict.status == "ready")
        if taken:
            assert before < self.most
            self.accepted += 1
            self.ends.setdefault(job_id, [])
        self.flush()

    @rule(number=st.integers(0, 20))
    def end_job(self, number: int) -> None:
        jobs = list(self.core.state.jobs)
        if jobs:
            self.core.end_job(jobs[number % len(jobs)], self.now)
            self.flush()

    @rule(number=st.integers(0, 20), part=st.sampled_from(["taken", "started", "report"]))
    def child_begins(self, number: int, part: str) -> None:
        child = self.pick(number, ready=True)
        if child is None or not child.jobs:
            return
        job_id, attempt = child.jobs[-1]
        if part == "taken":
            self.core.job_taken(child.id, job_id, self.now)
        elif part == "started":
            self.core.job_started(child.id, job_id, attempt, 0.5, self.now)
        else:
            self.core.job_reported(child.id, job_id, {"n": 1}, self.now)
        self.flush()

    @rule(
        number=st.integers(0, 20), reason=st.sampled_from(["returned", "cancelled", "raised", "exited"]),
        seen=st.booleans(), late=st.integers(-1, 1), free=st.booleans(),
    )  # fmt: skip
    def child_ends_its_job(self, number: int, reason: str, seen: bool, late: int, free: bool) -> None:
        child = self.pick(number, ready=True)
        if child is None or not child.jobs:
            return
        job_id, attempt = child.jobs[-1]
        if reason == "returned":
            self.returned.add((job_id, attempt + late))
        self.core.job_over(child.id, job_id, attempt + late, End(reason), seen, self.now)
        self.flush()
        if free:
            self.core.process_free(child.id, self.now)
            self.flush()

    @rule(process=st.integers(0, 9), job=st.integers(0, 9), what=st.sampled_from(["taken", "started", "over", "free"]))
    def child_talks_nonsense(self, process: int, job: int, what: str) -> None:
        jobs = [*self.core.state.jobs, "nobody"]
        job_id = jobs[job % len(jobs)]
        if what == "taken":
            self.core.job_taken(process, job_id, self.now)
        elif what == "started":
            self.core.job_started(process, job_id, 7, 0.1, self.now)
        elif what == "over":
            self.core.job_over(process, job_id, 7, End("returned"), True, self.now)
        else:
            self.core.process_free(process, self.now)
        self.flush()

    # --- processes ------------------------------------------------------------------------------

    @rule(number=st.integers(0, 20))
    def child_boots(self, number: int) -> None:
        child = self.pick(number, ready=False)
        if child is None:
            return
        if not child.forked:
            child.forked = True
            self.core.process_forked(child.id, 5000 + child.id, self.now)
            self.flush()
            return
        child.ready = self.core.process_ready(child.id, 5.0, self.now)
        if child.ready and child.generation == self.loading:
            self.promote()
        self.flush()

    def promote(self) -> None:
        self.generation, self.loading = self.loading, 0
        self.core.desk.tell(
            ev.ReloadDone(at=0, generation=self.generation, took_ms=1, start_method="zygote", start_method_why="")
        )
        self.core.generation_promoted(self.generation, self.now)

    @rule(
        number=st.integers(0, 20), code=st.sampled_from([0, 3, None]), told=st.booleans(), mine=st.booleans()
    )  # fmt: skip
    def child_exits(self, number: int, code: int | None, told: bool, mine: bool) -> None:
        child = self.pick(number, killed=True) if mine else self.pick(number)
        if child is None:
            return
        if told:
            self.core.process_lost(child.id)
            self.core.load_measured(None, self.now)  # any news in between
            self.flush()
        starting = self.core.state.processes[child.id].state == "starting"
        del self.children[child.id]
        if not child.forked and not child.killed:
            self.core.process_exited(child.id, None, None, self.now, "fork: no memory")
        else:
            self.core.process_exited(child.id, code, "SIGKILL" if code is None else None, self.now)
        if starting and child.generation == self.loading and (self.generation or self.core.boot_failed):
            self.loading = 0
            self.core.generation_dropped(self.now)
        self.flush()

    @rule(number=st.integers(0, 20), what=st.sampled_from(["hung", "signalled", "operator", "lost", "big", "huge"]))
    def trouble(self, number: int, what: str) -> None:
        child = self.pick(number, forked=True)
        if child is None:
            return
        if what == "operator":
            self.core.kill_process(child.id, self.now)
        elif what == "lost":
            self.core.process_lost(child.id)
        elif what in ("big", "huge"):
            self.core.memory_measured(child.id, 600.0 if what == "big" else 9000.0, self.now)
        else:
            self.core.doom(child.id, what, "words", self.now)
        self.flush()

    @rule(number=st.integers(0, 20), what=st.sampled_from(["hung", "operator", "lost"]), own=st.booleans())
    def a_job_comes_in_the_middle_of_trouble(self, number: int, what: str, own: bool) -> None:
        self.trouble(number, what)
        self.submit(force=True, own=own, early=False)

    @rule(number=st.integers(0, 20), own=st.booleans())
    def a_job_begins(self, number: int, own: bool) -> None:
        self.submit(force=True, own=own, early=True)
        for child in self.children.values():
            if child.jobs:
                self.core.job_started(child.id, *child.jobs[-1], 0.5, self.now)
        self.flush()

    # --- code -----------------------------------------------------------------------------------

    @rule()
    def save(self) -> None:
        if self.loading:
            self.core.generation_dropped(self.now)
            self.flush()
        self.saves += 1
        self.loading = self.saves
        self.core.generation_loaded(self.loading, "zygote", self.now)
        self.flush()

    @rule()
    def save_and_serve(self) -> None:
        self.save()
        for child in [c for c in self.children.values() if c.generation == self.loading]:
            self.core.process_forked(child.id, 5000 + child.id, self.now)
            child.forked, child.ready = True, self.core.process_ready(child.id, 5.0, self.now)
            self.promote()
        self.flush()

    @precondition(lambda self: self.loading)
    @rule()
    def new_code_fails(self) -> None:
        self.loading = 0
        self.core.generation_dropped(self.now)
        self.flush()

    @precondition(lambda self: self.generation)
    @rule()
    def zygote_dies(self) -> None:
        assert self.core.zygote_lost("the zygote died", self.now) >= 0
        self.flush()

    @precondition(lambda self: self.core.pool.fallback)
    @rule()
    def older_zygote_dies(self) -> None:
        self.core.zygote_gone(self.core.pool.fallback)
        self.flush()

    @rule(
        most=st.integers(1, 4), idle=st.integers(0, 4), each=st.sampled_from([0, 1, 3]),
        job_timeout=st.sampled_from([0.0, 5.0]), close=st.sampled_from([0.0, 3.0, 60.0]),
        load=st.sampled_from(["cpu", "jobs"]), threshold=st.sampled_from([0.5, float("inf")]),
        limit=st.sampled_from([0.0, 1000.0]),
    )  # fmt: skip
    def tune(
        self, most: int, idle: int, each: int, job_timeout: float, close: float, load: str, threshold: float,
        limit: float,
    ) -> None:  # fmt: skip
        self.options = {
            "max_processes": most, "num_idle_processes": min(idle, most), "max_jobs_per_process": each,
            "job_timeout": job_timeout, "close_timeout": close, "load": load, "load_threshold": threshold,
            "memory_limit_mb": limit,
        }  # fmt: skip
        self.core.set_options(Options(**self.options), self.now)
        self.flush()

    @rule(load=st.sampled_from([None, 0.1, 0.6, 0.9]))
    def measure(self, load: float | None) -> None:
        self.core.load_measured(load, self.now)
        self.core.heal_check(self.now)
        self.flush()

    # --- the worker and the clock ---------------------------------------------------------------

    @rule(then_exit=st.sampled_from([False, False, False, True]))
    def drain(self, then_exit: bool) -> None:
        self.core.drain("asked", self.now, then_exit=then_exit)
        self.flush()

    @rule()
    def admit(self) -> None:
        self.core.admit(self.now)
        self.flush()

    @precondition(lambda self: self.time > 1060)
    @rule(number=st.sampled_from([2, 15]))
    def signal(self, number: int) -> None:
        self.core.signalled(number, "SIGTERM", self.now)
        self.flush()

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        end, ticks = self.time + seconds, 0
        while (due := self.core.next_wakeup()) is not None and due <= end:
            self.time = max(self.time, due)
            self.core.tick(self.now)
            self.flush()
            ticks += 1
            assert ticks < 200, "it wakes up all the time"
        self.time = end

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def counts_hold(self) -> None:
        state = self.core.state
        assert set(state.processes) == set(self.children) == set(self.core.pool.slots)
        assert state.active_jobs() == [job for job in state.jobs.values() if job.status not in ENDED]
        held = [job.process_id for job in state.active_jobs() if job.process_id]
        assert len(held) == len(set(held)), "two jobs in one process"
        assert not self.core.has_news

    @invariant()
    def every_end_is_the_only_one(self) -> None:
        for job_id, ends in self.ends.items():
            job = self.core.state.jobs[job_id]
            assert len(ends) == (job.status in ENDED)
            for end in ends:
                if end.status == "completed":
                    last = job.attempts[-1]["attempt"] if job.attempts else job.attempt + 1
                    assert (job_id, last) in self.returned
        jobs, active = self.core.jobs, self.core.state.active_jobs()
        assert set(jobs.launches) == {job.id for job in active}
        assert {*jobs.ladders, *jobs.began} <= {job.id for job in active if job.status != "queued"}
        assert self.closed == {job_id for job_id, ends in self.ends.items() if ends}

    @invariant()
    def clients_see_the_same(self) -> None:
        assert self.client.to_json() == self.core.state.to_json()

    @invariant()
    def nobody_waits_beside_an_idle_process(self) -> None:
        state, pool = self.core.state, self.core.pool
        waiting = [job for job in state.active_jobs() if job.status == "queued"]
        free = [p for p in pool.available("idle") if p.generation in (pool.serving, state.worker.generation)]
        assert not (waiting and free and state.worker.generation)

    def teardown(self) -> None:
        """Whatever happened: a worker that is let alone serves again, and one that is stopped ends."""
        if not self.core.closing.begun:
            self.be_kind()
        self.core.stop("the test ends", 0, self.now)
        self.flush()
        for _ in range(40):
            for child in [c for c in self.children.values() if c.killed and c.forked]:
                del self.children[child.id]
                self.core.process_exited(child.id, None, "SIGKILL", self.now)
                self.flush()
            self.pass_time(1.0)
        assert len(self.exits) == 1
        assert not self.core.state.active_jobs()

    def be_kind(self) -> None:
        self.core.set_options(Options(load_threshold=float("inf"), num_idle_processes=2), self.now)
        self.core.admit(self.now)
        self.flush()
        for _ in range(60):
            if not (self.core.pool.serving or self.core.pool.probing):
                self.save()  # as the worker does where nothing can be made a process from
            for child in list(self.children.values()):
                self.behave(child)
            self.pass_time(2.0)
            self.core.load_measured(0.0, self.now)
            self.core.heal_check(self.now)
            self.flush()
        state = self.core.state
        assert state.worker.status == "ready"
        assert not state.active_jobs()
        assert len(self.core.pool.available("idle")) == 2 == len(state.processes)

    def behave(self, child: Child) -> None:
        """One step of a child that does as it should."""
        process = self.core.state.processes[child.id]
        slot = self.core.pool.slots[child.id]
        if child.killed or slot.lost or process.state == "stopping":
            del self.children[child.id]
            self.core.process_exited(child.id, None, "SIGKILL", self.now)
        elif not child.ready:
            child.forked = True
            child.ready = self.core.process_ready(child.id, 5.0, self.now)
            if child.ready and child.generation == self.loading:
                self.promote()
        elif process.state == "busy":
            job = self.core.jobs.held_by(process)
            if job is None:
                self.core.process_free(child.id, self.now)
            else:
                attempt = job.attempt + (job.status == "starting")
                self.core.job_started(child.id, job.id, attempt, 0.3, self.now)
                self.returned.add((job.id, attempt))
                self.core.job_over(child.id, job.id, attempt, End("returned"), False, self.now)
        self.flush()


Worker.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, derandomize=True,

)  # fmt: skip
TestAnyOrderOfEvents = Worker.TestCase
