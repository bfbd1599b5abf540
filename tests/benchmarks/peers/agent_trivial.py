"""A peer's agent without imports: it stamps its first line, and ends."""

import json
import os
import time
from typing import Any


def stamp(job_id: str, at: float) -> None:
    fd = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{json.dumps({'job': job_id, 'at': at, 'pid': os.getpid()})}\n".encode())
    os.close(fd)


async def entry_videosdk(job_id: str) -> None:
    stamp(job_id, time.monotonic())


async def entry_livekit(ctx: Any) -> None:
    at = time.monotonic()
    stamp(ctx.job.id, at)
    ctx.shutdown("done")


def prewarm_livekit(process: Any) -> None:
    return None
