"""Ten thousand offers in bursts, and processes that are killed: nothing given out twice, every job accounted for."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import child_environment, wait_until
from tests.ledger import entries
from tests.registry.scripted import Api, Scripted, serving, session
from tests.workers import free_port

JOBS, BURST = 10_000, 500


async def test_ten_thousand_offers_in_bursts_and_none_too_many() -> None:
    """The workers accept whatever they are offered, as VideoSDK's do: only the registry's own count holds them back."""
    async with serving(queue_size=BURST) as at:
        rooms = [1, 2, 3, 5, 8, 8, 20, 33]
        workers = [
            await at.worker(room=room, ours=bool(number % 2), lasts_s=0.0 if room > 2 else 0.002)
            for number, room in enumerate(rooms)
        ]
        taken: list[str] = []
        for burst in range(JOBS // BURST):
            # Every other burst waits for slots; of the rest, what finds none free is refused.
            wait = {"wait": 120} if burst % 2 else {}
            answers = await asyncio.gather(*(at.api.dispatch(**wait) for _ in range(BURST)))
            assert {status for status, _ in answers} <= {200, 503}
            assert not wait or {status for status, _ in answers} == {200}
            taken += [answer["data"]["jobId"] for status, answer in answers if status == 200]
        await at.api.until(lambda state: not state["registry"]["jobs_active"], "all have ended")
        assert [worker.most for worker in workers if worker.most > worker.room] == []
        given = [job["job_id"] for worker in workers for job in worker.of("job_assignment")]
        assert sorted(given) == sorted(taken)  # each once
        assert len(set(given)) == len(given) >= JOBS // 2
        desk = at.service.core.desk
        assert desk.ends == {("completed", "returned"): len(given)}
        assert len(given) + desk.counters["refused_no_workers_available"] == JOBS
        assert desk.counters["offers"] == desk.counters["offers_accepted"] == len(given)
        assert desk.counters["over_accepts"] == desk.counters["duplicates"] == 0


class Machine:
    """A scripted worker as a process; it writes what it starts."""

    def __init__(self, url: str, folder: Path, number: int) -> None:
        self.ledger = folder / f"ledger{number}"
        self.ledger.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.registry.machine", url, str(self.ledger)],
            env=child_environment(PYTHONPATH=os.pathsep.join(sys.path)), stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def entries(self) -> list[dict[str, Any]]:
        """What it wrote."""
        return entries(self.ledger)


@pytest.fixture
def start_machine(tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    """Workers in processes of their own; none is left afterwards."""
    started: list[Machine] = []

    def start(url: str) -> Machine:
        started.append(Machine(url, tmp_path, len(started)))
        wait_until(lambda: started[-1].entries() or started[-1].process.poll() is not None, "it registered")
        assert started[-1].process.poll() is None
        return started[-1]

    yield start
    for machine in started:
        machine.process.kill()
        machine.process.wait()


async def test_every_job_of_killed_workers_is_accounted_for(start_machine: Any) -> None:
    async with serving(grace_s=0.5) as at:
        machines = [await asyncio.to_thread(start_machine, at.url) for _ in range(2)]
        asked = [asyncio.ensure_future(at.api.dispatch(wait=120)) for _ in range(150)]
        await at.api.until(lambda state: state["registry"]["jobs_ended"] >= 30, "some have ended")
        machines[0].process.send_signal(signal.SIGKILL)
        await at.api.until(lambda state: state["registry"]["jobs_ended"] >= 80, "it goes on")
        machines.append(await asyncio.to_thread(start_machine, at.url))
        answers = await asyncio.gather(*asked)
        assert {status for status, _ in answers} == {200}
        await at.api.until(lambda state: not state["registry"]["jobs_active"], "all have ended")
        desk = at.service.core.desk
        assert sum(desk.ends.values()) == 150
        assert set(desk.ends) <= {("completed", "returned"), ("failed", "supervisor_lost")}
        started = [entry["job"] for machine in machines for entry in machine.entries() if entry["what"] == "start"]
        ended = {entry["job"] for machine in machines for entry in machine.entries() if entry["what"] == "end"}
        assert len(set(started)) == len(started), "a job ran twice"
        for job in desk.jobs.values():
            if job.status == "completed":
                assert job.id in ended
            else:
                assert job.worker_id == job.attempts[-1].worker_id
                assert job.started_at is not None
        lost = [job for job in desk.jobs.values() if job.reason == "supervisor_lost"]
        assert len(lost) <= 4  # what the killed one had room for


async def test_a_registry_that_is_killed_learns_of_every_job_when_it_is_started_again(start_registry: Any) -> None:
    port = free_port()
    first = start_registry("--port", str(port))
    async with session() as http:
        ours = [await Scripted(first.url, room=5).open(http) for _ in range(2)]
        sdk = await Scripted(first.url, room=5, ours=False).open(http)
        api = Api(first.url, http)
        jobs = [await api.given() for _ in range(15)]
        await asyncio.gather(
            *(worker.until(lambda w=worker: len(w.running) == 5, "all run") for worker in (*ours, sdk))
        )
        first.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*(worker.finished() for worker in (*ours, sdk)))
        second = await asyncio.to_thread(start_registry, "--port", str(port))
        for worker in (*ours, sdk):
            await worker.open(http)
        known = await api.until(lambda s: len(s["jobs"]) == 10 and s["jobs"], "its own workers told what they have")
        assert set(known) == {job for worker in ours for job in worker.running}
        assert {job["status"] for job in known.values()} == {"running"}
        for worker in (*ours, sdk):
            for job in list(worker.running):
                await worker.update(job, "completed")
        await api.until(lambda s: s["registry"]["jobs_ended"] == 15, "all have ended")
        found = (await api.call("GET", "/jobs"))[1]["jobs"]
        assert {job["id"] for job in found} == set(jobs)
        assert {job["reason"] for job in found} == {"returned"}
        for worker in (*ours, sdk):
            await worker.close()
    assert await asyncio.to_thread(second.end) == 0
