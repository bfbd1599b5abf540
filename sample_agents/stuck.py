"""Say `block` (a sleep nobody awaits) or `busy` (a long computation), or with seconds: `block 5`.
Watch it become stalled after 1 s, with a dump of where it stands; after 10 s the job ends as `hung`.
"""

import logging
import time

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)


def block(seconds: float) -> None:
    time.sleep(seconds)  # the mistake: `await asyncio.sleep(seconds)` would let others run


def compute(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # the mistake: long work belongs in `asyncio.to_thread`, or a process
        pass


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send("Say block or busy, with seconds if you like: block 5.")
    async for message in ctx.room:
        word, _, number = message.text.strip().lower().partition(" ")
        seconds = float(number) if number.isdecimal() and len(number) <= 5 else 60.0
        trouble = {"block": block, "busy": compute}.get(word)
        if trouble is None:
            await ctx.room.send(f"I am well. (You said {message.text[:80]!r}; try block or busy.)")
            continue
        log.warning("standing still for %.0f s", seconds)
        await ctx.room.send(f"Nobody will hear from me for {seconds:.0f} s.")
        trouble(seconds)
        await ctx.room.send("Here I am again.")


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Stuck"))


if __name__ == "__main__":
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="Stuck", ping_timeout=10.0)).start()
