"""Memory: what an idle process costs, and how far a job gets over its limit."""

import asyncio
import os

import psutil

from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel import gone_at
from tests.benchmarks.worker import KINDS, ready

SETTLE_S = 2.0
LIMIT_MB = 300
GROWTH_MB_PER_S = 500


async def uss(rounds: int = 3) -> list[Figure]:
    """Memory of its own (USS) that an idle process holds, five of them after two seconds."""
    figures = []
    for kind, agent in KINDS:
        runs = [await idle_uss(agent) for _ in range(rounds)]
        name = f"uss idle process, {kind}"
        figures += [
            Figure(name, [value for own, _, _ in runs for value in own], "MB", 5.0),
            Figure(f"  its zygote, {kind}", [zygote for _, zygote, _ in runs], "MB", beside=name),
            Figure(f"  the supervisor, {kind}", [supervisor for _, _, supervisor in runs], "MB", beside=name),
        ]
    return figures


async def idle_uss(agent: str) -> tuple[list[float], float, float]:
    """Megabytes of each of five idle processes, of their zygote, and of the supervisor."""
    async with ready(agent, idle=5) as (worker, watch):
        await asyncio.sleep(SETTLE_S)
        idle = [process.pid for process in watch.state.live("idle")]
        zygote = next(child.pid for child in psutil.Process(worker.process.pid).children() if child.pid not in idle)
        return [_uss_mb(pid) for pid in idle], _uss_mb(zygote), _uss_mb(worker.process.pid)


def _uss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().uss) / 1e6


async def memory_overshoot(rounds: int = 9) -> list[Figure]:
    """A job that grows by 500 MB/s under a limit of 300 MB: the most it can have held, and how soon it was gone.

    A kill may come between a step and its stamp: the last step counts as one more than was told, the limit as met right
    after the last stamp below it, and the kill as sent right after the last stamp of all.
    """
    over_mb, kill_ms, limit_ms = [], [], []
    async with ready("trivial.py", "--memory-limit-mb", str(LIMIT_MB)) as (worker, watch):
        for turn in range(rounds):
            await watch.until(lambda state: state.live("idle"))
            await asyncio.sleep(0.3 + 0.0173 * turn)  # at another phase of the sampling each time
            job_id = await worker.dispatch(do="grow", mb_per_s=GROWTH_MB_PER_S)
            gone = await gone_at([os.pidfd_open((await watch.started(job_id)).pid or 0)])
            end = await watch.ended(job_id)
            if end.what.reason != "oom_limit":
                raise RuntimeError(f"not ended by the limit: {end.what}")
            grew = [entry for entry in worker.stamps() if entry["job"] == job_id and entry["what"] == "grew"]
            over_mb.append(grew[-1]["mb"] + GROWTH_MB_PER_S / 100 - LIMIT_MB)
            kill_ms.append((gone - grew[-1]["at"]) * 1e3)
            limit_ms.append((gone - [entry for entry in grew if entry["mb"] < LIMIT_MB][-1]["at"]) * 1e3)
    return [
        Figure("memory_overshoot at 500 MB/s", over_mb, "MB", 30.0),
        Figure("  from the kill to gone, at most", kill_ms, "ms", 50.0),
        Figure("  from the limit to gone, at most", limit_ms, "ms"),
    ]
