"""Jobs on a real worker: every end has its name, judged by what the job itself wrote."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.workers import until_ended, until_ready, until_written
from workbench.client.client import ClientError


@pytest.mark.parametrize(
    ("metadata", "status", "reason", "exit_code", "signal"),
    [
        ({"do": "return"}, "completed", "returned", None, None),
        ({"do": "raise"}, "failed", "raised", None, None),
        ({"do": "exit", "code": 0}, "failed", "exited", 0, None),
        ({"do": "exit", "code": 3}, "failed", "exited", 3, None),
        ({"do": "sysexit", "code": 7}, "failed", "exited", 7, None),
        ({"do": "kill"}, "failed", "signalled", None, "SIGKILL"),
    ],
)
async def test_an_end_has_its_name_and_the_next_job_runs(
    start_worker: Any,
    metadata: dict[str, Any],
    status: str,
    reason: str,
    exit_code: int | None,
    signal: str | None,
) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch(None, metadata))["id"])
        after = await until_ended(client, (await client.dispatch())["id"])
    assert (job["status"], job["reason"], job["exit_code"], job["signal"]) == (
        status,
        reason,
        exit_code,
        signal,
    )
    finished = Counter(e["job"] for e in worker.entries() if e["what"] == "finish")
    assert finished == Counter({after["id"]: 1} | ({job["id"]: 1} if status == "completed" else {}))
    if reason == "raised":
        assert job["error"] == "ValueError: boom (ledger.py:24 in entrypoint)"


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


async def test_ending_a_stubborn_job_goes_down_the_ladder(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--close-timeout", "0.4")
    async with worker.client() as client:
        await until_ready(client)
        job_id = (await client.dispatch(None, {"do": "stubborn"}))["id"]
        await until_written(worker, job_id, "start")
        await client.end_job(job_id)
        job = await until_ended(client, job_id)
    assert (job["status"], job["reason"]) == ("cancelled", "cancelled")
    assert job["signal"] in ("SIGTERM", "SIGKILL")


async def test_a_job_over_its_memory_limit_is_killed(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--memory-limit-mb", "120")
    async with worker.client() as client:
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch(None, {"do": "grow"}))["id"])
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "oom_limit", "SIGKILL")
    assert max(e["mb"] for e in worker.entries() if e["what"] == "grew") < 240


async def test_a_hung_job_is_named_and_killed(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--ping-timeout", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch(None, {"do": "block"}))["id"])
    assert (job["status"], job["reason"]) == ("failed", "hung")
    assert "ledger.py:33 in entrypoint" in job["error"]


async def test_a_job_timeout_ends_a_job(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--job-timeout", "0.3")
    async with worker.client() as client:
        await until_ready(client)
        job = await until_ended(client, (await client.dispatch(None, {"do": "wait"}))["id"])
    assert (job["status"], job["reason"]) == ("failed", "timeout")


async def test_over_max_processes_is_refused(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "1")
    async with worker.client() as client:
        await until_ready(client)
        await client.dispatch(None, {"do": "wait"})
        with pytest.raises(ClientError) as refused:
            await client.dispatch()
    assert (refused.value.status, refused.value.body["reason"]) == (503, "full")


async def test_processes_are_reused_when_asked(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "1", "--max-jobs-per-process", "3")
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(6):
            await until_ended(client, (await client.dispatch())["id"])
            await until_ready(client)
    pids = [e["pid"] for e in worker.entries() if e["what"] == "start"]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3]


async def test_spawn_runs_jobs_as_well(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--start-method", "spawn")
    async with worker.client() as client:
        await until_ready(client)
        good = await until_ended(client, (await client.dispatch())["id"])
        bad = await until_ended(client, (await client.dispatch(None, {"do": "exit", "code": 3}))["id"])
    assert (good["status"], bad["reason"], bad["exit_code"]) == ("completed", "exited", 3)
