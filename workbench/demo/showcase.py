"""The agent of `workbench demo`. A job's metadata says what it does: talk, leak, stall, crash or vanish.

Change GREETING, or anything else, and save: the conversation you are in goes on with the new code.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

GREETING = "Hello! I am the demo's agent, and this is a real worker with real jobs."
TIPS = (
    f"Edit {os.path.abspath(__file__)} and save: I go on with the new code. Break it, and the old code goes on.",
    "Keys: T tunes options, i looks into a process, / filters the logs, 6 pours in load, n starts a job, ? shows all.",
    "Say something, or ask me to leak, to stall or to crash. q ends everything.",
)
MB = 1_000_000


async def spoken(text: str) -> AsyncIterator[str]:
    """A text word by word, as a language model would write it."""
    for word in text.split():
        yield f"{word} "
        await asyncio.sleep(0.06)


def reply(text: str, turns: int) -> str:
    """The answer to a text."""
    if "?" in text:
        return f"That is question {turns} of this conversation. A model would now think of a good answer to it."
    return f"You said {text!r}, and that makes {turns} of your lines that I remember."


async def talk(ctx: JobContext) -> None:
    """A conversation: streamed replies, and a report that is shown with the job."""
    await ctx.room.send(GREETING)
    if "do" not in ctx.metadata and ctx.job.attempt == 1:
        for tip in TIPS:
            await ctx.room.send(tip)
    turns = 0
    async for message in ctx.room:
        text, turns = message.text.strip(), turns + 1
        log.info("turn %d: %s", turns, text)
        ctx.report(turns=turns, topic=text.split()[-1].strip("?!.")[:20] if text else "-")
        if text.lower() == "bye":
            await ctx.room.send("Goodbye!")
            return
        if text.lower() in JOBS:
            await ctx.room.send(f"As you wish: {text.lower()}.")
            await JOBS[text.lower()](ctx)
        await ctx.room.send(spoken(reply(text, turns)))


async def leak(ctx: JobContext) -> None:
    """Grows past `memory_warn_mb`, keeps it for a while, and ends: its memory goes with its process."""
    kept: list[bytes] = []
    while len(kept) < 72:
        kept.extend(b"x" * MB for _ in range(4))  # written to, so that the memory is really taken
        ctx.report(kept_mb=len(kept))
        await asyncio.sleep(0.4)
    log.warning("%d MB kept, and nobody reads them", len(kept))
    await asyncio.sleep(10)


def block(seconds: float) -> None:
    time.sleep(seconds)  # the mistake: `await asyncio.sleep(seconds)` would let others run


async def stall(ctx: JobContext) -> None:
    """A loop that stands still: the screen names the line."""
    ctx.report(step="waiting")
    await asyncio.sleep(1)
    ctx.report(step="asleep")
    block(3)
    ctx.report(step="awake again")
    log.info("awake again")
    await asyncio.sleep(4)


async def crash(ctx: JobContext) -> None:
    """An exception: `failed / raised`, with the line."""
    ctx.report(step="dividing")
    await asyncio.sleep(1.5)
    log.info("1 / 0 is %f", 1 / 0)


async def vanish(ctx: JobContext) -> None:
    """Killed from outside, as by the kernel: `failed / signalled SIGKILL`."""
    ctx.report(step="doomed")
    await asyncio.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)


JOBS = {"leak": leak, "stall": stall, "crash": crash, "vanish": vanish}


async def entrypoint(ctx: JobContext) -> None:
    """One job."""
    await ctx.connect()
    log.info("job %s", ctx.metadata.get("do", "talk"))
    await JOBS.get(str(ctx.metadata.get("do")), talk)(ctx)


def make_context() -> JobContext:
    """What each job gets."""
    return JobContext(room_options=RoomOptions(name="Demo"))


if __name__ == "__main__":
    WorkerJob(
        entrypoint=entrypoint,
        jobctx=make_context,
        options=Options(agent_id="demo", max_processes=6, memory_warn_mb=60.0),
    ).start()
