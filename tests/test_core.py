"""Decisions without a world: each test tells the core what happened and looks at what it wants done."""

import random
from typing import Any

import pytest

from tests.defences import defence
from workbench.model import effects as fx
from workbench.model import events as ev
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
