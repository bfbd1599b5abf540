"""An agent that does to its own process what a supervisor must survive. `do` in the metadata says what."""

import asyncio
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from ledger import note

from workbench import JobContext, Options, WorkerJob

log = logging.getLogger("trouble")
TABLE = [str(n) for n in range(int(os.environ.get("TABLE_ITEMS", "0")))]  # shared with every job by the fork
if os.environ.get("IGNORE_SIGCHLD"):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.environ.get("HELPER_AT_IMPORT"):
    subprocess.Popen(["sleep", "600"], start_new_session=True)


def daemon(ctx: JobContext, *, clean: bool = False) -> None:
    """A helper as daemons are made: forked twice, its own session, deaf to TERM, without a program of its own."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(write, str(os.getpid()).encode())
            if clean:
                os.execve("/bin/sleep", ["sleep", "600"], {})
            time.sleep(600)
        os._exit(0)
    os.wait()
    note(ctx, "helper", helper=int(os.read(read, 20)))


def bomb(ctx: JobContext) -> None:
    """Children that fork on and on, each in a session of its own."""
    for _ in range(6):
        if os.fork() == 0:
            os.setsid()
            until = time.monotonic() + 600
            while time.monotonic() < until:
                if os.fork() == 0:
                    time.sleep(0.05)
                    os._exit(0)
                time.sleep(0.01)
                with_children()
            os._exit(0)
    note(ctx, "bomb")


def with_children() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                return
        except ChildProcessError:
            return


async def misbehave(ctx: JobContext, do: str) -> None:
    if do == "daemon":
        daemon(ctx)
    elif do == "clean daemon":
        helper = subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
        await asyncio.sleep(0.6)  # seen in the tree, as a helper that does something is
        note(ctx, "helper", helper=helper.pid)
    elif do == "bomb":
        bomb(ctx)
    elif do == "stall then exit":
        time.sleep(1.6)
        await asyncio.sleep(0.6)
        os._exit(3)
    elif do == "two threads":
        threading.Thread(target=beside, daemon=True).start()
        await asyncio.sleep(0.1)
        standing()
    elif do == "segfault":
        ctypes.string_at(0)
    elif do == "touch":
        total = sum(len(item) for item in TABLE)
        note(ctx, "touched", total=total, own_kb=own_kb())
        await ctx.run_until_shutdown()
    elif do == "fork worker":
        hold = bytearray(os.urandom(1)) * (ctx.metadata["mb"] * 1_000_000)
        if os.fork() == 0:
            time.sleep(600)
        await asyncio.sleep(1.0)
        note(ctx, "finish", size=len(hold))
        return
    elif do == "grow in a helper":
        subprocess.Popen(
            [sys.executable, "-c", GROWING.format(os.environ["LEDGER"], ctx.job.id)], start_new_session=True
        )
    elif do == "swallow":
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            note(ctx, "swallowed")
            return
    elif do == "group":
        async with asyncio.timeout(5):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            except* ValueError:
                note(ctx, "grouped")
        return
    await ctx.run_until_shutdown()


GROWING = """
import json, os, time
hold, fd = [], os.open({!r}, os.O_WRONLY | os.O_APPEND)
while len(hold) < 100:
    hold.append(bytearray(os.urandom(1)) * 5_000_000)
    os.write(fd, (json.dumps(dict(job={!r}, what="grew", mb=5 * len(hold))) + "\\n").encode())
    time.sleep(0.02)
time.sleep(600)
"""


def own_kb() -> int:
    with open("/proc/self/smaps_rollup") as rollup:
        found = [line.split() for line in rollup.readlines()[1:]]
    return sum(int(parts[1]) for parts in found if parts[0].startswith("Private_"))


async def fail() -> None:
    raise ValueError("in a group")


def beside() -> None:
    time.sleep(600)


def standing() -> None:
    time.sleep(600)


async def entrypoint(ctx: JobContext) -> None:
    note(ctx, "start")
    do = ctx.metadata.get("do", "return")
    if do == "hear":
        async for message in ctx.room:
            note(ctx, "heard", text=message.text)
    elif do == "wait":
        await ctx.run_until_shutdown()
    elif do == "sleep":
        await asyncio.sleep(ctx.metadata["s"])
    elif do != "return":
        await misbehave(ctx, do)
    note(ctx, "finish")


def prewarm(process: Any) -> None:
    line = json.dumps({"job": "", "what": "prewarm", "pid": process.pid})
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)
    what, _, more = os.environ.get("PREWARM", "").partition(" ")
    if what == "raise":
        raise RuntimeError("no model file")
    if what == "sleep":
        time.sleep(float(more))
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def context() -> JobContext:
    broken = os.environ.get("JOBCTX", "")
    if broken == "raise":
        raise LookupError("no context today")
    if broken == "exit":
        sys.exit(4)
    return JobContext()


if __name__ == "__main__":
    WorkerJob(
        entrypoint, jobctx=context, prewarm=prewarm, options=Options(agent_id="trouble", load_threshold=float("inf"))
    ).start()
