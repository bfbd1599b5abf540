"""The agent of the same name that workers of ours run, for the SDK's own worker."""

import asyncio
import json
import os
import time

from videosdk.agents import JobContext, Options, RoomOptions, WorkerJob


def note(ctx: JobContext, what: str) -> None:
    metadata = ctx.metadata or {}
    line = {"n": metadata["n"], "job": str(metadata["n"]), "what": what, "pid": os.getpid(), "at": time.time()}
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{json.dumps(line)}\n".encode())
    os.close(fd)


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    await asyncio.sleep((ctx.metadata or {})["s"])
    note(ctx, "finish")


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Lingering"))


if __name__ == "__main__":
    options = Options(
        agent_id="lingering", register=True, max_processes=2, num_idle_processes=2, load_threshold=2.0,
        signaling_base_url=os.environ["REGISTRY"], host="127.0.0.1", port=int(os.environ["PORT"]),
    )  # fmt: skip
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=options).start()
