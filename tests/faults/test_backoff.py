"""How fast dying processes are replaced, whatever happens when: the decisions alone, at the clock's full length."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.defences import defence
from tests.test_core import Bench
from workbench.model import events as ev
from workbench.model.backoff import BUDGET, FIRST_DELAY_S, LONGEST_DELAY_S, WINDOW_S, Backoff
from workbench.model.core import Now
from workbench.model.pool import PROBE_EVERY_S

EPOCH = Bench().now.at - Bench().now.mono


@defence(("workbench/model/backoff.py", "2 ** (count - 2)", "2 ** (count - 1)"))
@defence(("workbench/model/backoff.py", "        if count >= BUDGET:", "        if count > BUDGET:"))
@defence(("workbench/model/backoff.py", "now - WINDOW_S:", "now - 0.9 * WINDOW_S:"))
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 40) | st.sampled_from([0.0, 12.0, 15.0, 60.0]), min_size=1, max_size=40), st.integers())
def test_fault_C9_each_delay_keeps_its_bound_and_the_budget_holds_in_every_window(gaps: list[float], seed: int) -> None:
    backoff, now, failures = Backoff(random.Random(seed)), 0.0, []
    for gap in gaps:
        now, was_degraded = now + gap, backoff.degraded
        delay = backoff.failed(now)
        failures.append(now)
        recent = sum(at > now - WINDOW_S for at in failures)
        assert backoff.degraded == (was_degraded or recent >= BUDGET)
        most = 0.0 if recent == 1 else min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (recent - 2))
        assert 0 <= delay <= (LONGEST_DELAY_S if backoff.degraded else most)
        assert backoff.may_start(now + delay)
        assert delay == 0 or not backoff.may_start(now + 0.99 * delay)


@defence(("workbench/model/backoff.py", "self.rng.uniform(0, ", "max(0, "))
def test_fault_C9_the_delay_is_drawn_from_its_whole_range() -> None:
    """Else a hundred workers whose agents died of the same thing would move in step."""
    for count, cap in ((2, 0.5), (3, 1.0), (4, 2.0)):
        drawn = []
        for seed in range(400):
            backoff = Backoff(random.Random(seed))
            delays = [backoff.failed(0.0) for _ in range(count)]
            drawn.append(delays[-1] / cap)
        shares = [sum(low <= one < low + 0.25 for one in drawn) for low in (0, 0.25, 0.5, 0.75)]
        assert all(60 < share < 140 for share in shares), f"{shares} after failure {count}"


@defence(
    (
        "workbench/model/pool.py",
        "while self._short() and self.backoff.may_start(now.mono) and",
        "while self._short() and",
    )
)
@defence(("workbench/model/pool.py", "self.backoff.held_until = now.mono + PROBE_EVERY_S", "pass"))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    idle=st.integers(1, 6), seed=st.integers(0, 99),
    lives=st.lists(st.tuples(st.floats(0, 6), st.booleans(), st.floats(0, 4.9)), min_size=10, max_size=40),
)  # fmt: skip
def test_fault_C9_no_process_is_started_before_its_time(
    idle: int, seed: int, lives: list[tuple[float, bool, float]]
) -> None:
    """Whatever processes die of, and when: each one that dies young holds the next start back."""
    bench = Bench(num_idle_processes=idle, max_processes=8)
    bench.core.pool.backoff.rng = random.Random(seed)
    bench.serve()
    for start_s, becomes_ready, life_s in lives:
        bench.wait(start_s)
        starting = bench.core.state.live("starting")
        if becomes_ready and starting:
            bench.ready(starting[0].id)
        bench.wait(life_s)
        alive = bench.core.state.live("starting", "idle")
        if alive:
            bench.exit(alive[-1].id, 7, None)
        bench.take()
    held_until, degraded, starts = 0.0, False, []
    for event in bench.events:
        at = event.at - EPOCH
        if isinstance(event, ev.PoolHeld):
            held_until, degraded = event.until_at - EPOCH, event.degraded
        elif isinstance(event, ev.PoolHealed):
            held_until, degraded = 0.0, False
        elif isinstance(event, ev.ProcessSpawning):
            assert at >= held_until - 1e-3
            assert not degraded or not starts or at - starts[-1] >= PROBE_EVERY_S - 1e-3
            starts.append(at)


@defence(
    ("workbench/model/pool.py", "self.ready_at is not None and now.mono - self.ready_at >=", "now.mono - self.born >="),
)
def test_fault_C9_a_long_start_is_no_proof_that_a_process_stays() -> None:
    """A process that takes 6 s to start, and dies at once when it is ready, fails as one does that starts at once."""
    bench = Bench(num_idle_processes=1, max_processes=1)
    bench.serve()
    deaths = 0
    while not bench.core.state.worker.degraded:
        bench.exit(bench.core.state.live("idle")[0].id, 7, None)
        deaths += 1
        assert deaths <= BUDGET
        bench.wait(LONGEST_DELAY_S if bench.core.state.worker.degraded else 4.0)
        for process in bench.core.state.live("starting"):
            bench.core.process_forked(process.id, 5000 + process.id, bench.now)
            bench.wait(6.0)
            bench.core.process_ready(process.id, 6000.0, bench.now)
            bench.core.heal_check(bench.now)
            bench.take()


@defence(("workbench/model/pool.py", "        if self.backoff.healed():", "        if False:"))
def test_fault_C9_a_degraded_pool_tries_every_half_minute_and_heals_when_a_process_stays() -> None:
    bench = Bench(num_idle_processes=3, max_processes=4)
    bench.serve()
    while not bench.core.state.worker.degraded:
        bench.exit(bench.core.state.live("starting", "idle")[0].id, 7, None)
        bench.wait(3.0)
    for process in bench.core.state.live("starting", "idle"):
        bench.exit(process.id, 7, None)
    assert bench.core.judge().status == "degraded"
    probes: list[Any] = []
    for _ in range(3):
        bench.wait(LONGEST_DELAY_S)
        (probe,) = bench.core.state.live("starting")
        probes.append(probe.id)
        bench.exit(probe.id, 7, None)
    bench.wait(LONGEST_DELAY_S)
    (probe,) = bench.core.state.live("starting")
    bench.ready(probe.id)
    bench.wait(4.9)
    bench.core.heal_check(bench.now)
    assert bench.core.judge().status == "degraded"
    bench.wait(0.2)
    bench.core.heal_check(bench.now)
    assert bench.core.judge().status == "ready"
    assert len(bench.core.state.live("starting")) == 2


class Steady(Bench):
    """A bench where it does not show which clock is read: both tell the same."""

    @property
    def now(self) -> Now:
        return Now(self.time, self.time)


class Jumping(Bench):
    """A bench whose wall clock is set back by an hour with every look, and once by a day forward."""

    looks = 0

    @property
    def now(self) -> Now:
        self.looks += 1
        return Now(self.time, 1_700_000_000.0 - 3600.0 * self.looks + 86400.0 * (self.looks > 40))


def a_day(bench: Bench) -> list[Any]:
    """Jobs that time out, are ended, lose their processes; holds, a budget used up and healed, a drain that is cut."""
    bench.serve()
    job, _ = bench.start()
    bench.wait(31.0)  # its timeout, and the stop ladder
    bench.over(job, "cancelled", seen=True)
    bench.exit(job.process_id or 0, 0, None)
    for _ in range(8):
        for process in bench.core.state.live("starting", "idle"):
            bench.exit(process.id, 7, None)
        bench.wait(3.0)
    bench.wait(60.0)
    for process in bench.core.state.live("starting"):
        bench.ready(process.id)
    bench.wait(6.0)
    bench.core.heal_check(bench.now)
    job, _ = bench.start()
    bench.core.drain("asked", bench.now, then_exit=True)
    bench.wait(400.0)
    for process in list(bench.core.state.processes):
        bench.exit(process)
    bench.wait(10.0)
    told = [{k: v for k, v in event.to_json().items() if not k.endswith("at")} for event in bench.events]
    return [*bench.effects, *told, job.status, job.reason]


@defence(("workbench/model/jobs.py", "launch.queued_at == now.mono", "process.since <= job.queued_at"))
@defence(("workbench/model/jobs.py", "self.began[job.id] = now.mono", "self.began[job.id] = now.at"))
@defence(
    (
        "workbench/model/pool.py",
        "        delay = self.backoff.failed(now.mono)",
        "        delay = self.backoff.failed(now.at)",
    )
)
@defence(("workbench/model/closing.py", "self._drain_deadline = now.mono +", "self._drain_deadline = now.at +"))
def test_fault_E9_no_decision_depends_on_the_time_of_day() -> None:
    limits = {"job_timeout": 20.0, "close_timeout": 10.0, "drain_timeout": 300.0}
    steady, jumping = a_day(Steady(**limits)), a_day(Jumping(**limits))
    assert len(steady) > 60
    assert jumping == steady
