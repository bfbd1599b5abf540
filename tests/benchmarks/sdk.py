"""The quick start of the VideoSDK SDK's guide, under the workbench and as the SDK itself starts it, in one run."""

import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib import metadata
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure
from tests.benchmarks.starts import one_ready_ms
from tests.benchmarks.stream import LIMIT_S
from tests.benchmarks.worker import Worker, ready
from tests.conftest import child_environment
from workbench.model.state import Job, State

SAMPLE = Path(__file__).parents[2] / "sample_agents" / "videosdk_bot.py"
READY_GOAL_MS, USS_GOAL_MB = 30.0, 12.0


async def sdk(rounds: int = 20) -> list[Figure]:
    """An agent of the VideoSDK SDK: a process more, and a job's own memory; beside the SDK started directly."""
    try:
        metadata.version("videosdk-agents")
    except metadata.PackageNotFoundError:
        print("sdk: skipped, the VideoSDK SDK is not installed (pip install 'agent-workbench[sdk]')", file=sys.stderr)
        return []
    times, own = await _under_the_workbench(rounds)
    starts = [_directly() for _ in range(max(3, rounds // 5) + 1)][1:]  # the first one fills caches
    child, memory = "child_ready sdk", "uss job listening, sdk"
    return [
        Figure(child, times["ready"], "ms", READY_GOAL_MS),
        Figure("  from a client's request to the job's port, sdk", times["listening"], "ms", beside=child),
        Figure("  the SDK's own start, to its port", [ms for ms, _ in starts], "ms", beside=child),
        Figure(memory, own["listening"], "MB", USS_GOAL_MB),
        Figure("uss job after a turn, sdk", own["turn"], "MB", USS_GOAL_MB),
        Figure("  the SDK's own process, listening", [mb for _, mb in starts], "MB", beside=memory),
    ]


async def _under_the_workbench(rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    times: dict[str, list[float]] = {"ready": [], "listening": []}
    own: dict[str, list[float]] = {"listening": [], "turn": []}
    async with ready(SAMPLE, "--no-register") as (worker, watch):
        for _ in range(rounds):
            times["ready"].append(await one_ready_ms(worker, watch))
            asked = time.monotonic()
            job_id = await worker.dispatch()
            seen = await watch.until(partial(_listening, job_id))
            times["listening"].append((seen.at - asked) * 1e3)
            own["listening"].append(_uss_mb(seen.what.pid))
            await _one_turn(worker, seen.what)
            own["turn"].append(_uss_mb(seen.what.pid))
            await worker.client.end_job(job_id)
            await watch.ended(job_id)
    return times, own


def _listening(job_id: str, state: State) -> Job | None:
    job = state.jobs.get(job_id)
    return job if job is not None and "ws_port" in job.report else None


async def _one_turn(worker: Worker, job: Job) -> None:
    """Say something, and hear the greeting and the answer."""
    room, heard = f"/rooms/{job.room_id}/messages", 0
    await worker.client.request("POST", room, {"text": "a word"})
    while heard < 2:
        said = await worker.client.request("GET", f"{room}?wait_s=5")
        heard = sum(message["role"] == "agent" for message in said["messages"])


def _uss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_full_info().uss) / 1e6


def _directly() -> tuple[float, float]:
    """Start the file as the SDK does, without a registry: milliseconds to its port, and megabytes of its own then."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        file = Path(name) / "direct.py"
        port = _free_port()
        source = SAMPLE.read_text().replace("register=True", "register=False")
        socketed = f'transport_mode="websocket", websocket=WebSocketConfig({port})'
        source = source.replace('transport_mode="websocket"', socketed)
        file.write_text(f"from videosdk.agents import WebSocketConfig\n{source}")
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, str(file)], env=child_environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            while not _listens(process.pid, port):
                if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                    raise RuntimeError(f"the SDK's own start does not listen (exit code {process.poll()})")
                time.sleep(0.001)
            took = (time.monotonic() - began) * 1e3
            return took, float(psutil.Process(process.pid).memory_full_info().uss) / 1e6
        finally:
            process.kill()
            process.wait()


def _listens(pid: int, port: int) -> bool:
    """By the kernel's table: a connection would count as a client."""
    return f"00000000:{port:04X} 00000000:0000 0A" in Path(f"/proc/{pid}/net/tcp").read_text()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
