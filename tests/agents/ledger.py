"""An agent that does what its metadata says, and writes down what really happened."""

import json
import os
import signal
import subprocess
import sys
import time

from workbench import JobContext, Options, WorkerJob


def note(ctx: JobContext, what: str, **more: object) -> None:
    line = json.dumps({"job": ctx.job.id, "what": what, "pid": os.getpid(), "attempt": ctx.job.attempt, **more})
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    do = ctx.metadata.get("do", "return")
    if do == "raise":
        raise ValueError("boom")
    if do == "exit":
        os._exit(ctx.metadata["code"])
    if do == "sysexit":
        sys.exit(ctx.metadata["code"])
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "kill_worker":
        os.kill(ctx.metadata["worker"], signal.SIGKILL)
    if do == "block":
        note(ctx, "blocking")
        time.sleep(600)
    if do == "gil":
        note(ctx, "blocking")
        sum(range(10**13))
    if do == "helper":
        helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(ctx, "helper", helper=helper.pid)
        await ctx.run_until_shutdown()
    if do == "grow":
        hold = []
        while len(hold) < 200:  # where no limit holds it is over at 1 GB
            hold.append(bytearray(5_000_000))
            note(ctx, "grew", mb=5 * len(hold))
            time.sleep(0.01)
    if do == "stubborn":
        while True:
            try:
                async for _ in ctx.room:
                    continue
                await ctx.run_until_shutdown()
                import asyncio

                await asyncio.sleep(600)
            except BaseException:
                note(ctx, "refused")
    if do == "join":  # when somebody has said a word
        async for _ in ctx.room:
            break
        await ctx.connect()
        await ctx.run_until_shutdown()
    if do == "wait":
        await ctx.run_until_shutdown()
    if do == "echo":
        async for message in ctx.room:
            await ctx.room.send(message.text.upper())
    note(ctx, "finish")


if __name__ == "__main__":
    WorkerJob(entrypoint, options=Options(agent_id="ledger", load_threshold=float("inf"))).start()
