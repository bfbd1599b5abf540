"""What the supervisor itself costs: at rest, and while jobs write."""

import asyncio
import time

from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel import cpu_s
from tests.benchmarks.stream import Watch
from tests.benchmarks.worker import Worker, ready, running

GOAL_PERCENT = {20: 1.0, 100: 2.0, 500: 5.0}
WINDOW_S = 2.0
FLOOD_S = 2.0
GOAL_THOUSANDS = 500.0
FLOODS = (
    ("in blocks, not printed", "flood", "WARNING"),
    ("one print each, not printed again", "prints", "WARNING"),
    ("one print each, printed as JSON", "prints", "INFO"),
)


async def supervisor_cpu(rounds: int = 3) -> list[Figure]:
    """Share of a core that the supervisor takes for idle processes, without any client."""
    figures = []
    for count, goal in GOAL_PERCENT.items():
        own, theirs, with_client = await _at_rest(count, rounds)
        name = f"supervisor_cpu {count} idle processes"
        figures += [
            Figure(name, own, "%", goal),
            Figure(f"  with a client on the stream, {count}", with_client, "%", beside=name),
            Figure(f"  the idle processes together, {count}", theirs, "%", beside=name),
        ]
    return figures


async def _at_rest(count: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    flags = ("--max-processes", str(count), "--num-idle-processes", str(count))
    async with running("trivial.py", *flags) as worker:
        pid = worker.process.pid
        async with worker.watched() as watch:
            await watch.until(lambda state: sum(process.pid > 0 for process in state.live("idle")) == count)
            idle = [process.pid for process in watch.state.live("idle")]
            await asyncio.sleep(1)
            with_client = [(await _shares([pid]))[0] for _ in range(rounds)]
        shares = [await _shares([pid, *idle]) for _ in range(rounds)]
    return [share[0] for share in shares], [sum(share[1:]) for share in shares], with_client


async def _shares(pids: list[int]) -> list[float]:
    """Percent of a core of each process over a while."""
    before = [(time.monotonic(), cpu_s(pid)) for pid in pids]
    await asyncio.sleep(WINDOW_S)
    after = [(time.monotonic(), cpu_s(pid)) for pid in pids]
    return [100 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(before, after, strict=True)]


async def log_lines(rounds: int = 3) -> list[Figure]:
    """Thousands of lines of 100 bytes taken in a second of the supervisor's CPU, while a job writes all it can."""
    figures = []
    for words, do, level in FLOODS:
        values = []
        async with ready("trivial.py", "--log-level", level) as (worker, watch):
            for _ in range(rounds):
                await watch.until(lambda state: state.live("idle") and not state.active_jobs())
                values.append(await _lines_per_cpu_s(worker, watch, do))
        figures.append(Figure(f"log_lines {words}", values, "k/s", GOAL_THOUSANDS, more_is_better=True))
    return figures


async def _lines_per_cpu_s(worker: Worker, watch: Watch, do: str) -> float:
    taken, used_s = watch.state.counters["log_lines"], cpu_s(worker.process.pid)
    job_id = await worker.dispatch(do=do, seconds=FLOOD_S)
    await watch.ended(job_id)
    written = (await worker.stamp(job_id, "flooded"))["lines"]
    # The supervisor's count comes with its measurements; it must be all that the job wrote.
    await watch.until(lambda state: state.counters["log_lines"] >= taken + written)
    return float(written / 1000 / (cpu_s(worker.process.pid) - used_s))
