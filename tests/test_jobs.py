"""Jobs on a real worker: every end has its name, judged by what the job itself wrote."""

import asyncio
from collections import Counter
from typing import Any

from tests.workers import until_ended, until_ready
from workbench.client.client import ClientError


async def test_two_hundred_jobs_each_run_once_and_complete(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "8", "--num-idle-processes", "4")
    async with worker.client() as client:
        await until_ready(client)
        gate, jobs = asyncio.Semaphore(8), []

        async def one() -> None:
            async with gate:
                while True:
                    try:
                        job = await client.dispatch()
                    except ClientError as refused:
                        assert refused.body["reason"] == "full"
                        await asyncio.sleep(0.01)
                        continue
                    jobs.append(await until_ended(client, job["id"]))
                    return

        await asyncio.gather(*(one() for _ in range(200)))
    assert Counter(job["status"] for job in jobs) == {"completed": 200}
    written = Counter((e["job"], e["what"]) for e in worker.entries())
    assert written == Counter({(job["id"], what): 1 for job in jobs for what in ("start", "finish")})


async def test_a_conversation_reaches_the_job_and_comes_back(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        await client.dispatch("talk", {"do": "echo"})
        await client.request("POST", "/rooms/talk/messages", {"text": "hello"})
        said = await client.request("GET", "/rooms/talk/messages?after=m1&wait_s=10")
        assert [m["text"] for m in said["messages"]] == ["HELLO"]


async def test_spawn_runs_jobs_as_well(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--start-method", "spawn")
    async with worker.client() as client:
        await until_ready(client)
        good = await until_ended(client, (await client.dispatch())["id"])
        bad = await until_ended(client, (await client.dispatch(None, {"do": "exit", "code": 3}))["id"])
    assert (good["status"], bad["reason"], bad["exit_code"]) == ("completed", "exited", 3)
