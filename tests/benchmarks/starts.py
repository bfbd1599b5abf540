"""How fast processes come to be: the first five, and one more; beside what the standard library offers."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.stream import Watch
from tests.benchmarks.worker import AGENTS, KINDS, Worker, ready, running
from tests.conftest import child_environment
from workbench.model import events as ev

FIVE_IDLE_GOAL_MS = {"trivial.py": 500.0, "heavy.py": 1000.0}
CHILD_GOAL_MS = {"trivial.py": 10.0, "heavy.py": 15.0}
STDLIB = (("forkserver", "preloaded"), ("forkserver", "plain"), ("spawn", "plain"))


async def five_idle(rounds: int = 7) -> list[Figure]:
    """From starting the command to five idle processes, as a client sees it."""
    figures = []
    for kind, agent in KINDS:
        times = [await five_idle_ms(agent) for _ in range(rounds + 1)][1:]  # the first one fills caches
        figures.append(Figure(f"five_idle {kind}", times, "ms", FIVE_IDLE_GOAL_MS[agent]))
    return figures


async def five_idle_ms(agent: str) -> float:
    """One start."""
    flags = ("--num-idle-processes", "5", "--max-processes", "5")
    async with running(agent, *flags) as worker, worker.watched() as watch:
        seen = await watch.until(lambda state: len(state.live("idle")) == 5)
        return (seen.at - worker.began) * 1e3


async def child_ready(rounds: int = 40) -> list[Figure]:
    """From asking for a process to its being ready; and a job that finds no process at all."""
    figures = []
    for kind, agent in KINDS:
        ready_ms, cold_ms = await one_more(agent, rounds)
        name = f"child_ready {kind}"
        figures.append(Figure(name, ready_ms, "ms", CHILD_GOAL_MS[agent]))
        figures.append(Figure(f"  a job without an idle process, {kind}", cold_ms, "ms", beside=name))
        for method, preload in STDLIB:
            times = _by_stdlib(agent, method, preload, max(3, rounds // 4))
            figures.append(Figure(f"  multiprocessing {method} {preload}, {kind}", times, "ms", beside=name))
    return figures


async def one_more(agent: str, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds from asking for a process to ready; and from a client's request to a cold job's first line."""
    ready_ms, cold_ms = [], []
    async with ready(agent) as (worker, watch):
        for _ in range(rounds):
            ready_ms.append(await one_ready_ms(worker, watch))
        await worker.client.set_options({"num_idle_processes": 0})
        for _ in range(rounds):
            await watch.until(lambda state: not state.processes)
            asked = time.monotonic()
            start = await worker.stamp(await worker.dispatch(), "start")
            cold_ms.append((start["at"] - asked) * 1e3)
    return ready_ms, cold_ms


async def one_ready_ms(worker: Worker, watch: Watch) -> float:
    """Milliseconds from asking for the only process to its being ready."""
    await worker.client.set_options({"num_idle_processes": 0})
    await watch.until(lambda state: not state.processes)
    await worker.client.set_options({"num_idle_processes": 1})
    await watch.until(lambda state: state.live("idle"))
    return _spawned_ms(watch)


def _spawned_ms(watch: Watch) -> float:
    """Between the supervisor's two events of the newest process."""
    at = {type(seen.what): seen.what.at for seen in watch.events}
    return float(at[ev.ProcessReady] - at[ev.ProcessSpawning]) * 1e3


def _by_stdlib(agent: str, method: str, preload: str, count: int) -> list[float]:
    program = Path(__file__).with_name("stdlib_child.py")
    done = subprocess.run(
        [sys.executable, str(program), Path(agent).stem, method, preload, str(count)],
        env=child_environment(PYTHONPATH=str(AGENTS)), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [float(value) for value in json.loads(done.stdout)]
