"""Decisions without a world: each test tells the core what happened and looks at what it wants done."""

import random
from typing import Any

import pytest

from tests.defences import defence
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import LoadGate
from workbench.model.core import Core, Now
from workbench.model.ending import End
from workbench.model.options import Options
from workbench.model.state import Job

FOREVER = 10_000.0


class Bench:
    """A core, a clock, and everything the core ever said and wanted."""

    def __init__(self, **options: Any) -> None:
        self.core = Core(Options(**{"load_threshold": float("inf"), **options}), rng=random.Random(7))
        self.time = 1000.0
        self.events: list[ev.Event] = []
        self.effects: list[fx.Effect] = []
        self.jobs = 0

    @property
    def now(self) -> Now:
        return Now(self.time, 1_700_000_000.0 + self.time)

    def take(self) -> list[fx.Effect]:
        """The effects since the last look."""
        events, effects = self.core.take()
        self.events += events
        self.effects += effects
        return effects

    def of(self, kind: type[fx.Effect]) -> list[Any]:
        """The effects of one kind since the last look."""
        return [effect for effect in self.take() if isinstance(effect, kind)]

    def wait(self, seconds: float) -> list[fx.Effect]:
        """Let time pass as the shell does: a tick whenever one is due."""
        end, ticks, before = self.time + seconds, 0, len(self.effects)
        while (due := self.core.next_wakeup()) is not None and due <= end:
            self.time = max(self.time, due)
            self.core.tick(self.now)
            self.take()
            ticks += 1
            assert ticks < 1000, f"it wakes up again and again for {due - self.time:.3f} s"
        self.time = end
        self.take()
        return self.effects[before:]

    def serve(self, generation: int = 1, method: str = "zygote") -> list[int]:
        """Load and promote a generation; the processes that are ready afterwards."""
        self.core.generation_loaded(generation, method, self.now)
        (probe,) = [e.process_id for e in self.of(fx.Spawn) if e.generation == generation]
        self.ready(probe)
        self.promote(generation)
        return [probe, *(self.ready(e.process_id) for e in self.of(fx.Spawn))]

    def promote(self, generation: int) -> None:
        done = ev.ReloadDone(at=0, generation=generation, took_ms=0, start_method="zygote", start_method_why="")
        self.core.state.apply(done)
        self.core.generation_promoted(generation, self.now)

    def ready(self, process_id: int) -> int:
        self.core.process_forked(process_id, 5000 + process_id, self.now)
        self.core.process_ready(process_id, 5.0, self.now)
        return process_id

    def submit(self, **how: Any) -> str:
        self.jobs += 1
        job_id = f"job-{self.jobs}"
        self.core.submit(job_id, "room", {}, self.now, **how)
        return job_id

    def start(self, **how: Any) -> tuple[Job, int]:
        """A job that runs, and its process."""
        job = self.core.state.jobs[self.submit(**how)]
        (launch,) = self.of(fx.Launch)
        self.core.job_taken(launch.process_id, job.id, self.now)
        self.core.job_started(launch.process_id, job.id, launch.attempt, 0.4, self.now)
        return job, launch.process_id

    def over(self, job: Job, reason: str = "returned", *, seen: bool = False) -> None:
        self.core.job_over(job.process_id or 0, job.id, job.attempt, End(reason), seen, self.now)

    def exit(self, process_id: int, code: int | None = None, signal: str | None = "SIGKILL") -> None:
        self.core.process_exited(process_id, code, signal, self.now)

    def state(self, process_id: int) -> str:
        return self.core.state.processes[process_id].state


# --- launching --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["operator", "hung", "dropped", "closed its channel"])
def test_a_job_is_not_given_to_a_process_that_is_on_its_way_out(how: str) -> None:
    bench = Bench(max_processes=3)
    (idle,) = bench.serve()
    if how == "operator":
        bench.core.kill_process(idle, bench.now)
    elif how == "hung":
        bench.core.doom(idle, "hung", "it stood still", bench.now)
    elif how == "closed its channel":
        bench.core.process_lost(idle)
    else:
        bench.core.pool.kill(bench.core.state.processes[idle])
    bench.submit()
    effects = bench.take()
    assert not [e for e in effects if isinstance(e, fx.Launch)]
    fresh = bench.ready([e.process_id for e in bench.effects if isinstance(e, fx.Spawn)][-1])
    assert [e.process_id for e in bench.of(fx.Launch)] == [fresh]


def test_a_process_that_was_given_up_while_it_started_never_becomes_idle() -> None:
    bench = Bench()
    bench.serve()
    bench.core.generation_loaded(2, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    bench.core.generation_dropped(bench.now)
    bench.ready(probe)  # its word was on its way
    for _ in range(2):
        bench.submit()
    assert probe not in [e.process_id for e in bench.of(fx.Launch)]


def test_a_job_outlives_more_corpses_than_it_may_kill_processes() -> None:
    bench = Bench(max_processes=8, num_idle_processes=6)
    corpses = bench.serve()
    job_id = bench.submit()
    for _ in corpses:
        (launch,) = bench.of(fx.Launch)
        bench.exit(launch.process_id)
    bench.take()
    assert bench.core.state.jobs[job_id].status == "queued"
    bench.wait(60)
    bench.ready([e.process_id for e in bench.effects if isinstance(e, fx.Spawn)][-1])
    assert bench.core.state.jobs[job_id].status == "starting"


def test_a_job_that_kills_three_processes_before_it_begins_has_failed() -> None:
    bench = Bench(max_processes=8, num_idle_processes=6)
    bench.serve()
    job_id = bench.submit()
    for _ in range(3):
        (launch,) = bench.of(fx.Launch)
        bench.core.job_taken(launch.process_id, job_id, bench.now)
        bench.exit(launch.process_id, signal="SIGSEGV")
    job = bench.core.state.jobs[job_id]
    assert (job.status, job.reason, job.signal) == ("failed", "init_failed", "SIGSEGV")


def test_a_job_whose_process_hangs_before_it_has_read_it_is_launched_again() -> None:
    bench = Bench(max_processes=3, num_idle_processes=2)
    bench.serve()
    job_id = bench.submit()
    (launch,) = bench.of(fx.Launch)
    bench.core.doom(launch.process_id, "hung", "it stood still", bench.now)
    bench.exit(launch.process_id)
    assert bench.core.state.jobs[job_id].status == "starting"
    assert bench.of(fx.Launch)[-1].process_id != launch.process_id


def test_a_job_ended_before_its_process_read_it_is_cancelled_whatever_kills_the_process() -> None:
    bench = Bench()
    bench.serve()
    job_id = bench.submit()
    (launch,) = bench.of(fx.Launch)
    bench.core.end_job(job_id, bench.now)
    bench.core.doom(launch.process_id, "hung", "it stood still", bench.now)
    bench.exit(launch.process_id)
    job = bench.core.state.jobs[job_id]
    assert (job.status, job.reason, job.error) == ("cancelled", "cancelled", None)


def test_a_job_that_could_not_even_begin_ends_by_what_the_child_says() -> None:
    bench = Bench()
    bench.serve()
    job_id = bench.submit()
    (launch,) = bench.of(fx.Launch)
    bench.core.job_over(launch.process_id, job_id, 1, End("raised", "ValueError: no context"), False, bench.now)
    job = bench.core.state.jobs[job_id]
    assert (job.status, job.reason, job.attempt) == ("failed", "raised", 0)


def test_the_word_of_an_earlier_attempt_is_late() -> None:
    bench = Bench(max_processes=2, num_idle_processes=2)
    bench.serve()
    job, process_id = bench.start(own=True)
    bench.core.job_over(process_id, job.id, 2, End("returned"), False, bench.now)
    assert job.status == "running"
    bench.take()
    assert [e.text for e in bench.events if isinstance(e, ev.LateReport)] == ["returned of attempt 2"]


# --- the pool ---------------------------------------------------------------------------------------


def test_processes_that_still_leave_count_against_max_processes() -> None:
    bench = Bench(max_processes=1)
    bench.serve()
    job, process_id = bench.start()
    bench.over(job)
    bench.submit()
    assert bench.state(process_id) == "stopping"
    assert bench.of(fx.Spawn) == []
    bench.exit(process_id, 0, None)
    assert len(bench.of(fx.Spawn)) == 1


@defence(("workbench/model/pool.py", "return len(alive) - min(left_over, most) < most", "return len(alive) < most"))
@defence(("workbench/model/pool.py", "            *(slot.awaited_until for slot in self.slots.values()),\n", ""))
def test_a_job_does_not_wait_for_a_process_that_takes_long_to_leave() -> None:
    bench = Bench(max_processes=1, close_timeout=60.0)
    bench.serve()
    bench.over(bench.start()[0])
    job_id = bench.submit()
    assert [e for e in bench.wait(0.9) if isinstance(e, fx.Spawn)] == []
    (spawn,) = [e for e in bench.wait(0.2) if isinstance(e, fx.Spawn)]
    bench.ready(spawn.process_id)
    assert [e.job_id for e in bench.of(fx.Launch)] == [job_id]


@defence(("workbench/model/pool.py", "min(left_over, most)", "left_over"))
def test_no_more_processes_are_left_over_than_may_run() -> None:
    bench = Bench(max_processes=2, num_idle_processes=0, close_timeout=60.0)
    bench.serve()
    for _ in range(10):
        bench.submit()
        bench.wait(2)
        for process in bench.core.state.live("starting"):
            bench.ready(process.id)
        for launch in bench.of(fx.Launch):
            bench.core.job_started(launch.process_id, launch.job_id, launch.attempt, 0.4, bench.now)
        for job in bench.core.state.active_jobs():
            if job.status == "running":
                bench.over(job)
    assert len(bench.core.state.processes) == 4


@defence(("workbench/model/pool.py", "not slot.overdue for slot", "True for slot"))
def test_a_start_that_hangs_does_not_keep_others_from_the_only_cpu() -> None:
    bench = Bench(max_processes=4, initialize_timeout=60.0)
    bench.core.pool.cpus = 1
    bench.core.generation_loaded(1, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    bench.core.process_forked(probe, 5000, bench.now)
    bench.wait(1)  # a slow start
    bench.core.process_ready(probe, 1000.0, bench.now)
    bench.promote(1)
    bench.start()
    (hanging,) = bench.core.state.live("starting")
    bench.core.process_forked(hanging.id, 5001, bench.now)
    job_id = bench.submit()
    assert [e for e in bench.wait(4.5) if isinstance(e, fx.Spawn)] == []
    (spawn,) = [e for e in bench.wait(1) if isinstance(e, fx.Spawn)]
    bench.ready(spawn.process_id)
    assert [e.job_id for e in bench.of(fx.Launch)] == [job_id]


@defence(("workbench/model/pool.py", "max(STARTS_WITHIN_S, 2 * self._start_s)", "STARTS_WITHIN_S"))
def test_starts_that_need_a_cpu_for_long_have_it_to_themselves_for_long() -> None:
    bench = Bench(max_processes=4, initialize_timeout=60.0)
    bench.core.pool.cpus = 1
    bench.core.generation_loaded(1, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    bench.core.process_forked(probe, 5000, bench.now)
    bench.wait(10)
    bench.core.process_ready(probe, 10_000.0, bench.now)
    bench.promote(1)
    bench.start()
    bench.submit()
    assert [e for e in bench.wait(15) if isinstance(e, fx.Spawn)] == []


@defence(("workbench/model/core.py", "            if self._worn(process):\n", "            if False:\n"))
def test_isolation_asked_for_holds_for_the_next_job() -> None:
    bench = Bench(max_processes=3, num_idle_processes=2, max_jobs_per_process=0)
    bench.serve()
    job, used = bench.start()
    bench.over(job)
    bench.core.process_free(used, bench.now)
    bench.take()
    bench.core.set_options(Options(load_threshold=float("inf"), num_idle_processes=2), bench.now)
    assert bench.of(fx.Dismiss) == [fx.Dismiss(used)]
    assert bench.start()[1] != used


@defence(
    (
        "workbench/model/core.py",
        "            self.pool.slots[process_id].expected = True  # it is no failure",
        "            # it",
    )
)
def test_what_an_ended_job_left_behind_costs_its_process_and_neither_the_pool_nor_the_next_job() -> None:
    bench = Bench(max_processes=3, num_idle_processes=2, max_jobs_per_process=0, memory_limit_mb=100.0)
    bench.serve()
    job, used = bench.start()
    bench.over(job)
    bench.core.process_free(used, bench.now)
    bench.core.memory_measured(used, 150.0, bench.now)
    assert bench.of(fx.Kill) == [fx.Kill(used)]
    after, fresh = bench.start()
    bench.exit(used)
    assert (fresh != used, after.active) == (True, True)
    assert bench.core.state.counters["processes_died"] == 0
    assert not bench.core.pool.backoff.failures
    assert [e.text for e in bench.events if isinstance(e, ev.Noted)] == [
        f"process {5000 + used} is killed: what its job left behind held 150 MB, over 100 MB (memory_limit_mb)"
    ]


def test_a_process_of_older_code_that_starts_during_a_reload_does_not_stay() -> None:
    bench = Bench(max_processes=4, num_idle_processes=2)
    bench.core.generation_loaded(1, "zygote", bench.now)
    bench.ready(bench.of(fx.Spawn)[0].process_id)
    bench.promote(1)
    (slow,) = [e.process_id for e in bench.of(fx.Spawn)]
    bench.core.generation_loaded(2, "zygote", bench.now)
    probe = next(e.process_id for e in bench.of(fx.Spawn) if e.generation == 2)
    bench.ready(probe)
    bench.promote(2)
    bench.ready(slow)
    bench.take()
    assert fx.Kill(slow) in bench.effects
    assert bench.state(slow) != "idle"


def test_old_code_is_kept_ready_while_a_slow_new_generation_warms_up() -> None:
    bench = Bench(max_processes=4)
    bench.serve()
    bench.core.generation_loaded(2, "zygote", bench.now)
    assert [e.generation for e in bench.of(fx.Spawn)] == [2]
    job, _ = bench.start()
    assert job.generation == 1
    spawn = [e for e in bench.effects if isinstance(e, fx.Spawn)][-1]
    assert spawn.generation == 1
    bench.ready(spawn.process_id)
    assert bench.start()[0].generation == 1


def test_idle_processes_serve_on_when_their_zygote_has_died() -> None:
    bench = Bench(max_processes=4, num_idle_processes=2)
    idle = bench.serve()
    bench.core.zygote_lost("the zygote died", bench.now)
    assert not [e for e in bench.take() if isinstance(e, fx.Kill)]
    assert bench.start()[1] in idle
    bench.wait(5)
    assert not [e for e in bench.effects if isinstance(e, fx.Spawn) and e.process_id > max(idle)]


def test_a_zygote_that_dies_again_and_again_is_held_back_and_refuses_jobs() -> None:
    bench = Bench(max_processes=4)
    bench.serve()
    delays = [bench.core.zygote_lost("the zygote died", bench.now) for _ in range(5)]
    assert (delays[0], delays[-1]) == (0.0, 30.0)
    assert bench.core.judge().status == "degraded"


def test_a_degraded_pool_without_idle_processes_tries_one_and_heals() -> None:
    bench = Bench(max_processes=4, num_idle_processes=0)
    bench.core.generation_loaded(1, "zygote", bench.now)
    bench.ready(bench.of(fx.Spawn)[0].process_id)
    bench.promote(1)
    bench.wait(10)
    for process in list(bench.core.state.processes):
        bench.exit(process, 0, None)
    bench.submit()
    for _ in range(5):
        bench.wait(5)
        for process in bench.core.state.live("starting"):
            bench.exit(process.id, 3, None)
    assert bench.core.judge().status == "degraded"
    bench.wait(40)
    (probe,) = bench.core.state.live("starting")
    bench.ready(probe.id)
    bench.time += 6
    bench.core.heal_check(bench.now)
    assert bench.core.judge().status == "ready"


def test_a_start_of_the_workbenchs_own_job_heals_a_degraded_pool_for_all_to_see() -> None:
    bench = Bench(max_processes=2)
    bench.serve()
    bench.wait(10)
    for process in list(bench.core.state.processes):
        bench.exit(process, 0, None)
    for _ in range(5):
        bench.submit(own=True)
        bench.wait(1)
        for process in bench.core.state.live("starting"):
            bench.exit(process.id, 3, None)
    assert bench.core.state.worker.degraded
    bench.wait(40)
    (probe,) = bench.core.state.live("starting")
    bench.ready(probe.id)
    (launch,) = bench.of(fx.Launch)
    bench.core.job_started(launch.process_id, launch.job_id, 1, 0.4, bench.now)
    assert not bench.core.state.worker.degraded


def test_new_code_is_tried_at_once_although_the_old_code_is_held_back() -> None:
    bench = Bench(max_processes=2)
    bench.serve()
    for process in [*bench.core.state.processes]:
        bench.exit(process, 3, None)
    for _ in range(5):
        bench.wait(5)
        for process in bench.core.state.live("starting"):
            bench.exit(process.id, 3, None)
    assert bench.core.state.worker.degraded
    bench.take()
    bench.core.generation_loaded(2, "zygote", bench.now)
    (spawn,) = bench.of(fx.Spawn)
    bench.ready(spawn.process_id)
    bench.promote(2)
    assert bench.core.judge().status == "ready"


def test_new_code_has_all_its_tries_after_a_first_generation_that_could_not_boot() -> None:
    bench = Bench()
    bench.core.generation_loaded(1, "zygote", bench.now)
    while not bench.core.boot_failed:
        bench.wait(2)
        bench.exit(bench.core.state.live("starting")[0].id, 3, None)
    bench.core.generation_dropped(bench.now)
    bench.core.generation_loaded(2, "zygote", bench.now)
    assert not bench.core.boot_failed
    assert [e.generation for e in bench.effects + bench.take() if isinstance(e, fx.Spawn)][-1] == 2


def test_no_second_probe_is_made_while_the_end_of_the_first_is_awaited() -> None:
    bench = Bench(initialize_timeout=4.0)
    bench.core.generation_loaded(1, "zygote", bench.now)
    (probe,) = bench.of(fx.Spawn)
    bench.wait(5)
    assert [e for e in bench.effects if isinstance(e, fx.Kill)] == [fx.Kill(probe.process_id)]
    assert [e for e in bench.effects if isinstance(e, fx.Spawn)] == [probe]


def test_a_first_prewarm_that_waits_for_ever_fails_the_boot_at_its_limit() -> None:
    bench = Bench(initialize_timeout=60.0)
    bench.core.generation_loaded(1, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    assert fx.Kill(probe) in bench.wait(61)
    bench.exit(probe)
    assert bench.core.boot_failed


def test_the_death_of_a_probe_counts_against_its_generation_and_not_against_the_pool() -> None:
    bench = Bench()
    bench.serve()
    bench.core.generation_loaded(2, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    bench.exit(probe, 3, None)
    exited = [e for e in (bench.take(), bench.events)[1] if isinstance(e, ev.ProcessExited)]
    assert [e.unexpected for e in exited] == [False]
    assert not bench.of(fx.Spawn)


def test_a_process_of_older_code_whose_job_ended_just_before_the_new_code_served_takes_no_other() -> None:
    bench = Bench(max_processes=3, max_jobs_per_process=0)
    bench.serve()
    job, process_id = bench.start()
    bench.over(job)
    bench.serve(2)
    bench.core.process_free(process_id, bench.now)
    assert fx.Dismiss(process_id) in bench.take()
    assert bench.start()[1] != process_id


# --- time -------------------------------------------------------------------------------------------


def test_a_job_that_timed_out_does_not_wake_the_worker_all_the_time_while_it_ends() -> None:
    bench = Bench(job_timeout=1.0, close_timeout=60.0)
    bench.serve()
    job, process_id = bench.start()
    bench.wait(50)  # asserts a bound on ticks
    assert job.asked == "cancel"
    assert fx.Kill(process_id) in bench.wait(15)
    bench.exit(process_id)
    assert (job.status, job.reason) == ("failed", "timeout")


def test_a_hold_that_is_over_does_not_wake_the_worker_while_others_still_start() -> None:
    bench = Bench(max_processes=20, num_idle_processes=20)
    bench.serve()
    starting = bench.core.state.live("starting")
    assert len(starting) == 8
    bench.exit(starting[0].id, 3, None)
    bench.wait(10)  # asserts a bound on ticks


def test_every_rung_may_be_asked_for_and_more_than_there_are() -> None:
    bench = Bench(close_timeout=60.0)
    bench.serve()
    job, _ = bench.start()
    for _ in range(7):
        bench.core.end_job(job.id, bench.now)
    ladder = [type(e) for e in bench.take() if not isinstance(e, fx.Spawn)]
    assert ladder == [fx.AskEnd, fx.CancelJob, fx.Terminate, fx.Kill]


@defence(("workbench/model/ladder.py", "due + late_s if number > self.rung else due", "due"))
def test_after_a_standstill_of_the_worker_a_job_still_has_its_time_for_each_rung() -> None:
    bench = Bench(max_processes=1, close_timeout=60.0)
    bench.serve()
    job, _ = bench.start()
    bench.core.end_job(job.id, bench.now)
    bench.take()
    bench.time += 90  # nothing ran meanwhile
    bench.core.tick(bench.now)
    assert [type(e) for e in bench.take()] == [fx.CancelJob]
    assert [type(e) for e in bench.wait(57)] == []
    assert [type(e) for e in bench.wait(3)] == [fx.Terminate, fx.Kill]


# --- reports ----------------------------------------------------------------------------------------


@defence(("workbench/model/core.py", "job is not None and self.jobs.report_fits(job, fields, now)", "job is not None"))
@defence(("workbench/model/jobs.py", "if self.overfull[job.id] == 1:", "if self.overfull[job.id]:"))
def test_what_a_job_reports_is_bounded_all_in_all_and_told_once_when_it_is_too_much() -> None:
    bench = Bench()
    bench.serve()
    job, process_id = bench.start()
    for number in range(100):
        bench.core.job_reported(process_id, job.id, {f"key-{number}": "x" * 900}, bench.now)
    bench.core.job_reported(process_id, job.id, {"key-0": "last"}, bench.now)
    bench.take()
    assert job.report == {"key-0": "last"} | {f"key-{number}": "x" * 900 for number in (1, 2, 3)}
    (told,) = [e.text for e in bench.events if isinstance(e, ev.Noted)]
    assert told.startswith(f"{job.id}: report() not shown: ")
    bench.over(job)
    assert not bench.core.jobs.overfull


@defence(("workbench/model/jobs.py", "if count.bit_count() == 1:", "if count:"))
def test_what_a_job_left_behind_may_talk_on_for_ever_without_filling_the_log() -> None:
    bench = Bench(max_processes=3, max_jobs_per_process=0)
    bench.serve()
    job, process_id = bench.start()
    bench.over(job)
    bench.core.process_free(process_id, bench.now)
    for number in range(1000):
        bench.core.job_reported(process_id, job.id, {"turns": number}, bench.now)
    bench.take()
    late = [e.text for e in bench.events if isinstance(e, ev.LateReport)]
    words = f"report from process {process_id} came too late"
    assert late == [words, *(f"{words}; {2**power} of such so far" for power in range(1, 10))]
    assert job.report == {}


# --- ends -------------------------------------------------------------------------------------------


def test_a_job_on_its_way_to_new_code_can_still_be_ended() -> None:
    bench = Bench(max_processes=3)
    bench.serve()
    job, _ = bench.start(own=True)
    bench.serve(2)
    bench.core.end_job(job.id, bench.now)
    bench.over(job, seen=True)
    assert (job.status, job.reason) == ("cancelled", "cancelled")


def test_a_drain_ends_a_job_on_its_way_to_new_code() -> None:
    bench = Bench(max_processes=3)
    bench.serve()
    job, _ = bench.start(own=True)
    bench.serve(2)
    bench.core.drain("SIGTERM", bench.now, then_exit=True)
    bench.over(job, seen=True)
    assert job.status == "cancelled"
    assert [type(e) for e in bench.wait(2)][-1] is fx.Exit


def test_a_return_before_the_job_heard_of_new_code_is_its_end() -> None:
    bench = Bench(max_processes=3)
    bench.serve()
    job, _ = bench.start(own=True)
    bench.serve(2)
    bench.over(job, seen=False)
    assert (job.status, job.reason) == ("completed", "returned")


def test_two_reloads_in_a_row_do_not_hurry_the_workbenchs_own_job() -> None:
    bench = Bench(max_processes=4)
    bench.serve()
    job, _ = bench.start(own=True)
    bench.serve(2)
    bench.serve(3)
    assert job.asked == "end"


def test_a_second_signal_does_not_give_an_ending_job_more_time() -> None:
    bench = Bench(close_timeout=4.0)
    bench.serve()
    _, process_id = bench.start()
    bench.core.signalled(15, "SIGTERM", bench.now)
    bench.core.end_job(next(iter(bench.core.state.jobs)), bench.now)
    bench.wait(3.5)
    bench.core.signalled(15, "SIGTERM", bench.now)
    assert [type(e) for e in bench.wait(1.6)] == [fx.Terminate, fx.Kill]
    bench.exit(process_id)
    assert bench.wait(2)[-1] == fx.Exit(143, "all jobs have ended")


def test_a_second_signal_after_a_cut_drain_decides_the_exit_code() -> None:
    bench = Bench(drain_timeout=1.0, close_timeout=1.0)
    bench.serve()
    _, process_id = bench.start()
    bench.core.signalled(15, "SIGTERM", bench.now)
    bench.wait(1.5)
    bench.core.signalled(2, "SIGINT", bench.now)
    bench.exit(process_id)
    assert bench.wait(2)[-1] == fx.Exit(130, "all jobs have ended")


def test_a_third_signal_ends_the_worker_although_a_process_cannot_be_killed() -> None:
    bench = Bench()
    bench.serve()
    job, process_id = bench.start()
    for _ in range(3):
        bench.core.signalled(15, "SIGTERM", bench.now)
    assert fx.Kill(process_id) in bench.take()
    assert bench.wait(10)[-1] == fx.Exit(143, "all jobs have ended")
    assert (job.status, job.reason) == ("failed", "drain_cut")


def test_at_the_end_a_process_may_leave_by_itself_but_not_for_long() -> None:
    bench = Bench()
    bench.serve()
    job, process_id = bench.start()
    bench.core.drain("SIGTERM", bench.now, then_exit=True)
    bench.over(job)
    effects = bench.take()
    assert fx.Dismiss(process_id) in effects
    assert not [e for e in effects if isinstance(e, fx.Exit)]
    assert [e for e in bench.wait(2) if isinstance(e, fx.Exit)] == [fx.Exit(0, "all jobs have ended")]


def test_no_process_is_made_once_the_worker_is_being_taken_down() -> None:
    bench = Bench(max_processes=4, num_idle_processes=4)
    idle = bench.serve()
    bench.core.close()
    for process in idle:
        bench.exit(process)
    assert not bench.of(fx.Spawn)
    assert bench.core.next_wakeup() is None


# --- load -------------------------------------------------------------------------------------------


def test_the_gate_closes_at_the_threshold_and_opens_after_two_seconds_well_below() -> None:
    gate = LoadGate()
    course = [
        (0.0, 0.74, False), (0.25, 0.75, True), (0.5, 0.69, True), (2.4, 0.69, True), (2.45, 0.71, True),
        (2.5, 0.69, True), (4.4, 0.69, True), (4.5, 0.69, False), (4.6, 0.72, False), (4.7, None, False),
        (4.8, 0.9, True), (4.9, None, False),
    ]  # fmt: skip
    assert [gate.update(load, 0.75, now) for now, load, _ in course] == [closed for _, _, closed in course]
    assert not gate.update(1.0, float("inf"), 9.0)


def test_a_second_stall_is_not_told_with_the_line_of_the_first() -> None:
    bench = Bench()
    (process_id,) = bench.serve()
    told = [("", 1.0), ("bot.py:3 in first", 1.2), None, ("", 1.0), ("bot.py:9 in second", 1.3)]
    seen = []
    for one in told:
        if one is None:
            bench.core.desk.tell(ev.ProcessResumed(at=0, id=process_id))
        else:
            bench.core.desk.tell(ev.ProcessStalled(at=0, id=process_id, stack=one[0], age_s=one[1]))
        seen.append(bench.core.state.processes[process_id].stack)
    assert seen == ["", "bot.py:3 in first", "bot.py:3 in first", "", "bot.py:9 in second"]


def test_processes_that_run_several_jobs_stay_while_jobs_come_and_leave_when_none_do() -> None:
    bench = Bench(max_processes=5, max_jobs_per_process=0)
    bench.serve()
    for _ in range(50):
        job, process_id = bench.start()
        for spawned in bench.core.state.live("starting"):
            bench.ready(spawned.id)
        bench.over(job)
        bench.core.process_free(process_id, bench.now)
        bench.wait(0.2)
    assert len([e for e in bench.effects if isinstance(e, fx.Spawn)]) == 2
    bench.wait(10)
    assert len(bench.core.state.live("idle")) == 1


def test_of_a_burst_of_processes_those_leave_that_the_jobs_after_it_do_not_need() -> None:
    bench = Bench(max_processes=5, max_jobs_per_process=0)
    bench.serve()
    burst = [bench.submit() for _ in range(5)]
    for launch in bench.of(fx.Launch):
        bench.core.job_started(launch.process_id, launch.job_id, launch.attempt, 0.4, bench.now)
    while starting := bench.core.state.live("starting"):
        bench.ready(starting[0].id)
        for launch in bench.of(fx.Launch):
            bench.core.job_started(launch.process_id, launch.job_id, launch.attempt, 0.4, bench.now)
    for job in [bench.core.state.jobs[job_id] for job_id in burst]:
        bench.over(job)
        bench.core.process_free(job.process_id or 0, bench.now)
    assert len(bench.core.state.live("idle")) == 5
    for _ in range(60):
        job, process_id = bench.start()
        bench.wait(0.1)
        bench.over(job)
        bench.core.process_free(process_id, bench.now)
        bench.wait(0.1)
    assert len(bench.core.state.live("idle", "busy")) == 2


@pytest.mark.parametrize("rungs", [3, 4])
def test_a_process_that_was_sent_a_deadly_signal_gets_no_other_job_although_its_job_ends_by_itself(rungs: int) -> None:
    bench = Bench(max_processes=1, max_jobs_per_process=0)
    bench.serve()
    job, process_id = bench.start()
    for _ in range(rungs):
        bench.core.end_job(job.id, bench.now)
    bench.over(job, seen=True)
    bench.core.process_free(process_id, bench.now)
    bench.submit()
    assert [launch.process_id for launch in bench.of(fx.Launch) if launch.job_id != job.id] == []
    bench.exit(process_id)
    assert bench.core.judge().status != "degraded"
