"""Load against real workers: what is counted is what the worker counts, and what the jobs themselves wrote."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.conftest import WAIT_S, Worker, child_environment, wait_until
from tests.workers import until, until_ready
from workbench.client.client import Client
from workbench.client.load.plan import make_plan
from workbench.client.load.run import LoadRun

Start = Callable[..., Worker]
RETURN, WAIT = {"do": "return"}, {"do": "wait"}
SLOW_ECHO = """
async def main():
    await ctx.room.send("hello")
    async for message in ctx.room:
        await asyncio.sleep(0.2)
        async def words():
            yield "first "
            await asyncio.sleep(0.2)
            yield "last"
        await ctx.room.send(words())
"""


async def poured(client: Client, **plan: Any) -> LoadRun:
    """A run to its end."""
    run = LoadRun(client, make_plan(**plan))
    async with asyncio.timeout(WAIT_S):
        await run.run()
    return run


async def metric(client: Client, name: str) -> float:
    page = await client.request("GET", "/metrics")
    found = re.search(rf"^workbench_{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def started(worker: Worker) -> list[str]:
    return [entry["job"] for entry in worker.entries() if entry["what"] == "start"]


async def test_every_job_is_counted_as_the_worker_counts_it_and_as_the_jobs_wrote(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "30", "--num-idle-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        result = (await poured(client, jobs=24, rate_per_s=20.0, metadata=RETURN, hold_s=60.0)).result
        assert result.ended == Counter({("completed", "returned"): 24})
        assert (result.accepted, result.handed_in, result.refused.total(), result.lost) == (24, 24, 0, 0)
        assert await metric(client, 'jobs_total{reason="returned",status="completed"}') == 24
        assert len(set(started(worker))) == len(started(worker)) == 24
        assert (result.good, result.done, result.running) == (True, 24, 0)
        assert len(result.starts) == len(result.from_plan) == 24
        jobs = (await client.request("GET", "/jobs"))["jobs"]
        assert sorted(result.starts) == sorted(job["start_latency_ms"] for job in jobs)
        assert result.warm == sum(job["warm"] for job in jobs)
        assert result.rate_per_s is not None
        assert result.rate_per_s <= 21
        assert result.to_json()["start_latency_ms"]["p95"] == round(sorted(result.starts)[22], 2)


async def test_what_is_refused_is_counted_by_its_reason_and_not_tried_again(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        result = (await poured(client, burst=8, metadata=WAIT, hold_s=2.0)).result
        assert (result.accepted, result.refused) == (3, Counter(full=5))
        assert result.ended == Counter({("cancelled", "cancelled"): 3})
        assert await metric(client, 'jobs_refused_total{reason="full"}') == 5
        assert len(started(worker)) == 3
        assert result.good


async def test_a_refused_job_is_handed_in_again_when_that_is_wanted(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        result = (await poured(client, burst=4, metadata=WAIT, hold_s=1.0, retry=True)).result
        assert result.accepted == 4
        assert result.refused["full"] >= 2
        assert len(started(worker)) == 4


async def test_a_job_that_fails_is_told_with_its_reason(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "4")
    async with worker.client() as client:
        await until_ready(client)
        result = (await poured(client, burst=2, metadata={"do": "exec", "code": "1 / 0"})).result
        assert result.ended == Counter({("failed", "raised"): 2})
        assert not result.good


async def test_never_more_at_a_time_than_allowed(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "6")
    most = 0
    async with worker.client() as client:
        await until_ready(client)

        async def look() -> None:
            nonlocal most
            async for frame in client.frames():
                most = max(most, len(frame.state.active_jobs()))

        looking = asyncio.create_task(look())
        result = (await poured(client, concurrency=2, jobs=8, metadata=WAIT, hold_s=0.1)).result
        looking.cancel()
        assert (result.accepted, result.refused.total(), most) == (8, 0, 2)
        assert not result.from_plan  # there is no time at which they were due


async def test_a_worker_that_stands_still_is_measured_from_the_plan(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "40", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        run = LoadRun(client, make_plan(jobs=20, rate_per_s=10.0, metadata=RETURN, hold_s=60.0))
        running = asyncio.create_task(run.run())
        async with asyncio.timeout(WAIT_S):
            while run.result.accepted < 3:
                await asyncio.sleep(0.01)
            worker.process.send_signal(signal.SIGSTOP)
            try:
                while run.result.handed_in < 14:  # the plan goes on, whatever the worker does
                    await asyncio.sleep(0.01)
            finally:
                worker.process.send_signal(signal.SIGCONT)
            result = await running
        assert result.ended == Counter({("completed", "returned"): 20})
        late = [ms for ms in result.from_plan if ms > 250]
        assert len(late) >= 5  # not one alone: each job that was due meanwhile had to wait
        assert max(late) > 900


async def test_a_turn_is_measured_to_its_first_words_and_to_its_end(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "4")
    metadata = {"do": "exec", "code": SLOW_ECHO, "call": "main"}
    async with worker.client() as client:
        await until_ready(client)
        result = (await poured(client, burst=2, metadata=metadata, say=("one", "two", "three"))).result
        assert (len(result.turns), len(result.first_words), result.silent) == (6, 6, 0)
        assert min(result.first_words) >= 195
        assert all(whole - first >= 150 for first, whole in zip(result.first_words, result.turns, strict=True))
        assert result.ended == Counter({("cancelled", "cancelled"): 2})


async def test_a_line_without_a_reply_is_counted(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "4")
    code = "async def main():\n    async for message in ctx.room:\n        return\n"
    async with worker.client() as client:
        await until_ready(client)
        metadata = {"do": "exec", "code": code, "call": "main"}
        result = (await poured(client, burst=2, metadata=metadata, say=("one", "two"))).result
        assert (result.silent, len(result.turns)) == (2, 0)
        assert result.ended == Counter({("completed", "returned"): 2})


async def test_a_stopped_run_ends_the_jobs_it_started_and_no_other(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "9")
    async with worker.client() as client:
        await until_ready(client)
        other = await client.dispatch(None, WAIT)
        run = LoadRun(client, make_plan(jobs=100, rate_per_s=20.0, metadata=WAIT, hold_s=600.0))
        running = asyncio.create_task(run.run())
        await until(client, lambda state: len(state.active_jobs()) >= 4)
        run.stop()
        result = await asyncio.wait_for(running, WAIT_S)
        assert result.ended == Counter({("cancelled", "cancelled"): result.accepted})
        assert result.handed_in < 100
        assert (result.stopped, result.good) == (True, True)
        assert await until(client, lambda state: [job.id for job in state.active_jobs()]) == [other["id"]]


async def test_a_run_that_is_cut_off_asks_its_jobs_to_end(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "4")
    async with worker.client() as client:
        await until_ready(client)
        run = LoadRun(client, make_plan(burst=3, metadata=WAIT, hold_s=600.0))
        running = asyncio.create_task(run.run())
        await until(client, lambda state: len(state.active_jobs()) == 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await until(client, lambda state: not state.active_jobs())


async def test_a_worker_that_is_killed_ends_the_run(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "4")
    async with worker.client() as client:
        await until_ready(client)
        run = LoadRun(client, make_plan(burst=3, metadata=WAIT, hold_s=600.0))
        running = asyncio.create_task(run.run())
        await until(client, lambda state: len(state.active_jobs()) == 3)
        worker.process.kill()
        result = await asyncio.wait_for(running, WAIT_S)
        assert (result.accepted, result.lost, result.good) == (3, 3, False)
        assert "the worker is gone" in result.trouble


# --- the command -------------------------------------------------------------------------------------


def load(worker: Worker, *flags: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "workbench", "load", "--url", worker.socket, *flags],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=child_environment(XDG_RUNTIME_DIR=str(worker.folder)),
    )  # fmt: skip


async def test_the_command_prints_a_table_or_json_and_its_exit_code_tells(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
    good = load(worker, "--burst", "2", "--metadata", '{"do": "echo"}', "--say", "one", "two", "--json")
    out, err = good.communicate(timeout=WAIT_S)
    assert good.returncode == 0, err
    told = json.loads(out)
    assert (told["accepted"], told["turn_latency_ms"]["samples"]) == (2, 4)
    assert told["ended"] == {"cancelled": {"cancelled": 2}}
    assert err.startswith("load: 2 of 2 handed in")
    bad = load(worker, "--burst", "2", "--metadata", '{"do": "exec", "code": "1 / 0"}')
    out, _ = bad.communicate(timeout=WAIT_S)
    assert bad.returncode == 1
    assert "ended          ✗ 2 failed / raised" in out
    assert "start          p50 " in out


async def test_ctrl_c_ends_what_was_started_and_prints_the_result_so_far(start_worker: Start) -> None:
    worker = start_worker("talker.py", "--max-processes", "5")
    async with worker.client() as client:
        await until_ready(client)
        command = load(
            worker, "--jobs", "500", "--rate", "10", "--hold", "1h", "--metadata", '{"do": "wait"}', "--json"
        )
        await until(client, lambda state: len(state.active_jobs()) == 5)
        wait_until(lambda: len(started(worker)) == 5, "all have begun")
        command.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(command.communicate, timeout=WAIT_S)
        assert command.returncode == 0, err
        told = json.loads(out)
        assert told["ended"] == {"cancelled": {"cancelled": 5}}
        assert told["stopped"]
        assert told["refused"].keys() <= {"full"}
        assert await until(client, lambda state: not state.active_jobs())


async def test_a_second_ctrl_c_does_not_wait_for_jobs_that_will_not_end(start_worker: Start) -> None:
    worker = start_worker("ledger.py", "--close-timeout", "600", "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        command = load(worker, "--burst", "1", "--hold", "1h", "--metadata", '{"do": "stubborn"}', "--json")
        wait_until(lambda: started(worker), "it has begun")
        command.send_signal(signal.SIGINT)
        await until(client, lambda state: any(job.asked for job in state.active_jobs()))
        command.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(command.communicate, timeout=WAIT_S)
        assert command.returncode == 1, err
        told = json.loads(out)
        assert (told["accepted"], told["lost"], told["good"]) == (1, 1, False)
        (job,) = await until(client, lambda state: state.active_jobs())  # it was asked, and goes on
        await client.kill_process(job.pid)
        assert await until(client, lambda state: not state.active_jobs())
