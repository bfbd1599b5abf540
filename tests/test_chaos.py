"""Everything at once, in a random order: jobs of every kind, kills, stops, saves. What the jobs wrote is the judge."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter, defaultdict
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, Worker, tagged, wait_until
from tests.workers import until_ready
from workbench.client.client import Client, ClientError

KINDS = "return return return raise exit sysexit kill wait block helper echo grow stubborn".split()
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGSTOP]
FLAGS = (
    "--max-processes 6 --num-idle-processes 2 --memory-limit-mb 150 --ping-timeout 2.5 --ping-interval 0.5"
    " --close-timeout 1 --job-timeout 4"
).split()


async def dispatch(client: Client, worker: Worker, rng: random.Random) -> None:
    await client.dispatch(None, {"do": rng.choice(KINDS), "code": rng.choice([0, 3])})


async def end(client: Client, worker: Worker, rng: random.Random) -> None:
    jobs = (await client.request("GET", "/jobs?limit=10"))["jobs"]
    if jobs:
        await client.end_job(rng.choice(jobs)["id"])


async def hurt(client: Client, worker: Worker, rng: random.Random) -> None:
    """A job's process, an idle one or a zygote, by a signal."""
    children = psutil.Process(worker.process.pid).children()
    if children:
        os.kill(rng.choice(children).pid, rng.choice(SIGNALS))


async def kill(client: Client, worker: Worker, rng: random.Random) -> None:
    pids = [p["pid"] for p in (await client.request("GET", "/stats"))["processes"] if p["pid"]]
    if pids:
        await client.request("DELETE", f"/processes/{rng.choice(pids)}")


async def reload(client: Client, worker: Worker, rng: random.Random) -> None:
    await client.reload()


async def tune(client: Client, worker: Worker, rng: random.Random) -> None:
    most, each = rng.choice([3, 6, 8]), rng.choice([0, 1, 3])
    idle = rng.choice([0, 2, 3])
    await client.set_options({"max_processes": most, "num_idle_processes": idle, "max_jobs_per_process": each})


async def drain(client: Client, worker: Worker, rng: random.Random) -> None:
    await client.request("POST", "/drain")
    await asyncio.sleep(0.05)
    await client.request("DELETE", "/drain")


async def freeze(client: Client, worker: Worker, rng: random.Random) -> None:
    supervisor = psutil.Process(worker.process.pid)
    supervisor.suspend()
    await asyncio.sleep(rng.choice([0.2, 1.2]))
    supervisor.resume()


DEEDS = [dispatch] * 12 + [end] * 3 + [hurt] * 3 + [kill, reload, tune, drain, freeze]


async def quiet(client: Client, worker: Worker) -> dict[str, Any]:
    """Let alone, it has nothing to do and two idle processes; its state then."""
    await client.set_options({"max_processes": 6, "num_idle_processes": 2, "max_jobs_per_process": 1})
    await client.reload()  # a process that ran several jobs keeps the helpers of all until it goes itself
    async with asyncio.timeout(3 * WAIT_S):
        while True:
            for pid in tagged(worker.tag):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            stats: dict[str, Any] = await client.request("GET", "/stats")
            active = [job for job in stats["jobs"] if job["ended_at"] is None]
            if (
                not active
                and stats["reload"]["step"] == "idle"
                and [p["state"] for p in stats["processes"]] == ["idle", "idle"]
            ):
                return stats
            await asyncio.sleep(0.2)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("method", ["zygote", "spawn"])
async def test_whatever_happens_each_job_has_one_true_end_and_the_worker_heals(start_worker: Any, method: str) -> None:
    worker, rng = start_worker("ledger.py", *FLAGS, "--start-method", method), random.Random(method)
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(160):
            with contextlib.suppress(ClientError, ProcessLookupError, psutil.Error):  # refused, or others were faster
                await rng.choice(DEEDS)(client, worker, rng)
            await asyncio.sleep(rng.random() * 0.08)
        stats = await quiet(client, worker)
        supervisor = psutil.Process(worker.process.pid)
        wait_until(lambda: len(supervisor.children(recursive=True)) == 3, "a zygote and two idle processes are left")
        assert supervisor.num_fds() < 60
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in worker.entries():
        written[entry["job"]][entry["what"]] += 1
    assert len(stats["jobs"]) > 5, "there was something to look at; a busy machine refuses many"
    for job in stats["jobs"]:
        mine, told = written[job["id"]], (job["status"], job["reason"])
        assert mine["start"] <= 1, f"started twice: {job}"
        assert mine["finish"] or told != ("completed", "returned"), f"completed without having returned: {job}"
        if job["metadata"]["do"] in ("raise", "exit", "sysexit", "kill", "grow"):
            assert job["status"] != "completed", f"cannot have completed: {job}"
    assert "a bug of ours" not in worker.output()
