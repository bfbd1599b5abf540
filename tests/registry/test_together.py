"""The registry and real workers of the workbench's: what the jobs themselves write is the measure."""

import asyncio
import itertools
import os
import signal
from typing import Any

from tests.conftest import WAIT_S, wait_until
from tests.registry.scripted import Api, session
from tests.workers import free_port


def _flags(url: str, *more: str) -> tuple[str, ...]:
    given = ("--register", "--registry-url", url.replace("http", "ws", 1), "--max-processes", "2")
    return (*given, "--num-idle-processes", "2", "--agent-id", "A", *more)


_rooms = itertools.count()


async def _given(api: Api, do: str, **more: Any) -> str:
    """A job in a room of its own."""
    return await api.given(room=f"room-{next(_rooms)}", metadata={"do": do}, **more)


async def _connected(api: Api, number: int) -> dict[str, Any]:
    found = await api.until(
        lambda s: sum(w["connected"] and w["status"] == "available" for w in s["workers"].values()) == number and s,
        f"{number} workers",
    )
    return dict(found["workers"])


async def test_jobs_run_end_and_are_ended_on_real_workers(start_registry: Any, start_worker: Any) -> None:
    registry = start_registry()
    workers = [start_worker("ledger.py", *_flags(registry.url), wait=False) for _ in range(2)]
    async with session() as http:
        api = Api(registry.url, http)
        known = await _connected(api, 2)
        assert {w["kind"] for w in known.values()} == {"workbench"}
        jobs = [await _given(api, do, wait=60) for do in ("return", "raise", "kill", "return")]
        ends = [await api.until_job(job, "completed", "failed") for job in jobs]
        assert [end["reason"] for end in ends] == ["returned", "raised", "signalled", "returned"]
        assert "ValueError: boom" in ends[1]["error"]
        held = [await _given(api, "wait", wait=60) for _ in range(4)]
        for job in held:
            await api.until_job(job, "running")
        assert (await api.dispatch())[1]["message"] == "No workers available"
        waiting = asyncio.ensure_future(_given(api, "return", wait=60))
        await api.until(lambda state: state["registry"]["queue"], "one waits")
        assert (await api.call("DELETE", f"/jobs/{held[0]}"))[0] == 202
        assert (await api.until_job(held[0], "cancelled"))["reason"] == "cancelled"
        assert (await api.until_job(await waiting, "completed"))["status"] == "completed"
        for job in held[1:]:
            await api.call("DELETE", f"/jobs/{job}")
            await api.until_job(job, "cancelled")
        started = [entry["job"] for worker in workers for entry in worker.entries() if entry["what"] == "start"]
        assert len(started) == len(set(started)) == 9
        assert (await api.counters()).get("reoffers", 0) == 0
        workers[0].process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(workers[0].ended) == 0
        await api.until(lambda state: len(state["workers"]) == 1, "who left is not waited for")


async def test_a_worker_that_is_killed_loses_only_what_it_ran(start_registry: Any, start_worker: Any) -> None:
    registry = start_registry("--grace", "1")
    victim = start_worker("ledger.py", *_flags(registry.url), wait=False)
    async with session() as http:
        api = Api(registry.url, http)
        await _connected(api, 1)
        ran = [await _given(api, "wait") for _ in range(2)]
        for job in ran:
            await api.until_job(job, "running")
        waiting = asyncio.ensure_future(_given(api, "return", wait=60))
        await api.until(lambda state: state["registry"]["queue"], "one waits")
        start_worker("ledger.py", *_flags(registry.url), wait=False)
        assert (await api.until_job(await waiting, "completed"))["reason"] == "returned"
        os.kill(victim.process.pid, signal.SIGKILL)
        for job in ran:
            end = await api.until_job(job, "failed")
            assert (end["reason"], end["attempt"]) == ("supervisor_lost", 1)


async def test_jobs_outlive_a_registry_that_is_killed(start_registry: Any, start_worker: Any) -> None:
    port = str(free_port())
    first = start_registry("--port", port)
    worker = start_worker("ledger.py", *_flags(first.url), wait=False)
    async with session() as http:
        api = Api(first.url, http)
        (before,) = await _connected(api, 1)
        jobs = [await _given(api, "wait") for _ in range(2)]
        for job in jobs:
            await api.until_job(job, "running")
        first.process.kill()
        await asyncio.to_thread(first.process.wait)
        async with worker.client() as client:
            await client.end_job(jobs[0])  # by its own door, while nobody else hears of it
            await asyncio.to_thread(
                wait_until, lambda: len([e for e in worker.entries() if e["what"] == "start"]) == 2, "two started"
            )
            async with asyncio.timeout(WAIT_S):
                async for frame in client.frames():
                    if not frame.state.jobs[jobs[0]].active:
                        break
        second = await asyncio.to_thread(start_registry, "--port", port)
        assert second.url == first.url
        assert (await api.until_job(jobs[0], "cancelled"))["reason"] == "cancelled"
        assert (await api.until_job(jobs[1], "running"))["worker_id"] == before
        assert (await api.call("DELETE", f"/jobs/{jobs[1]}"))[0] == 202
        await api.until_job(jobs[1], "cancelled")
        assert len([entry for entry in worker.entries() if entry["what"] == "start"]) == 2
