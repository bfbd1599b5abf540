"""Jobs: how soon a warm one runs, how many a second, how soon an end is known."""

import asyncio
import time

from tests.benchmarks.figures import Figure
from tests.benchmarks.stream import Watch
from tests.benchmarks.worker import Worker, epoch_of, ready

QUIET_S = 0.03  # between warm jobs: the replacement of the last process has settled


async def warm_start(rounds: int = 150) -> list[Figure]:
    """From accepting a job to the first line of its entrypoint, as the job itself tells."""
    accepted_ms, asked_ms, told_ms = [], [], []
    async with ready("trivial.py") as (worker, watch):
        for _ in range(rounds):
            await watch.until(lambda state: state.live("idle") and not state.active_jobs())
            await asyncio.sleep(QUIET_S)
            asked = time.monotonic()
            job = await worker.client.dispatch()
            await watch.ended(job["id"])
            start = await worker.stamp(job["id"], "start")
            accepted_ms.append((epoch_of(start["at"]) - job["queued_at"]) * 1e3)
            asked_ms.append((start["at"] - asked) * 1e3)
            told_ms.append(watch.state.jobs[job["id"]].start_latency_ms or 0.0)
    return [
        Figure("warm_start p50", accepted_ms, "ms", 0.6),
        Figure("warm_start p95", accepted_ms, "ms", 1.2, judged="p95"),
        Figure("  from the request of a client", asked_ms, "ms", beside="warm_start p50"),
        Figure("  as the worker tells (start_latency_ms)", told_ms, "ms", beside="warm_start p50"),
    ]


async def jobs_per_second(rounds: int = 5) -> list[Figure]:
    """Jobs that do nothing, eight at a time: a process for each, and processes used again."""
    one_each = [await rate(200, "1") for _ in range(rounds)]
    reused = [await rate(1000, "0") for _ in range(rounds)]
    answers = [await _answers_per_s(1000) for _ in range(rounds)]
    return [
        Figure("jobs_per_second a process per job", one_each, "/s", 100.0, more_is_better=True),
        Figure("jobs_per_second reused", reused, "/s", 1500.0, more_is_better=True),
        Figure("  GET /livez, the same client", answers, "/s", beside="jobs_per_second reused", more_is_better=True),
    ]


async def rate(count: int, jobs_per_process: str) -> float:
    """Jobs a second, eight at a time; every one of them must have run to its end."""
    flags = ("--max-processes", "8", "--max-jobs-per-process", jobs_per_process)
    async with ready("trivial.py", *flags, idle=8) as (worker, watch):
        gate = asyncio.Semaphore(8)
        began = time.monotonic()
        await asyncio.gather(*(_one_of_many(worker, watch, gate) for _ in range(count)))
        took_s = time.monotonic() - began
        ran = sum(entry["what"] == "end" for entry in worker.stamps())
        if ran != count:
            raise RuntimeError(f"{ran} of {count} jobs ran to their end")
        return count / took_s


async def _one_of_many(worker: Worker, watch: Watch, gate: asyncio.Semaphore) -> None:
    async with gate:
        job = await worker.client.dispatch()
        await watch.until(lambda state: job["id"] in state.jobs and not state.jobs[job["id"]].active)


async def _answers_per_s(count: int) -> float:
    async with ready("trivial.py") as (worker, _):
        gate = asyncio.Semaphore(8)

        async def ask() -> None:
            async with gate:
                await worker.client.request("GET", "/livez")

        began = time.monotonic()
        await asyncio.gather(*(ask() for _ in range(count)))
        return count / (time.monotonic() - began)


async def exit_known(rounds: int = 40) -> list[Figure]:
    """From a job's last act to its end on the stream, as a client sees it."""
    figures = []
    async with ready("trivial.py", idle=2) as (worker, watch):
        for do, words in (("leave", "exit code 3"), ("kill", "SIGKILL")):
            seen_ms, known_ms = [], []
            for _ in range(rounds):
                await watch.until(lambda state: len(state.live("idle")) == 2)
                await asyncio.sleep(QUIET_S)
                job_id = await worker.dispatch(do=do)
                end = await watch.ended(job_id)
                dying = (await worker.stamp(job_id, "dying"))["at"]  # read afterwards: reading takes the CPU, too
                if (end.what.exit_code, end.what.signal) not in ((3, None), (None, "SIGKILL")):
                    raise RuntimeError(f"a wrong end: {end.what}")
                seen_ms.append((end.at - dying) * 1e3)
                known_ms.append((end.what.at - epoch_of(dying)) * 1e3)
            name = f"exit_known {words}"
            figures.append(Figure(name, seen_ms, "ms", 2.0))
            figures.append(Figure(f"  to the supervisor, {words}", known_ms, "ms", beside=name))
    return figures
