"""Decisions about generations, without a world: promotion, trial and roll-back, and what becomes of jobs."""

from typing import Any

import pytest

from tests.defences import defence
from tests.test_core import Bench
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.core import Core

POOL = "workbench/model/pool.py"
CORE = "workbench/model/core.py"


def promoted(bench: Bench, generation: int = 2, *, before: bool = True) -> int:
    """Load and promote a newer generation; its probe."""
    if before:
        bench.serve()
    bench.core.generation_loaded(generation, "zygote", bench.now)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn) if e.generation == generation]
    bench.ready(probe)
    bench.promote(generation)
    bench.take()
    return probe


def restarting(bench: Bench) -> Bench:
    bench.core.reload_jobs = "restart"
    return bench


def leave(bench: Bench) -> None:
    """Whatever was asked to leave does so."""
    while stopping := bench.core.state.live("stopping"):
        bench.exit(stopping[0].id, 0, None)


def generations(bench: Bench, *states: str) -> list[int]:
    return sorted(p.generation for p in bench.core.pool.available(*states))


# --- replacing what is ready ------------------------------------------------------------------------


def test_ready_processes_of_older_code_are_replaced_one_by_one() -> None:
    bench = Bench(max_processes=4, num_idle_processes=4)
    promoted(bench)
    assert generations(bench, "idle") == [1, 1, 1, 2]
    for new in range(2, 5):
        leave(bench)
        starting = bench.core.state.live("starting")
        assert [p.generation for p in starting] == [2]
        bench.ready(starting[0].id)
        assert len(generations(bench, "idle")) >= 3, "more than one is missing"
        assert generations(bench, "idle").count(2) == new
    bench.take()
    assert generations(bench, "idle") == [2, 2, 2, 2]


@defence(
    ("workbench/model/jobs.py", "if p.generation in (self._pool.serving, self._state.worker.generation)",
     "if p.generation != self._pool.probing"),
)  # fmt: skip
def test_a_job_is_never_given_to_older_code_once_the_new_code_serves() -> None:
    bench = Bench(max_processes=4, num_idle_processes=2)
    probe = promoted(bench)
    assert generations(bench, "idle") == [1, 2]
    first, second = bench.submit(), bench.submit()
    assert [e.process_id for e in bench.of(fx.Launch)] == [probe]
    assert bench.core.state.jobs[first].generation == 2
    assert bench.core.state.jobs[second].status == "queued"
    bench.ready(bench.core.state.live("starting")[0].id)
    assert bench.core.state.jobs[second].generation == 2


@defence((POOL, "too_many = max(max(1, self._queued()) - under_way, too_many)", "pass"))
def test_older_code_makes_room_for_the_process_that_a_job_waits_for() -> None:
    bench = Bench(max_processes=2, num_idle_processes=2)
    promoted(bench)
    bench.submit()
    bench.submit()
    leave(bench)
    assert [p.generation for p in bench.core.state.live("starting")] == [2]


# --- on trial ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["idle", "starting a job", "starting"])
@defence((CORE, "self.pool.on_trial(process, slot, now)", "False"))
def test_a_generation_whose_processes_do_not_stay_gives_way_to_the_one_before(state: str) -> None:
    bench = Bench(max_processes=3, num_idle_processes=2)
    probe = promoted(bench)
    job = bench.core.state.jobs[bench.submit()] if state == "starting a job" else None
    leave(bench)
    dies = bench.core.state.live("starting")[0].id if state == "starting" else probe
    bench.wait(1)
    bench.exit(dies, None, "SIGSEGV")
    bench.take()
    (back,) = [e for e in bench.effects if isinstance(e, fx.RollBack)]
    assert back.generation == 2
    assert "SIGSEGV" in back.why
    assert bench.core.pool.serving == 1
    assert set(generations(bench, "idle", "starting")) == {1}
    bench.core.state.apply(ev.ReloadFailed(at=0, generation=2, problem={}, serving=1))
    for process in bench.core.state.live("starting"):
        if process.generation == 1:
            bench.ready(process.id)
    if job is not None:
        assert (job.status, job.generation) == ("starting", 1), "the job goes to the code that serves again"
    assert not [e for e in bench.events if isinstance(e, ev.PoolHeld)], "the older code pays for nothing"


@pytest.mark.parametrize("what", ["a job began", "it stayed", "an operator killed it", "its job killed it"])
def test_no_roll_back_for_a_process_whose_end_says_nothing_of_its_generation(what: str) -> None:
    bench = Bench(max_processes=3, num_idle_processes=1)
    probe = promoted(bench)
    if what == "a job began":
        bench.start()
        fresh = bench.ready(bench.core.state.live("starting")[0].id)
        bench.exit(fresh, 1, None)
    elif what == "it stayed":
        bench.wait(6)
        bench.exit(probe, 1, None)
    elif what == "an operator killed it":
        bench.core.kill_process(probe, bench.now)
        bench.exit(probe)
    else:
        bench.start()
        bench.exit(probe, 1, None)
    bench.take()
    assert not [e for e in bench.effects if isinstance(e, fx.RollBack)]
    assert bench.core.pool.serving == 2


@pytest.mark.parametrize("how", ["time", "job", "newer code", "its zygote died"])
def test_the_zygote_of_older_code_is_let_go_when_nothing_can_come_back_to_it(how: str) -> None:
    bench = Bench(max_processes=4, num_idle_processes=1)
    promoted(bench)
    assert not [e for e in bench.effects if isinstance(e, fx.Settle)]
    if how == "time":
        bench.wait(6)
    elif how == "job":
        bench.start()
    elif how == "newer code":
        promoted(bench, 3, before=False)
    else:
        bench.core.zygote_lost("its zygote was killed by SIGKILL", bench.now)
    bench.take()
    assert [e.generation for e in bench.effects if isinstance(e, fx.Settle)] == [2]
    assert bench.core.pool.fallback == (2 if how == "newer code" else 0)


@defence((CORE, "        if generation == self.pool.fallback:\n            self.pool.fallback = 0", ""))
def test_nothing_falls_back_on_code_whose_zygote_has_died() -> None:
    bench = Bench(max_processes=3)
    probe = promoted(bench)
    bench.core.zygote_gone(1)
    bench.exit(probe, 1, None)
    bench.take()
    assert not [e for e in bench.effects if isinstance(e, fx.RollBack)]
    assert bench.core.pool.serving == 2


@defence((POOL, "return self._probe_limit_s if generation == self.probing else self._desk", "return self._desk"))
def test_a_probe_has_the_time_that_its_own_file_gives_it() -> None:
    bench = Bench(initialize_timeout=5.0)
    bench.serve()
    bench.core.generation_loaded(2, "zygote", bench.now, 50.0)
    (probe,) = [e.process_id for e in bench.of(fx.Spawn)]
    assert fx.Kill(probe) not in bench.wait(40)
    assert fx.Kill(probe) in bench.wait(11)


# --- running jobs -----------------------------------------------------------------------------------


def asked(bench: Bench) -> list[str]:
    bench.take()
    return [e.job_id for e in bench.effects if isinstance(e, fx.AskEnd) and e.why == "reloaded"]


@pytest.mark.parametrize("mode", ["keep", "restart"])
def test_what_becomes_of_running_jobs(mode: str) -> None:
    bench = Bench(max_processes=4)
    bench.core.reload_jobs = mode
    bench.serve()
    job, _ = bench.start()
    bench.ready(bench.core.state.live("starting")[0].id)
    promoted(bench, before=False)
    bench.wait(0.1)
    assert asked(bench) == ([job.id] if mode == "restart" else [])
    if mode == "keep":
        bench.over(job)
        assert (job.status, job.generation) == ("completed", 1)
        return
    bench.over(job, seen=True)
    assert (job.status, job.attempt) in (("starting", 1), ("queued", 1))
    assert job.attempts[0]["reason"] == "reloaded"
    bench.wait(1)
    assert job.generation == 2


def test_a_job_that_returned_before_it_heard_of_the_reload_is_not_run_again() -> None:
    bench = restarting(Bench(max_processes=4))
    bench.serve()
    job, _ = bench.start()
    promoted(bench, before=False)
    bench.over(job, seen=False)
    assert job.status == "completed"


@pytest.mark.parametrize("own", [True, False])
@defence((CORE, 'self.reload_jobs == "restart") and not job.pinned', 'self.reload_jobs == "restart")'))
def test_a_pinned_job_stays_on_its_code(own: bool) -> None:
    bench = restarting(Bench(max_processes=4))
    bench.serve()
    job, _ = bench.start(own=own)
    bench.core.pin_job(job.id, True, bench.now)
    assert job.pinned
    promoted(bench, before=False)
    bench.wait(1)
    assert asked(bench) == []
    bench.core.pin_job(job.id, False, bench.now)
    promoted(bench, 3, before=False)
    bench.wait(0.1)
    assert asked(bench) == [job.id]


def test_an_ended_job_cannot_be_pinned() -> None:
    bench = Bench()
    bench.serve()
    job, _ = bench.start()
    bench.over(job)
    bench.core.pin_job(job.id, True, bench.now)
    assert not job.pinned


def test_the_way_of_running_jobs_is_kept_by_default() -> None:
    made: Any = Core(Bench().core.options)
    assert made.reload_jobs == "keep"
