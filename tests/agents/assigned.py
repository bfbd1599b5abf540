"""An agent that writes down what it was told of its room, prints it, and waits."""

import json
import os

from workbench import JobContext, Options, RoomOptions, WorkerJob


async def entrypoint(ctx: JobContext) -> None:
    room = ctx.room_options
    told = {"name": room.name, "room_id": room.room_id, "token": room.auth_token, "sdk": room.sdk_only}
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(json.dumps({"job": ctx.job.id, "what": "told", "attempt": ctx.job.attempt, **told}) + "\n")
    print(told, flush=True)
    if ctx.metadata.get("leak"):
        ctx.report(given=room.auth_token)
        await ctx.room.send(f"my token is {room.auth_token}")
        raise ValueError(f"not with {room.auth_token}")
    await ctx.run_until_shutdown()


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Of the file", room_id="of-the-file", playground=True))


if __name__ == "__main__":
    WorkerJob(entrypoint, jobctx=make_context, options=Options(load_threshold=float("inf"))).start()
