"""The pool and the load, as the core decides on them."""

import pytest

from tests.defences import defence
from tests.test_core import Bench
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import LoadGate
from workbench.model.options import Options

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
