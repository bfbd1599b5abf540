"""What tests ask of a real worker, and how they wait for it."""

import asyncio
import contextlib
import random
import signal
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import WAIT_S, Worker, tagged, wait_until
from workbench.client.client import Client


async def until_ready(client: Client) -> None:
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if frame.state.worker.status == "ready" and frame.state.live("idle"):
                return


async def until_ended(client: Client, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            job = frame.state.jobs.get(job_id)
            if job is not None and not job.active:
                return asdict(job)  # a worker that drains may have gone by the next request
    raise AssertionError("the stream ended")


async def until_written(worker: Worker, job_id: str, what: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            for entry in worker.entries():
                if entry["job"] == job_id and entry["what"] == what:
                    return entry
            await asyncio.sleep(0.005)


async def until(client: Client, check: Any) -> Any:
    """The first true answer of `check` about the worker's state."""
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if result := check(frame.state):
                return result
    raise AssertionError("the stream ended")


async def run(client: Client, do: str, **more: Any) -> dict[str, Any]:
    """Run a job to its end."""
    return await until_ended(client, (await client.dispatch(None, {"do": do, **more}))["id"])


async def begin(client: Client, worker: Worker, do: str, sign: str = "start", **more: Any) -> dict[str, Any]:
    """Start a job; what it wrote when it was so far."""
    job = await client.dispatch(None, {"do": do, **more})
    return await until_written(worker, job["id"], sign)


async def processes(client: Client, *states: str) -> list[dict[str, Any]]:
    """The processes in any of `states`, as told."""
    return [p for p in (await client.request("GET", "/stats"))["processes"] if p["state"] in states]


async def log_lines(client: Client) -> list[Any]:
    """Every log line kept."""
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames(log_tail=10_000):
            if frame.lines:
                return frame.lines
    raise AssertionError("the stream ended")


def pending(pid: int) -> int:
    """The signals that wait to be delivered to a process, as bits."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd"))


def send(worker: Worker, number: signal.Signals) -> None:
    """Send a worker a signal and wait until it has taken it: two of the same at once would be one."""
    worker.process.send_signal(number)
    wait_until(lambda: not pending(worker.process.pid), "the signal was taken")


def of_worker(worker: Worker) -> psutil.Process:
    return psutil.Process(worker.process.pid)


def zygotes(worker: Worker) -> list[psutil.Process]:
    """Its zygotes, by what the process table says of them: the supervisor's children that lead no job."""
    found = []
    for child in of_worker(worker).children():
        marked = child.environ().get("WORKBENCH_PROCESS", "")
        if "-g" in marked:
            found.append(child)
    return found


async def samples(client: Client, number: int) -> None:
    """Let the supervisor take that many slow samples, a quarter of a second each, and five fast ones in each."""
    seen = 0
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            seen += frame.event is not None and frame.event.kind == "sampled"
            if seen == number:
                return


def nothing_is_left(worker: Worker) -> None:
    """Neither a process nor a name of its socket."""
    wait_until(lambda: not tagged(worker.tag), "no process is left")
    names = list((worker.folder / "workbench").iterdir())
    assert not names, f"still in the run folder: {names}"


def free_port() -> int:
    """A port that nobody has, and that the kernel hands to nobody who asks for just any."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, lowest)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
