"""The supervisor's side of the owner pipe: its orders, and what is done when the owner is gone."""

import asyncio
import contextlib
import os
import time

from workbench.model import events as ev
from workbench.supervisor.worker import Supervisor

GRACE_S = 30.0


async def obey(supervisor: Supervisor, fd: int, grace_s: float = GRACE_S) -> None:
    """Read orders until the pipe closes; without `release`, that means the owner is gone.

    Args:
        fd: the reading end of the owner pipe.
        grace_s: how long jobs that the workbench did not start may go on without an owner.
    """
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        while order := (await reader.readline()).strip():
            if order == b"release":
                return
            if order == b"stop":
                supervisor.stop("the workbench was closed", 0)
            elif order == b"drain":
                supervisor.drain("the workbench was closed", then_exit=True)
    finally:
        transport.close()
    if not supervisor.ending and not await _taken_over(supervisor, grace_s):
        supervisor.stop("the workbench is gone", 0)


async def _taken_over(supervisor: Supervisor, grace_s: float) -> bool:
    """The terminal vanished: take nothing more, and wait for the jobs of others or for a new hand.

    Whoever follows the worker (`workbench attach`) holds the end off, and takes over by admitting jobs again.
    """
    supervisor.drain("the workbench that owned this worker is gone")
    if not _others(supervisor):
        return False
    supervisor.logs.note(
        "WARNING", f"the workbench is gone: stopping in {grace_s:g} s, unless somebody attaches and admits jobs again"
    )
    news = asyncio.Event()

    def heard(event: ev.Event) -> None:
        news.set()  # four times a second at least: measurements are events, too

    supervisor.listeners.append(heard)
    last_seen = time.monotonic()
    try:
        while _others(supervisor) and supervisor.state.worker.draining:
            if supervisor.followers:
                last_seen = time.monotonic()
            left_s = last_seen + grace_s - time.monotonic()
            if left_s <= 0:
                return False
            news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), left_s)
    finally:
        supervisor.listeners.remove(heard)
    if supervisor.state.worker.draining:
        return False
    supervisor.logs.note("INFO", "jobs are admitted again: this worker runs on without its workbench")
    return True


def _others(supervisor: Supervisor) -> bool:
    return any(not job.own for job in supervisor.state.active_jobs())
