"""Processes as the kernel sees them: when they are gone, what is left of a session, what CPU they took."""

import asyncio
import os
import time

from tests.benchmarks.stream import LIMIT_S


async def gone_at(pidfds: list[int]) -> float:
    """When the last of these processes was gone, by the monotonic clock. Closes the descriptors."""
    loop, left, gone = asyncio.get_running_loop(), set(pidfds), asyncio.Event()
    last = time.monotonic()

    def one_gone(pidfd: int) -> None:
        nonlocal last
        last = time.monotonic()
        loop.remove_reader(pidfd)
        left.discard(pidfd)
        if not left:
            gone.set()

    for pidfd in pidfds:
        loop.add_reader(pidfd, one_gone, pidfd)
    try:
        await asyncio.wait_for(gone.wait(), LIMIT_S)
    finally:
        for pidfd in pidfds:
            loop.remove_reader(pidfd)
            os.close(pidfd)
    return last


def of_sessions(leaders: set[int]) -> list[int]:
    """Every living process of these sessions."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended while we looked
            if int(fields[3]) in leaders and fields[0] not in (b"Z", b"X"):
                found.append(int(name))
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all threads, to the nanosecond."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as figures:
            total += int(figures.read().split()[0])
    return total / 1e9
