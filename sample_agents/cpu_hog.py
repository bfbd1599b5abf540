"""Say a number of seconds (`30`): the job keeps a quarter of the CPUs busy, then half, 3/4, all of them.
Watch the load pass the threshold of 60 % and new jobs be refused as `over_load`; the bot still answers.
"""

import asyncio
import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

CPUS = len(os.sched_getaffinity(0))
STEPS = 4
BURST = 0.2  # seconds in a thread at a time, so that the job can end at once
BLOCK = bytes(1_000_000)


def burn(seconds: float) -> None:
    """Keep one CPU busy. Hashing a large block lets other threads run meanwhile, on other CPUs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hashlib.sha256(BLOCK).digest()


async def hog(ctx: JobContext, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CPUS, thread_name_prefix="hog") as pool:
        for step in range(1, STEPS + 1):
            threads = max(1, CPUS * step // STEPS)
            log.info("step %d of %d: %d of %d CPUs", step, STEPS, threads, CPUS)
            ctx.report(busy_cpus=threads)
            end = loop.time() + seconds / STEPS
            while loop.time() < end:
                await asyncio.gather(*(loop.run_in_executor(pool, burn, BURST) for _ in range(threads)))
    ctx.report(busy_cpus=0)
    await ctx.room.send("Done. Jobs are taken again as soon as the load has been low for 2 s.")


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send("For how many seconds shall I keep the CPUs busy? Say a number, or stop.")
    work: asyncio.Task[None] | None = None
    try:
        async for message in ctx.room:
            text = message.text.strip()
            if work is not None:
                work.cancel()
                work = None
            if text.isdecimal() and len(text) <= 4:
                work = asyncio.create_task(hog(ctx, float(text)))
                await ctx.room.send(f"Busy for {int(text)} s, in {STEPS} steps up to {CPUS} CPUs.")
            else:
                ctx.report(busy_cpus=0)
                await ctx.room.send("I am idle. Say a number of seconds.")
    finally:
        if work is not None:
            work.cancel()


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="CPU hog"))


if __name__ == "__main__":
    WorkerJob(
        entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="CpuHog", load_threshold=0.6)
    ).start()
