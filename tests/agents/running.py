"""An agent that stands still, grows, holds on or will not end. `do` in the metadata says which."""

import asyncio
import ctypes
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ledger import note

from workbench import JobContext, Options, ProcessInfo, WorkerJob

LEFT: list[asyncio.Task[None]] = []
MUTEX = ctypes.create_string_buffer(64)
POOL = ThreadPoolExecutor(1)  # its thread waits for more work after the job, as in many libraries


def sleeps() -> None:
    time.sleep(600)


def computes() -> None:
    for _ in iter(int, 1):
        continue


def holds_the_lock_of_the_interpreter() -> None:
    lock_it = ctypes.PyDLL(None).pthread_mutex_lock  # by PyDLL: no other thread of Python runs meanwhile
    lock_it(MUTEX) or lock_it(MUTEX)  # the second waits for ever, and no signal wakes it


STANDING = {"sleep": sleeps, "compute": computes, "hold the lock": holds_the_lock_of_the_interpreter}


def prewarm(process: ProcessInfo) -> None:
    if os.environ.get("SERVICE"):
        threading.Thread(target=time.sleep, args=(600,), name="service").start()


def read_badly() -> None:
    json.loads("{")


def order() -> str:
    """What the test wants now."""
    try:
        with open(os.environ["ORDER"]) as file:
            return file.read()
    except FileNotFoundError:
        return ""


async def hold(ctx: JobContext) -> None:
    """Hold as many megabytes as ordered."""
    held = [bytearray(b"\1") * 1]
    while not ctx.shutdown_requested:
        more = int(order() or 0) - sum(map(len, held)) // 1_000_000
        if more > 0:
            held.append(bytearray(b"\1") * (more * 1_000_000))
            note(ctx, "holds", mb=sum(map(len, held)) // 1_000_000)
        await asyncio.sleep(0.01)


async def refuse(ctx: JobContext) -> None:
    """Note every request to end, and follow none."""
    signal.signal(signal.SIGTERM, lambda *_: note(ctx, "terminated"))
    note(ctx, "ready")
    await ctx.run_until_shutdown()
    note(ctx, "asked")
    await never_end(ctx)


async def never_end(ctx: JobContext) -> None:
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            note(ctx, "cancelled")


async def wait_for_ever(ctx: JobContext) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        note(ctx, "let go")


def linger(ctx: JobContext) -> None:
    """What a thread does that Python waits for: it ends when ordered."""
    while order() != "end":
        time.sleep(0.01)
    note(ctx, "uploaded")


async def say_farewell(ctx: JobContext) -> None:
    note(ctx, "farewell")
    while order() != "end":
        await asyncio.sleep(0.01)


def grow(ctx: JobContext) -> None:
    linger(ctx)
    held = [bytearray(b"\1") * 5_000_000 for _ in range(80)]
    time.sleep(600)
    del held


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    do = ctx.metadata["do"]
    if do in STANDING:
        STANDING[do]()
    elif do == "raise in a library":
        read_badly()
    elif do == "hold":
        await hold(ctx)
    elif do == "refuse":
        await refuse(ctx)
    elif do == "wait for ever":
        await wait_for_ever(ctx)
    elif do == "thread":
        threading.Thread(target=linger, args=(ctx,), name="uploader").start()
    elif do == "growing thread":
        threading.Thread(target=grow, args=(ctx,)).start()
    elif do == "executor":
        asyncio.get_running_loop().run_in_executor(None, linger, ctx)
    elif do == "task":
        LEFT.append(asyncio.create_task(never_end(ctx), name="endless task"))
        await asyncio.sleep(0)
    elif do == "slow farewell":
        ctx.add_shutdown_callback(lambda: say_farewell(ctx))
    elif do == "pool":
        await asyncio.get_running_loop().run_in_executor(POOL, time.sleep, 0)
    elif do == "return unheard":
        while order() != "end":
            time.sleep(0.01)  # its loop does not turn: it cannot hear of a request
    note(ctx, "finish")


if __name__ == "__main__":
    WorkerJob(entrypoint, prewarm=prewarm, options=Options(agent_id="running", load_threshold=float("inf"))).start()
