"""For workbench: a job that works for as long as it is told."""

import asyncio

import part
from stamps import stamp

from workbench import JobContext, WorkerJob


async def entrypoint(ctx: JobContext) -> None:
    stamp("began", part.VERSION, ctx.metadata["work"])
    await asyncio.sleep(ctx.metadata["seconds"])
    stamp("done", part.VERSION, ctx.metadata["work"])


if __name__ == "__main__":
    WorkerJob(entrypoint).start()
