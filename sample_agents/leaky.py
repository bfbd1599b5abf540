"""Watch the job's memory climb by 2 MB a second and 10 MB a message (or as many as the message says: `40`).
At 80 MB comes a warning, at 150 MB the job is killed: `failed / oom_limit`; the next job starts afresh.
"""

import asyncio
import logging

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

MB = 1_000_000
MOST = 1000


def leak(kept: list[bytes], megabytes: int) -> None:
    kept.extend(b"x" * MB for _ in range(megabytes))  # written to, so that the memory is really taken


async def leak_slowly(ctx: JobContext, kept: list[bytes]) -> None:
    while True:
        leak(kept, 2)
        ctx.report(leaked_mb=len(kept))
        await asyncio.sleep(1)


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    kept: list[bytes] = []
    leaking = asyncio.create_task(leak_slowly(ctx, kept))
    await ctx.room.send("I never forget anything. Say something, or a number of megabytes.")
    try:
        async for message in ctx.room:
            text = message.text.strip()
            leak(kept, min(int(text), MOST) if text.isdecimal() and len(text) <= 6 else 10)
            log.info("%d MB kept", len(kept))
            await ctx.room.send(f"I keep {len(kept)} MB now.")
    finally:
        leaking.cancel()


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Leaky"))


if __name__ == "__main__":
    WorkerJob(
        entrypoint=entrypoint,
        jobctx=make_context,
        options=Options(agent_id="Leaky", memory_warn_mb=80.0, memory_limit_mb=150.0),
    ).start()
