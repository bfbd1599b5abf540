"""What the VideoSDK worker got wrong, each as the promise that stands in its place: ends, counts, events (S1 to S10).

The jobs' own ledger judges.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import psutil
import pytest

from tests.conftest import WAIT_S, Worker
from tests.defences import defence
from tests.workers import begin, log_lines, processes, run, until, until_ended, until_ready, until_written
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.model.state import State
from workbench.server.stream import QUEUE, Subscriber
from workbench.supervisor.logs import LogStore

AGENT = "defects.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


def wrote(worker: Worker, job_id: str) -> list[str]:
    """What one job wrote of itself."""
    return [entry["what"] for entry in worker.entries() if entry["job"] == job_id]


def gone(pid: int) -> bool:
    """The process table has no such process, or only what is left of it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@asynccontextmanager
async def raw_events(worker: Worker) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The stream of events without a client that folds it."""
    connector = aiohttp.UnixConnector(path=worker.socket)
    async with (
        aiohttp.ClientSession("http://localhost", connector=connector) as http,
        http.ws_connect("/events", max_msg_size=0) as stream,
    ):
        yield stream


# --- ends ---------------------------------------------------------------------------------------------


@defence(
    ("workbench/model/ending.py", '"cancelled": "cancelled"}', '"cancelled": "cancelled", "signalled": "completed"}')
)
@defence(("workbench/model/ending.py", '"cancelled": "cancelled"}', '"cancelled": "cancelled", "exited": "completed"}'))
async def test_sdk_S1_a_job_whose_process_died_is_never_completed(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for do, code in (("kill", None), ("exit", 3), ("exit", 0), ("sysexit", 7)):
            job = await run(client, do, code=code)
            assert wrote(worker, job["id"]) == ["start"]
            assert (job["status"], job["exit_code"]) == ("failed", code)
            assert job["reason"] == ("signalled" if do == "kill" else "exited")
        last = await run(client, "return")
    assert (last["status"], wrote(worker, last["id"])) == ("completed", ["start", "finish"])


@defence(
    (
        "workbench/model/jobs.py",
        "        launch = self.launches[job.id]\n        launch.tries +=",
        "        return False\n        launch.tries +=",
    ),
)
@defence(
    (
        "workbench/model/jobs.py",
        "        launch = self.launches[job.id]\n        launch.tries +=",
        "        return False\n        launch.tries +=",
    ),
    ("workbench/model/jobs.py", 'End("init_failed", text, exit_code, signal)', 'End("returned")'),
)
async def test_sdk_S2_a_job_that_was_sent_to_a_dying_process_runs_once_in_a_living_one(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        (idle,) = await processes(client, "idle")
        os.kill(idle["pid"], signal.SIGSTOP)  # it will never read what it is sent
        job_id = (await client.dispatch(None, {"do": "return"}))["id"]
        sent = await until(client, lambda state: state.jobs[job_id].status == "starting" and state.jobs[job_id])
        assert sent.pid == idle["pid"]
        os.kill(idle["pid"], signal.SIGKILL)
        job = await until_ended(client, job_id)
        os.kill((await processes_when(client, "idle"))[0]["pid"], signal.SIGKILL)
        after = await run(client, "return")
    assert wrote(worker, job_id) == wrote(worker, after["id"]) == ["start", "finish"]
    assert (job["status"], after["status"]) == ("completed", "completed")
    assert idle["pid"] not in [entry["pid"] for entry in worker.entries() if entry["what"] == "start"]


async def processes_when(client: Client, state_word: str) -> list[dict[str, Any]]:
    """The processes in a state, as soon as there are any."""
    await until(client, lambda state: state.live(state_word))
    return await processes(client, state_word)


@defence(
    (
        "workbench/model/jobs.py",
        "tables: tuple[dict[str, Any], ...] = (self.ladders, ",
        "tables: tuple[dict[str, Any], ...] = (",
    )
)
@pytest.mark.parametrize("first", ["wait", "tick"])
async def test_sdk_S3_a_job_after_one_that_timed_out_does_not_suffer_for_it(start_worker: Any, first: str) -> None:
    worker = start_worker(
        AGENT, "--max-processes", "1", "--max-jobs-per-process", "0", "--job-timeout", "0.2", "--close-timeout", "0.4"
    )
    async with worker.client() as client:
        await until_ready(client)
        late = await run(client, first)
        await client.set_options({"job_timeout": 0})
        after = await run(client, "sleep", s=1.5)  # past every rung of the ladder that ended the first one
    assert (late["status"], late["reason"]) == ("failed", "timeout")
    assert (after["status"], wrote(worker, after["id"])) == ("completed", ["start", "finish"])
    assert (late["pid"] == after["pid"]) == (first == "wait"), "a process that ended its job in time stays in use"


@defence(("workbench/model/core.py", "if memory_mb >= limit:", "if memory_mb < 0:"))
@defence(
    ("workbench/supervisor/sampler.py", '"memory_mb": round(self.memory.estimate(child), 1)', '"memory_mb": 0.0'),
    ("workbench/supervisor/sampler.py", "round(max(0.0, used - before[1]) / (now - before[0]), 3)", "0.0"),
)
@defence(("workbench/supervisor/watchdog.py", "if limit <= 0 or age_s < limit", "if limit <= 1e9"))
async def test_sdk_S4_limits_of_memory_and_answers_hold_and_what_is_used_is_shown(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5")
    async with worker.client() as client:
        await until_ready(client)
        held = await begin(client, worker, "hold", "holding", mb=100)
        shown = await until(
            client, lambda state: next((p.memory_mb for p in state.live("busy") if (p.memory_mb or 0) >= 100), None)
        )
        own_mb = psutil.Process(held["pid"]).memory_full_info().uss / 1e6
        assert shown == pytest.approx(own_mb, rel=0.2)
        await client.end_job(held["job"])
        await until_ended(client, held["job"])
        busy = await begin(client, worker, "spin")
        await until(client, lambda state: any((p.cpu or 0) > 0.05 for p in state.live("busy")))
        await client.end_job(busy["job"])
        await client.set_options({"memory_limit_mb": 150, "memory_warn_mb": 0})
        grown = await run(client, "hold", mb=400)
        hung = await run(client, "stand still")
    assert (grown["status"], grown["reason"], grown["signal"]) == ("failed", "oom_limit", "SIGKILL")
    assert max(e["mb"] for e in worker.entries() if e["job"] == grown["id"] and e["what"] == "grew") < 400
    assert (hung["status"], hung["reason"], wrote(worker, hung["id"])) == ("failed", "hung", ["start", "standing"])


@defence(("workbench/process/runner.py", 'self.context.request_shutdown(frame["why"])', "return"))
async def test_sdk_S5_a_job_that_is_asked_to_end_hears_of_it_in_its_own_process(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        begun = await begin(client, worker, "clean up", s=0)
        await client.end_job(begun["job"])
        job = await until_ended(client, begun["job"])
    assert wrote(worker, job["id"]) == ["start", "asked", "cleaned", "finish"]
    assert {entry["pid"] for entry in worker.entries() if entry["job"] == job["id"]} == {begun["pid"]}
    assert (job["status"], job["reason"]) == ("cancelled", "cancelled")


@defence(
    (
        "workbench/model/jobs.py",
        "self.ladders[job.id] = Ladder.start(reason, close_s, now.mono)",
        'self.end(job, End("returned"), now)',
    )
)
async def test_sdk_S6_an_ended_job_is_told_when_its_process_has_gone_and_not_as_completed(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "0.4")
    async with worker.client() as client:
        await until_ready(client)
        begun = await begin(client, worker, "tick", "tick")
        await client.end_job(begun["job"])
        job = await until_ended(client, begun["job"])
        assert gone(begun["pid"]), "it is said to have ended while its process runs on"
        written = wrote(worker, job["id"])
        await run(client, "return")
    assert (job["status"], job["reason"], job["signal"]) == ("cancelled", "cancelled", "SIGKILL")
    assert "refused" in written
    assert wrote(worker, job["id"]) == written


# --- counts -------------------------------------------------------------------------------------------

RAISES = """
import sys
if "workbench" in sys.orig_argv:
    from workbench.model import events as ev
    from workbench.server.metrics import Metrics

    def on_event(self, event):
        if isinstance(event, ev.JobEnded):
            raise ConnectionError("the link is down")

    Metrics.on_event = on_event
"""


@defence(
    ("workbench/supervisor/shell.py", "        except Exception as error:", "        except LookupError as error:")
)
async def test_sdk_S7_counts_and_load_come_back_whatever_fails_in_those_who_are_told(
    start_worker: Any, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(RAISES)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    worker = start_worker(AGENT, "--max-processes", "2", "--load", "jobs", PYTHONPATH=path)
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(3):  # as many jobs as there are places, each time
            begun = [await begin(client, worker, "wait") for _ in range(2)]
            async with raw_events(worker) as stream:
                await stream.receive()
                stream._response.connection.transport.abort()  # type: ignore[union-attr]
                for one in begun:
                    await client.end_job(one["job"])
            ended = [await until_ended(client, one["job"]) for one in begun]
            assert {job["reason"] for job in ended} == {"cancelled"}
            assert {tuple(wrote(worker, job["id"])) for job in ended} == {("start", "finish")}
        state = await until(client, lambda state: state.load.load == 0.0 and state)
        about = await client.request("GET", "/worker")
        lines = await log_lines(client)
    assert (state.counters["jobs_accepted"], state.counters["jobs_cancelled"]) == (6, 6)
    assert (about["job_count"], about["load"], about["status"]) == (0, 0.0, "ready")
    assert len([line for line in lines if "the link is down" in line.text]) == 6, "and each failure is told"


@defence(
    (
        "workbench/model/admission.py",
        "if active + worker.reserved >= options.max_processes",
        'if len(state.live("busy")) >= options.max_processes',
    ),
)
async def test_sdk_S8_of_a_burst_no_more_jobs_are_taken_than_there_are_places(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2", "--num-idle-processes", "0")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.status == "ready")
        for _ in range(2):
            burst = await asyncio.gather(
                *(client.dispatch(None, {"do": "wait"}) for _ in range(8)), return_exceptions=True
            )
            taken = [one["id"] for one in burst if isinstance(one, dict)]
            reasons = [one.body["reason"] for one in burst if isinstance(one, ClientError)]
            assert (len(taken), reasons) == (2, ["full"] * 6)
            for job_id in taken:
                await until_written(worker, job_id, "start")
            for job_id in taken:
                await client.end_job(job_id)
                assert (await until_ended(client, job_id))["reason"] == "cancelled"
    assert len([entry for entry in worker.entries() if entry["what"] == "start"]) == 4


@defence(("workbench/model/ladder.py", "now + close_s, now + close_s + ", "now + min(close_s, 3.0), now + 3.0 + "))
async def test_sdk_S9_a_clean_end_may_take_as_long_as_close_timeout_says(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "60")
    async with worker.client() as client:
        await until_ready(client)
        begun = await begin(client, worker, "clean up", s=4)
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining)
        await client.end_job(begun["job"])
        job = await until_ended(client, begun["job"])
    assert wrote(worker, begun["job"])[-2:] == ["cleaned", "finish"]
    assert (job["status"], job["reason"], job["signal"]) == ("cancelled", "cancelled", None)
    assert worker.ended() == 0


# --- the stream of events -----------------------------------------------------------------------------


class Reader:
    """Folds a stream as it comes, and sees every gap."""

    def __init__(self) -> None:
        self.state, self.seq, self.snapshots = State(), 0, 0
        self.lines: list[Any] = []
        self.left_out = 0

    async def read(self, stream: aiohttp.ClientWebSocketResponse, done: Any) -> None:
        """Until `done(self)`."""
        async with asyncio.timeout(WAIT_S):
            while not done(self):
                self.take(json.loads((await stream.receive()).data))

    def take(self, news: dict[str, Any]) -> None:
        if news["type"] == "logs":
            self.left_out += news["dropped"]
            for line in news["lines"]:
                assert line[0] == len(self.lines) + self.left_out, "lines are missing that are not counted"
                self.lines.append(line)
        elif news["type"] == "snapshot":
            self.state, self.seq, self.snapshots = State.from_json(news["state"]), news["seq"], self.snapshots + 1
        else:
            assert news["seq"] == self.seq + 1, "an event is missing"
            self.state.apply(ev.from_json(news))  # type: ignore[arg-type]
            self.seq += 1


@defence(("workbench/server/stream.py", "while not (self._behind or (", "while not (False or ("))
@pytest.mark.parametrize(
    ("reads", "pad", "times"), [(False, "x" * 1500, 8_000), (True, "", 8_000)], ids=["slow", "prompt"]
)
async def test_sdk_S10_no_event_is_lost_to_a_client_whether_it_is_slow_or_the_news_come_all_at_once(
    start_worker: Any, reads: bool, pad: str, times: int
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        async with raw_events(worker) as stream:
            reader = Reader()
            await reader.read(stream, lambda reader: reader.snapshots)
            job_id = (await client.dispatch(None, {"do": "chatter", "times": times, "pad": pad, "pause": not reads}))[
                "id"
            ]
            if not reads:
                await until_written(worker, job_id, "chattered")
                await until_ended(client, job_id)
            await reader.read(stream, lambda reader: (found := reader.state.jobs.get(job_id)) and not found.active)
    assert reads or reader.snapshots >= 2, "it was behind, and caught up by a snapshot"
    assert (reader.state.jobs[job_id].report["n"], reader.state.jobs[job_id].status) == (times, "completed")
    assert wrote(worker, job_id)[-1] == "finish"


class Silent:
    """A client that says nothing and takes everything at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()

    def __aiter__(self) -> "Silent":
        return self

    async def __anext__(self) -> None:
        await self.leaves.wait()
        raise StopAsyncIteration

    async def send_str(self, text: str) -> None:
        self.sent.append(json.loads(text))


@defence(
    ("workbench/server/stream.py", "while not (self._behind or (", "while not (self._queue.qsize() >= QUEUE or ("),
    ("workbench/server/stream.py", "self._behind or self._queue.qsize() >= QUEUE", "self._queue.qsize() >= QUEUE"),
)
async def test_sdk_S10_more_news_at_once_than_a_client_may_be_behind_leave_no_gap() -> None:
    worker = SimpleNamespace(state=State(), logs=LogStore(), listeners=[], followers=0)
    client, reader = Silent(), Reader()
    serving = asyncio.create_task(Subscriber(worker, client).serve())  # type: ignore[arg-type]
    for number in (QUEUE - 1, QUEUE + 1, 3 * QUEUE, 0):
        for _ in range(20):  # turns of the loop: nothing here waits for the world
            await asyncio.sleep(0)
        while client.sent:
            reader.take(client.sent.pop(0))
        assert reader.snapshots, "it has been served"
        assert reader.seq == worker.state.seq, "the newest events are missing"
        for _ in range(number):  # while its sender waits for news
            event = ev.JobRefused(at=0, reason="full", text="")
            worker.state.apply(event)
            worker.listeners[0](event)
    client.leaves.set()
    await serving
    assert reader.state.counters == worker.state.counters
    assert reader.snapshots == 3


@defence(("workbench/server/stream.py", '"dropped": dropped', '"dropped": 0'))
@defence(("workbench/server/stream.py", "self._past, self._gone = logs.past(min(tail, MOST_TAIL))", "pass"))
async def test_sdk_S10_a_client_that_comes_back_finds_every_end_and_no_line_is_missing_unsaid(
    start_worker: Any,
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        async with raw_events(worker) as stream:
            await Reader().read(stream, lambda reader: reader.snapshots)
        jobs = [await run(client, "print", lines=3) for _ in range(3)] + [await run(client, "kill")]
        again = Reader()
        async with raw_events(worker) as stream:
            await stream.send_json({"logs": {"tail": 10_000}})
            await again.read(stream, lambda reader: len(printed(reader)) == 9)
            assert printed(again) == [(job["id"], f"line {n}") for job in jobs[:3] for n in range(3)]
            last = await run(client, "print", lines=30_000)
            await again.read(stream, lambda reader: printed(reader)[-1] == (last["id"], "line 29999"))
    assert [again.state.jobs[job["id"]].reason for job in jobs] == ["returned"] * 3 + ["signalled"]
    assert again.left_out > 0


def printed(reader: Reader) -> list[tuple[str, str]]:
    """What jobs printed: whose, and what."""
    return [(line[5], line[8]) for line in reader.lines if line[8].startswith("line ")]
