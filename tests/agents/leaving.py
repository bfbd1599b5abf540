"""An agent whose jobs do not want to go, and whose file gets in the way of signals. `do` in the metadata says what."""

import asyncio
import contextlib
import os
import signal
import time

from ledger import note

from workbench import JobContext, Options, WorkerJob

BARRIER = os.environ.get("FORK_BARRIER", "")  # a folder: each process waits there, just forked, for a file to come


def wait_at_the_barrier() -> None:
    """Right after the fork, before anything of ours runs in the process. Its pid is the name of what it waits for."""
    if BARRIER and os.getsid(0) != os.getpid():  # neither the zygote nor a job's process that is a leader already
        place = os.path.join(BARRIER, str(os.getpid()))
        open(place, "w").close()
        while not os.path.exists(f"{place}.go") and not os.path.exists(f"{BARRIER}/open"):
            time.sleep(0.005)


if BARRIER:
    os.register_at_fork(after_in_child=wait_at_the_barrier)
    signal.signal(signal.SIGTERM, lambda number, frame: os.mkdir(os.path.join(BARRIER, "swallowed")))


async def entrypoint(ctx: JobContext) -> None:
    do = ctx.metadata.get("do", "return")
    if do == "until":
        await until(ctx)
    elif do == "endless":
        await endless(ctx)
    elif do == "deaf":
        await deaf(ctx)
    elif do == "closers":
        closers(ctx)
    elif do == "hanging closer":
        ctx.add_shutdown_callback(lambda: closed(ctx, 1))
        ctx.add_shutdown_callback(lambda: asyncio.sleep(600))
        note(ctx, "start")
    elif do == "stubborn closer":
        ctx.add_shutdown_callback(stubborn)
        note(ctx, "start")
    note(ctx, "finish")


async def until(ctx: JobContext) -> None:
    """As long as a file is not there."""
    note(ctx, "start")
    while not os.path.exists(ctx.metadata["file"]):
        await asyncio.sleep(0.005)


async def endless(ctx: JobContext) -> None:
    """It hears nothing, but cleans up when it is cancelled."""

    async def close() -> None:
        await asyncio.sleep(0)
        note(ctx, "closed")

    ctx.add_shutdown_callback(close)
    note(ctx, "start")
    await asyncio.sleep(600)


async def deaf(ctx: JobContext) -> None:
    """It refuses whatever it is asked, and writes it down."""
    signal.signal(signal.SIGTERM, lambda number, frame: note(ctx, "terminated"))
    note(ctx, "start")
    await ctx.run_until_shutdown()
    note(ctx, "asked")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


async def closed(ctx: JobContext, number: int) -> None:
    note(ctx, "closed", number=number)


async def stubborn() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


def closers(ctx: JobContext) -> None:
    """Callbacks that fail in every way there is, between two that do not."""

    async def cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(600))
        task.cancel()
        await task

    def leaves() -> None:
        raise SystemExit(9)

    def broken() -> None:
        raise ValueError("a broken callback")

    ctx.add_shutdown_callback(lambda: closed(ctx, 1))
    for callback in (cancelled, leaves, broken):
        ctx.add_shutdown_callback(callback)
    ctx.add_shutdown_callback(lambda: closed(ctx, 2))
    note(ctx, "start")


if __name__ == "__main__":
    WorkerJob(entrypoint, options=Options(agent_id="leaving", load_threshold=float("inf"))).start()
