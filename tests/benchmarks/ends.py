"""How soon a drained worker is gone, what is left of a killed one, and how a loop that stands is named."""

import asyncio
import os
import signal
import time

import psutil

from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel import gone_at, of_sessions
from tests.benchmarks.worker import Worker, ready, running
from workbench.model import events as ev

DOINGS = ("wait", "helper", "block", "gil")  # asleep; with a helper; hung; holding the GIL
STALLS = (("block", "time.sleep"), ("busy", "a busy loop"), ("gil", "C code that holds the GIL"))
BURNERS = 8
BURN_S = 8.0
LENGTHS_S = (0.5, 0.7, 0.9)  # of the jobs that a drained worker waits for


async def drain_exit(rounds: int = 20) -> list[Figure]:
    """From the last line of the last job until the drained worker is gone, with and without a client on its stream."""
    alone = [await _drained(followed=False) for _ in range(rounds)]
    followed = [await _drained(followed=True) for _ in range(rounds)]
    return [
        Figure("drain_exit", alone, "ms", 100.0),
        Figure("  with a client on the stream", followed, "ms", 100.0, beside="drain_exit"),
    ]


async def _drained(*, followed: bool) -> float:
    async with running("trivial.py", "--num-idle-processes", str(len(LENGTHS_S))) as worker:
        async with worker.watched() as watch:
            await watch.until(lambda state: len(state.live("idle")) == len(LENGTHS_S))
            job_ids = [await worker.dispatch(do="sleep", seconds=seconds) for seconds in LENGTHS_S]
            for job_id in job_ids:
                await watch.started(job_id)
            if followed:
                return await _gone_after_the_last(worker, len(job_ids))
        return await _gone_after_the_last(worker, len(job_ids))


async def _gone_after_the_last(worker: Worker, jobs: int) -> float:
    gone = asyncio.ensure_future(gone_at([os.pidfd_open(worker.process.pid)]))
    worker.process.send_signal(signal.SIGTERM)
    at, ends = await gone, [entry["at"] for entry in worker.stamps() if entry["what"] == "end"]
    if (worker.process.wait(), len(ends)) != (0, jobs):
        raise RuntimeError(f"exit code {worker.process.returncode}, {len(ends)} jobs ended")
    return (at - max(ends)) * 1e3


async def supervisor_killed(rounds: int = 50) -> list[Figure]:
    """From SIGKILL of the supervisor until no process of its jobs' sessions is left."""
    times, survivors = [], []
    for _ in range(rounds):
        took_ms, left = await _killed()
        times.append(took_ms)
        survivors.append(float(left))
    return [
        Figure("supervisor_killed until nothing is left", times, "ms", 50.0, judged="worst"),
        Figure("  processes left after that", survivors, "", 0.0, judged="worst"),
    ]


async def _killed() -> tuple[float, int]:
    async with ready("trivial.py") as (worker, watch):
        for do in DOINGS:
            await watch.until(lambda state: state.live("idle"))
            job_id = await worker.dispatch(do=do)
            await watch.started(job_id)
            if do in ("helper", "block", "gil"):
                await worker.stamp(job_id, "helper" if do == "helper" else "blocking")
        # One that is just being made has no pid yet.
        await watch.until(lambda state: all(process.pid for process in state.processes.values()))
        leaders = {child.pid for child in psutil.Process(worker.process.pid).children()}  # the zygote, too
        pids = of_sessions(leaders)
        if len(pids) < len(DOINGS) + 2:
            raise RuntimeError(f"only {len(pids)} processes ran")
        pidfds = [os.pidfd_open(pid) for pid in pids]
        began = time.monotonic()
        worker.process.kill()
        took_ms = (await gone_at(pidfds) - began) * 1e3
        return took_ms, len(of_sessions(leaders))


async def stall_named(rounds: int = 4) -> list[Figure]:
    """From standing still to the event that names the line; and healthy jobs killed as hung under full load."""
    figures = []
    for do, words in STALLS:
        times = []
        async with ready("trivial.py") as (worker, watch):
            for turn in range(rounds):
                await watch.until(lambda state: state.live("idle"))
                await asyncio.sleep(0.1 * turn)  # at another phase of the beats each time
                job_id = await worker.dispatch(do=do)
                process_id = (await watch.started(job_id)).process_id or 0
                named = await watch.event(
                    lambda event, it=process_id: isinstance(event, ev.ProcessStalled) and event.id == it and event.stack
                )
                if not named.what.stack.endswith(f" in {do}"):
                    raise RuntimeError(f"the wrong line was named: {named.what.stack}")
                times.append(named.at - (await worker.stamp(job_id, "blocking"))["at"])
                await worker.client.kill_process(watch.state.processes[process_id].pid)
        figures.append(Figure(f"stall_named {words}", times, "s", 1.5, judged="worst"))
    return [*figures, Figure("  false kills, 8 busy jobs, ping_timeout 2 s", [await _false_kills()], "", 0.0)]


async def _false_kills() -> float:
    flags = ("--max-processes", str(BURNERS), "--ping-timeout", "2", "--ping-interval", "1")
    async with ready("trivial.py", *flags) as (worker, watch):
        for _ in range(BURNERS):
            await worker.dispatch(do="burn")
        await asyncio.sleep(BURN_S)
        return float(sum(not job.active for job in watch.state.jobs.values()))
