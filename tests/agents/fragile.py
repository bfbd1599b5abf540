"""An agent whose processes are hard to keep. Files that the environment names say what goes wrong, while they exist:

NO_FORK: no process can be made; DIES: a process leaves so many seconds after its prewarm; HOLD: a process that has
read its job waits before the entrypoint. PRELOAD_MB megabytes are shared with every job by the fork.
"""

import asyncio
import errno
import json
import os
import subprocess
import time
from typing import Any

from workbench import JobContext, Options, WorkerJob

SHARED = bytearray(os.urandom(1)) * (int(os.environ.get("PRELOAD_MB", "0")) * 1_000_000)
make_process = os.fork
LONGEST_CHAIN = 300


def told(name: str) -> str | None:
    try:
        with open(os.environ[name]) as file:
            return file.read()
    except (KeyError, FileNotFoundError):
        return None


def note(what: str, job: str = "") -> None:
    line = json.dumps({"job": job, "what": what, "pid": os.getpid(), "at": time.time()})
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def fork() -> int:
    if told("NO_FORK") is not None:
        note("refused")
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return make_process()


os.fork = fork


def prewarm(process: Any) -> None:
    note("prewarm")
    if (after_s := told("DIES")) is not None:
        asyncio.get_running_loop().call_later(float(after_s), os._exit, 7)


def context() -> JobContext:
    note("read")
    while told("HOLD") is not None:
        time.sleep(0.005)
    return JobContext()


def chain() -> None:
    """A process that makes one that makes one, and so on, each in a session of its own."""
    for _ in range(LONGEST_CHAIN):
        if child := make_process():
            os.waitpid(child, 0)
            os._exit(0)
        os.setsid()
        time.sleep(0.002)
    time.sleep(600)


async def entrypoint(ctx: JobContext) -> None:
    note("start", ctx.job.id)
    do = ctx.metadata.get("do", "return")
    if do == "chains":
        for _ in range(4):
            if make_process() == 0:
                chain()
        note("chains", ctx.job.id)
    if do == "orphans":
        for _ in range(20):
            subprocess.run(["sh", "-c", "sleep 0.1 & sleep 0.2 &"], check=True)
        note("orphans", ctx.job.id)
    if do == "read shared":
        note("shared" if sum(SHARED[::4096]) >= 0 else "", ctx.job.id)
    if do != "return":
        await ctx.run_until_shutdown()
    note("finish", ctx.job.id)


if __name__ == "__main__":
    WorkerJob(
        entrypoint, jobctx=context, prewarm=prewarm, options=Options(agent_id="fragile", load_threshold=float("inf"))
    ).start()
