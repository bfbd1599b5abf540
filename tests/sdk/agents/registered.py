"""An agent of VideoSDK's SDK that registers with whatever registry it is told; its jobs write what they did."""

import asyncio
import json
import os

from videosdk.agents import JobContext, Options, RoomOptions, WorkerJob


def note(what, ctx):
    line = json.dumps({"what": what, "pid": os.getpid(), "room": ctx.room_options.room_id, "metadata": ctx.metadata})
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(line + "\n")


async def entrypoint(ctx):
    note("start", ctx)
    if ctx.metadata.get("do") == "raise":
        raise ValueError("planned failure")
    if ctx.metadata.get("do") == "die":
        os.kill(os.getpid(), 9)
    while "until" in ctx.metadata and not os.path.exists(ctx.metadata["until"]):
        await asyncio.sleep(0.05)
    await asyncio.sleep(ctx.metadata.get("seconds", 0.05))
    note("end", ctx)


def make_context():
    return JobContext(room_options=RoomOptions(name="registered"))


if __name__ == "__main__":
    options = Options(
        agent_id="Registered", register=True, max_processes=2, num_idle_processes=1, load_threshold=1.0,
        signaling_base_url=os.environ["REGISTRY"], host="127.0.0.1", port=int(os.environ["PORT"]),
    )  # fmt: skip
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=options).start()
