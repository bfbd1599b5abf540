"""What a benchmark's job does: what its metadata says, with a stamp of the monotonic clock at each point."""

import asyncio
import json
import os
import signal
import subprocess
import time
from typing import Any

from workbench import JobContext

LINE = "x" * 99
# Open before the first job: a stamp costs one write.
STAMPS = os.open(os.environ.get("STAMPS", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def stamp(ctx: JobContext, what: str, at: float | None = None, **more: object) -> None:
    moment = time.monotonic() if at is None else at
    line = json.dumps({"job": ctx.job.id, "what": what, "at": moment, "pid": os.getpid(), **more})
    os.write(STAMPS, f"{line}\n".encode())


async def entrypoint(ctx: JobContext) -> None:
    at = time.monotonic()
    stamp(ctx, "start", at)
    do = ctx.metadata.get("do")
    if do is not None:
        await DOINGS[do](ctx)
    stamp(ctx, "end")


async def leave(ctx: JobContext) -> None:
    stamp(ctx, "dying")
    os._exit(3)


async def kill(ctx: JobContext) -> None:
    stamp(ctx, "dying")
    os.kill(os.getpid(), signal.SIGKILL)


async def wait(ctx: JobContext) -> None:
    await ctx.run_until_shutdown()


async def sleep(ctx: JobContext) -> None:
    await asyncio.sleep(ctx.metadata["seconds"])


async def helper(ctx: JobContext) -> None:
    child = subprocess.Popen(["sleep", "600"])
    stamp(ctx, "helper", helper=child.pid)
    await ctx.run_until_shutdown()


async def block(ctx: JobContext) -> None:
    stamp(ctx, "blocking")
    time.sleep(600)


async def busy(ctx: JobContext) -> None:
    stamp(ctx, "blocking")
    while True:
        pass


async def gil(ctx: JobContext) -> None:
    stamp(ctx, "blocking")
    sum(range(10**13))


async def burn(ctx: JobContext) -> None:
    """All the CPU there is, with a loop that turns."""
    while not ctx.shutdown_requested:
        await asyncio.sleep(0)


async def grow(ctx: JobContext) -> None:
    """Hold and touch `mb_per_s` more each second, in steps of 10 ms; tell all memory of its own."""
    import psutil  # not in the zygote, whose memory is measured

    step_mb = ctx.metadata["mb_per_s"] / 100
    own_mb = psutil.Process().memory_full_info().uss / 1e6
    held: list[bytes] = []
    due = time.monotonic()
    while True:
        held.append(b"x" * int(step_mb * 1e6))
        stamp(ctx, "grew", mb=own_mb + step_mb * len(held))
        due += 0.01
        time.sleep(max(0.0, due - time.monotonic()))


async def flood(ctx: JobContext) -> None:
    """Lines of 100 bytes as fast as the pipe takes them, in blocks of a thousand."""
    end, lines, block_of = time.monotonic() + ctx.metadata["seconds"], 0, f"{LINE}\n".encode() * 1000
    while time.monotonic() < end:
        view = memoryview(block_of)
        while view:
            view = view[os.write(1, view) :]
        lines += 1000
        await asyncio.sleep(0)
    stamp(ctx, "flooded", lines=lines)


async def prints(ctx: JobContext) -> None:
    """The same by `print`, as an agent would."""
    end, lines = time.monotonic() + ctx.metadata["seconds"], 0
    while time.monotonic() < end:
        for _ in range(100):
            print(LINE)
        lines += 100
        await asyncio.sleep(0)
    stamp(ctx, "flooded", lines=lines)


async def chatter(ctx: JobContext) -> None:
    """Print `per_s` lines a second, evenly."""
    due, number = time.monotonic(), 0
    while not ctx.shutdown_requested:
        for _ in range(ctx.metadata["per_s"] // 100):
            number += 1
            print(f"{number:>10} {LINE[:88]}")
        due += 0.01
        await asyncio.sleep(max(0.0, due - time.monotonic()))


DOINGS: dict[str, Any] = {
    made.__name__: made
    for made in (leave, kill, wait, sleep, helper, block, busy, gil, burn, grow, flood, prints, chatter)
}
