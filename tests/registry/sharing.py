"""Somebody who wants a number of jobs done through a registry, whatever happens to it and to its workers."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.conftest import WAIT_S
from tests.ledger import entries

AGENT = "lingering"
GIVEN_UP_S = 8.0  # a job that the registry does not know, and that wrote nothing: its worker would have told by then


class Customer:
    """Dispatches jobs until each was done, by the ledgers that the jobs themselves write."""

    _running: asyncio.Task[None]

    def __init__(
        self,
        url: str,
        ledgers: list[Path],
        jobs: int,
        at_once: int,
        seconds: float,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._url, self._tls, self.ledgers, self._seconds = url, tls, ledgers, seconds
        self._left = list(range(jobs, 0, -1))
        self._at_once = at_once
        self.again = 0

    def entries(self, what: str) -> list[dict[str, Any]]:
        """What all jobs wrote."""
        return [entry for ledger in self.ledgers for entry in entries(ledger) if entry["what"] == what]

    async def until_finished(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S * 2):
            while len(self.entries("finish")) < count:
                if self._running.done():
                    await self._running  # what went wrong, rather than that it takes long
                await asyncio.sleep(0.02)

    def start(self) -> None:
        """Dispatch the first ones."""
        self._running = asyncio.ensure_future(self._run())

    async def all_done(self) -> None:
        """Wait until each was done."""
        await self._running

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with asyncio.timeout(WAIT_S * 3), aiohttp.ClientSession(self._url, connector=connector) as http:
            await asyncio.gather(*(self._one_after_another(http) for _ in range(self._at_once)))

    async def _one_after_another(self, http: aiohttp.ClientSession) -> None:
        while self._left:
            number = self._left.pop()
            while not await self._done(http, number):
                self.again += 1

    async def _done(self, http: aiohttp.ClientSession, number: int) -> bool:
        order = {
            "agentId": AGENT,
            "roomId": f"room-{number}",
            "metadata": {"n": number, "s": self._seconds},
            "wait": 20,
        }
        status, answer = await _ask(http, "POST", "/v2/agent/dispatch", order)
        if status != 200:
            await asyncio.sleep(0.1)
            return status == 0 and await self._did_anyway(http, number, "")
        return await self._did_anyway(http, number, answer["data"]["jobId"])

    async def _did_anyway(self, http: aiohttp.ClientSession, number: int, job_id: str) -> bool:
        """Follow a job to its end; False when there is none, or it failed."""
        loop = asyncio.get_running_loop()
        unknown_since = loop.time()
        while True:
            if any(entry["n"] == number for entry in self.entries("finish")):
                return True
            status, job = await _ask(http, "GET", f"/jobs/{job_id or 'none'}")
            if status == 200 and job["status"] in ("failed", "cancelled"):
                return False
            runs = any(entry["n"] == number and _lives(entry["pid"]) for entry in self.entries("start"))
            if status == 200 or runs:
                unknown_since = loop.time()
            elif loop.time() - unknown_since > (GIVEN_UP_S if job_id else 1.0):
                return False
            await asyncio.sleep(0.03)


async def registered(url: str, count: int, tls: ssl.SSLContext | bool = True) -> None:
    """Wait until so many workers take jobs."""
    connector = aiohttp.TCPConnector(ssl=tls)
    async with asyncio.timeout(WAIT_S), aiohttp.ClientSession(url, connector=connector) as http:
        while True:
            _, answer = await _ask(http, "GET", "/workers")
            if sum(worker["status"] == "available" for worker in answer["workers"]) == count:
                return
            await asyncio.sleep(0.05)


def most_at_once(ledger: Path) -> int:
    """How many jobs one worker ran at the same time; one that was killed ends with the ledger."""
    steps = []
    open_until: dict[str, float] = {}
    for entry in entries(ledger):
        open_until[entry["job"]] = entry["at"]
        steps.append((entry["at"], 1 if entry["what"] == "start" else -1))
    running = most = 0
    for _, step in sorted(steps, key=lambda item: (item[0], item[1])):
        running += step
        most = max(most, running)
    return most


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid)


async def _ask(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and answer; 0 when none came, -1 when nobody listens."""
    try:
        async with http.request(method, path, json=body) as answer:
            return answer.status, await answer.json()
    except aiohttp.ClientConnectorError:
        return -1, None
    except aiohttp.ClientError:
        return 0, None
