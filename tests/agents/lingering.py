"""An agent whose jobs take as long as their metadata says, and write down when they began and ended."""

import asyncio
import json
import os
import time

from workbench import JobContext, Options, WorkerJob


def note(ctx: JobContext, what: str) -> None:
    line = {"n": ctx.metadata["n"], "job": ctx.job.id, "what": what, "pid": os.getpid(), "at": time.time()}
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{json.dumps(line)}\n".encode())
    os.close(fd)


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    await asyncio.sleep(ctx.metadata["s"])
    note(ctx, "finish")


WorkerJob(entrypoint, options=Options(agent_id="lingering", load_threshold=float("inf"))).start()
