"""The admission of jobs: in every state a reason that names what it was decided by, and every change counted."""

import contextlib
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Worker, wait_until
from tests.defences import defence
from tests.test_core import Bench
from tests.workers import begin, processes, until
from workbench.client.client import Client, ClientError
from workbench.model.admission import STATUSES, LoadGate


async def told(client: Client, status: str, why: str) -> None:
    """The worker comes into `status` for a reason that matches `why`, and every route says the same."""
    with contextlib.suppress(TimeoutError):  # told below, with what it says instead
        await until(client, lambda state: state.worker.status == status and re.search(why, state.worker.why))
    about = await client.request("GET", "/worker")
    assert (about["status"], bool(re.search(why, about["why"]))) == (status, True), about


async def refused(client: Client) -> str:
    with pytest.raises(ClientError) as refusal:
        await client.dispatch(None, {"do": "wait"})
    return str(refusal.value)


@pytest.mark.timeout(120)
@defence(("workbench/model/admission.py", "_over(gate.load, ", "_over(None, "))
@defence(
    ("workbench/model/admission.py", "f\"{worker.stop_why}; {plural(active, 'job')} left\"", '"the worker is ending"')
)
@defence(("workbench/model/admission.py", "f\"{worker.drain_why}; {plural(active, 'job')} left\"", '"draining"'))
@defence(
    (
        "workbench/model/admission.py",
        '"{worker.held_failures} failures within {WINDOW_S:g} s: {worker.held_why}"',
        '"processes die"',
    )
)
@defence(("workbench/model/admission.py", "generation {reload.generation} is {reload.step}{at}", "wait"))
@defence(
    (
        "workbench/model/admission.py",
        "{plural(active, 'job')}{kept} of max_processes {options.max_processes}",
        "no room",
    )
)
@defence(("workbench/model/admission.py", "{active} of {options.max_processes} jobs", "jobs are taken"))
@defence(("workbench/server/app.py", '"why": about.why', '"why": ""'))
@defence(("workbench/model/fold.py", '[f"admission_{event.status}"] += 1', '[f"admission_{event.status}"] += 0'))
@defence(("workbench/server/metrics.py", 'count = state.counters[f"admission_{status}"]', "count = 0"))
async def test_every_state_of_admission_names_its_inputs_and_every_change_is_counted(
    start_worker: Any, tmp_path: Path
) -> None:
    gate, prewarm = tmp_path / "gate", tmp_path / "prewarm"
    prewarm.write_text("0")
    worker = start_worker("defects.py", "--max-processes", "2", GATE=str(gate), PREWARM=str(prewarm))
    async with worker.client() as client:
        await told(client, "starting", "loading the agent: generation 1 is loading")
        assert "generation 1 is loading" in await refused(client)
        gate.touch()
        await told(client, "ready", "^0 of 2 jobs$")
        await begin(client, worker, "tick", "tick")
        await told(client, "ready", "^1 of 2 jobs$")
        await begin(client, worker, "tick", "tick")
        await told(client, "full", "^2 jobs of max_processes 2$")
        assert await refused(client) == "2 jobs of max_processes 2"
        await client.set_options({"max_processes": 4, "load": "jobs", "load_threshold": 0.5})
        await told(client, "over_load", r"^load 0\.50, load_threshold 0\.5$")
        assert await refused(client) == "load 0.50, load_threshold 0.5"
        await client.set_options({"load_threshold": None})
        await told(client, "ready", "^2 of 4 jobs$")
        await client.drain()
        await told(client, "draining", "^asked by an operator; 2 jobs left$")
        await client.admit()
        await until(client, lambda state: state.live("idle") and not state.live("starting"))
        prewarm.write_text("die")  # for all that start from here on
        for process in await processes(client, "idle"):
            psutil.Process(process["pid"]).kill()
        await told(
            client, "degraded",
            r"^[5-9] failures within 60 s: .* died while starting \(exit code 3\).*next try in 30\.0 s$",
        )  # fmt: skip
        before = await changes(client)
        worker.process.send_signal(signal.SIGTERM)
        await told(client, "draining", "^SIGTERM received; 2 jobs left$")
        worker.process.send_signal(signal.SIGTERM)
        stopping = await until(client, lambda state: state.worker.status == "stopping" and state)
    assert re.fullmatch("SIGTERM received twice; 2 jobs left", stopping.worker.why)
    assert before == {
        "starting": 0, "ready": 3, "full": 1, "over_load": 1, "draining": 1, "degraded": 1, "stopping": 0,
    }  # fmt: skip
    assert stopping.counters["admission_stopping"] == 1
    assert worker.ended() == 143
    assert started(worker) == 2, "only jobs that were admitted have run"


async def changes(client: Client) -> dict[str, int]:
    """How often each status was come into, by the metrics; `/stats` says the same."""
    page = await client.request("GET", "/metrics")
    pattern = r'^workbench_admission_changes_total\{status="(\w+)"\} (\d+)\.0$'
    counted = {name: int(count) for name, count in re.findall(pattern, page, re.MULTILINE)}
    assert set(counted) == set(STATUSES)
    counters = (await client.request("GET", "/stats"))["counters"]
    assert counted == {name: counters.get(f"admission_{name}", 0) for name in STATUSES}
    return counted


def started(worker: Worker) -> int:
    wait_until(lambda: worker.ledger.exists(), "a job has written")
    return len([entry for entry in worker.entries() if entry["what"] == "start"])


@defence(("workbench/model/admission.py", "_over(gate.load, ", "_over(state.load.load, "))
def test_a_refusal_for_load_names_the_figure_it_was_decided_by() -> None:
    bench = Bench(max_processes=4, load="jobs", load_threshold=0.75)
    bench.serve()
    verdicts = [bench.core.submit(f"j{n}", "r", {}, bench.now) for n in range(4)]  # nobody has measured yet
    assert [verdict.status for verdict in verdicts] == ["ready", "ready", "ready", "over_load"]
    assert verdicts[3].why == "load 0.75, load_threshold 0.75"


@defence(("workbench/model/admission.py", "load is None or threshold == math.inf", "load is None"))
def test_a_threshold_that_never_refuses_opens_a_closed_gate_at_once() -> None:
    gate = LoadGate()
    assert gate.update(0.9, 0.75, 0.0)
    assert not gate.update(0.9, float("inf"), 0.25)
