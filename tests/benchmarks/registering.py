"""Jobs through a registry: how soon the entrypoint runs."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.benchmarks.figures import Figure
from tests.benchmarks.jobs import QUIET_S
from tests.benchmarks.stream import LIMIT_S
from tests.benchmarks.worker import command, ready
from tests.conftest import child_environment
from tests.workers import free_port


async def registry_start(rounds: int = 150) -> list[Figure]:
    """From a dispatch at a registry to the first line of the job's entrypoint, and to the registry's answer."""
    begun_ms, answered_ms = [], []
    async with (
        registry() as url,
        aiohttp.ClientSession(url) as http,
        ready("trivial.py", "--register", "--registry-url", url, idle=2) as (worker, watch),
    ):
        await watch.until(lambda state: state.link.state == "connected")
        for number in range(rounds):
            await watch.until(lambda state: len(state.live("idle")) == 2 and not state.active_jobs())
            await asyncio.sleep(QUIET_S)
            asked = time.monotonic()
            order = {"agentId": "trivial", "roomId": f"room-{number}"}
            async with http.post("/v2/agent/dispatch", json=order) as answer:
                job = (await answer.json())["data"]["jobId"]
            answered_ms.append((time.monotonic() - asked) * 1e3)
            await watch.ended(job)
            begun_ms.append(((await worker.stamp(job, "start"))["at"] - asked) * 1e3)
    return [
        Figure("registry_start p50", begun_ms, "ms", 5.0),
        Figure("registry_start p95", begun_ms, "ms", 10.0, judged="p95"),
        Figure("  answered", answered_ms, "ms", beside="registry_start p50"),
    ]


@asynccontextmanager
async def registry(*flags: str) -> AsyncIterator[str]:
    """A registry of its own process; its address."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    process = subprocess.Popen(
        [*command(), "registry", "--port", str(port), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=child_environment(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession(url) as http:
            while not await _answers(http):
                await asyncio.sleep(0.01)
        yield url
    finally:
        process.terminate()
        process.wait()


async def _answers(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/livez") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
