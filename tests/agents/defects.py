"""An agent that does what has made other workers lie, lose or leak. `do` in the metadata says what."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ledger import note

from workbench import JobContext, Options, WorkerJob

log = logging.getLogger("defects")
GATE, PREWARM = os.environ.get("GATE"), os.environ.get("PREWARM")
while GATE and not Path(GATE).exists():  # as an import that takes its time
    time.sleep(0.01)


async def hold(ctx: JobContext, mb: int) -> None:
    """Take memory step by step, never more than `mb` megabytes."""
    held = []
    while 5 * len(held) < mb:
        held.append(bytearray(os.urandom(1)) * 5_000_000)
        note(ctx, "grew", mb=5 * len(held))
        await asyncio.sleep(0.01)
    note(ctx, "holding")
    await ctx.run_until_shutdown()


async def tick(ctx: JobContext) -> None:
    """Refuse every request to end, and write down that it lives."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            note(ctx, "tick")
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            note(ctx, "refused")


async def clean_up(ctx: JobContext, seconds: float) -> None:
    """Take some time over a clean end."""
    await ctx.run_until_shutdown()
    note(ctx, "asked")
    until = asyncio.get_running_loop().time() + seconds
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            note(ctx, "refused")
    note(ctx, "cleaned")


def end_twice(ctx: JobContext) -> None:
    """Say a first end by hand; the return of the entrypoint is a second one."""
    end = {"t": "over", "job": ctx.job.id, "attempt": 1, "reason": "raised", "error": "the first", "seen": False}
    message = json.dumps(end).encode()
    os.write(3, len(message).to_bytes(4, "big") + message)


def speak(ctx: JobContext) -> None:
    """One record of each level."""
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        log.log(logging.getLevelNamesMapping()[level], "spoken at %s", level)


async def spin(ctx: JobContext) -> None:
    """Keep a processor busy with a loop that turns."""
    ending = asyncio.ensure_future(ctx.run_until_shutdown())
    while not ending.done():
        sum(range(20_000))
        await asyncio.sleep(0)


async def chatter(ctx: JobContext, times: int, pad: str, pause: bool) -> None:
    """News after news."""
    for n in range(1, times + 1):
        ctx.report(n=n, pad=pad)
        if pause and n % 100 == 0:
            await asyncio.sleep(0)
    note(ctx, "chattered", times=times)


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    do: str = ctx.metadata.get("do", "return")
    given: dict[str, Any] = ctx.metadata
    if do == "wait":
        await ctx.run_until_shutdown()
    elif do == "sleep":
        await asyncio.sleep(given["s"])
    elif do == "exit":
        os._exit(given["code"])
    elif do == "sysexit":
        sys.exit(given["code"])
    elif do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif do == "stand still":
        note(ctx, "standing")
        time.sleep(600)
    elif do == "hold":
        await hold(ctx, given["mb"])
    elif do == "tick":
        await tick(ctx)
    elif do == "clean up":
        await clean_up(ctx, given["s"])
    elif do == "end twice":
        end_twice(ctx)
    elif do == "speak":
        speak(ctx)
    elif do == "spin":
        await spin(ctx)
    elif do == "chatter":
        await chatter(ctx, given["times"], given["pad"], given["pause"])
    elif do == "print":
        for n in range(given["lines"]):
            print("line", n)
    elif do == "deaf":
        asyncio.get_running_loop().remove_reader(3)
        note(ctx, "deaf")
        await asyncio.sleep(600)
    note(ctx, "finish")


def prewarm(process: Any) -> None:
    """As long as the file says; `die` leaves at once."""
    words = Path(PREWARM).read_text() if PREWARM else "0"
    line = json.dumps({"job": "", "what": "prewarm", "pid": process.pid, "words": words})
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)
    if words == "die":
        os._exit(3)
    time.sleep(float(words))


if __name__ == "__main__":
    WorkerJob(entrypoint, prewarm=prewarm, options=Options(agent_id="defects", load_threshold=float("inf"))).start()
