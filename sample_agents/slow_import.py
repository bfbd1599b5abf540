"""The import takes 3 s, as if it loaded models: from 2 s on, watch the line where it stands.
Jobs then start at once, for it is paid once; after a save the old file answers until the new is ready.
"""

import logging
import time

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)


def load(part: str) -> str:
    log.info("loading %s", part)
    time.sleep(0.6)
    return part


BEGAN = time.monotonic()
HEARING = load("the model that hears")
TURNS = load("the model that knows when you have finished")
THINKING = load("the model that thinks")
SPEAKING = load("the model that speaks")
VOICE = load("the voice")
TOOK = time.monotonic() - BEGAN


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send(f"I was imported in {TOOK:.1f} s; this job did not wait for it.")
    async for message in ctx.room:
        await ctx.room.send(f"{THINKING} has thought about {message.text[:200]!r}.")


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Slow import"))


if __name__ == "__main__":
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=Options(agent_id="SlowImport")).start()
