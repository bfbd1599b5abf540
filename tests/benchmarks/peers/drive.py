"""Drives one peer's pool through one measurement. A program for the peer's interpreter: nothing of ours is imported.

    STAMPS=FILE PYTHON drive.py videosdk|livekit trivial|heavy idle|warm|cold|rate COUNT

Prints `RESULT ` and JSON. Like a real main script it imports the SDK and the agent first, so every child of the
peer that imports its main module does so, too.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from typing import Any

import psutil

AGENT = importlib.import_module(f"agent_{sys.argv[2]}")
POOL = importlib.import_module(f"pool_{sys.argv[1]}").Pool
SETTLE_S = 5.0
REPORT_S = 5.0  # after the last job ran, its end must be known
LOST_S = 60.0  # a job that has not run by then is lost


async def until_idle(pool: Any, count: int) -> None:
    while pool.idle() < count:
        await asyncio.sleep(0.005)


def stamps() -> dict[str, float]:
    try:
        with open(os.environ["STAMPS"], encoding="utf-8") as file:
            whole = (json.loads(line) for line in file if line.endswith("\n"))
            return {entry["job"]: entry["at"] for entry in whole}
    except FileNotFoundError:
        return {}  # no job has run yet


async def idle(count: int) -> dict[str, Any]:
    """When `count` processes are idle, and what each of them holds for itself."""
    pool, began = POOL(AGENT, count, count), time.monotonic()
    await pool.start()
    await until_idle(pool, count)
    at = time.monotonic()
    await asyncio.sleep(SETTLE_S)
    own = [process for process in psutil.Process().children(recursive=True) if not _helper(process)]
    return {"at": at, "pool_ms": (at - began) * 1e3, "uss_mb": [p.memory_full_info().uss / 1e6 for p in own]}


def _helper(process: psutil.Process) -> bool:
    """The fork server and the resource tracker; children of the fork server share its command line."""
    words = " ".join(process.cmdline())
    return "resource_tracker" in words or ("forkserver" in words and process.ppid() == os.getpid())


async def warm(count: int) -> dict[str, Any]:
    """Milliseconds from handing over a job to its first line, with a process ready for it."""
    pool = POOL(AGENT, 2, 10)
    await pool.start()
    return {"ms": [await _one(pool, number, 2, pause_s=0.15) for number in range(count)]}


async def cold(count: int) -> dict[str, Any]:
    """The same without any process; the very first job, which may start a fork server, is not counted."""
    pool = POOL(AGENT, 0, 50)
    await pool.start()
    return {"ms": [await _one(pool, number, 0, pause_s=0.1) for number in range(count + 1)][1:]}


async def _one(pool: Any, number: int, ready: int, pause_s: float) -> float:
    await until_idle(pool, ready)
    if not ready:
        await pool.empty()
    await asyncio.sleep(pause_s)
    began = time.monotonic()
    await pool.run(f"job{number}")
    return (stamps()[f"job{number}"] - began) * 1e3


async def rate(count: int) -> dict[str, Any]:
    """Jobs a second until the last one ran, eight at a time; and how many were reported as good soon after."""
    pool = POOL(AGENT, 8, 8)
    await pool.start()
    await until_idle(pool, 8)
    gate = asyncio.Semaphore(8)

    async def one(number: int) -> bool:
        async with gate:
            return bool(await pool.run(f"job{number}"))

    began = time.monotonic()
    jobs = [asyncio.ensure_future(one(number)) for number in range(count)]
    while len(ran := stamps()) < count and time.monotonic() - began < LOST_S:
        await asyncio.sleep(0.05)
    ended, _ = await asyncio.wait(jobs, timeout=REPORT_S)
    good = sum(job.exception() is None and job.result() for job in ended)
    return {"per_s": len(ran) / (max(ran.values()) - began), "ran": len(ran), "reported_good": good}


async def main(measure: str, count: int) -> None:
    """Measure, print, leave."""
    result = await {made.__name__: made for made in (idle, warm, cold, rate)}[measure](count)
    print("RESULT", json.dumps(result), flush=True)
    os._exit(0)  # a pool may never end; who started this ends its group


if __name__ == "__main__":
    asyncio.run(main(sys.argv[3], int(sys.argv[4])))
