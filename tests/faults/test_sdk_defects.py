"""What the VideoSDK worker got wrong, each as the promise that stands in its place. The jobs' own ledger judges."""

import ast
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

from tests.conftest import WAIT_S, Worker, tagged, wait_until
from tests.defences import ROOT, defence
from tests.test_core import Bench
from tests.workers import begin, log_lines, of_worker, processes, run, until, until_ended, until_ready, until_written
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.model.state import State
from workbench.server.health import examine
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


# --- processes ----------------------------------------------------------------------------------------


@pytest.mark.option("initialize_timeout")
@defence(
    (
        "workbench/model/pool.py",
        "deadline = now.mono + self._limit_s(generation)",
        "deadline = now.mono + 3600.0",
    ),
)
@defence(("workbench/model/pool.py", "                self._desk.want(fx.Kill(process_id))\n        if", "        if"))
async def test_sdk_S11_a_process_that_is_not_ready_in_time_is_killed_and_replaced(
    start_worker: Any, tmp_path: Path
) -> None:
    prewarm = tmp_path / "prewarm"
    prewarm.write_text("0")
    worker = start_worker(AGENT, PREWARM=str(prewarm))
    async with worker.client() as client:
        await until_ready(client)
        prewarm.write_text("600")
        await client.set_options({"initialize_timeout": 0.5})
        psutil.Process((await processes(client, "idle"))[0]["pid"]).kill()
        stuck = wait_until(lambda: [e["pid"] for e in worker.entries() if e["words"] == "600"], "one warms up")[0]
        wait_until(lambda: gone(stuck), "it is killed")
        prewarm.write_text("0")
        await client.set_options({"initialize_timeout": 60})
        job = await run(client, "return")
        await until(client, lambda state: len(state.live("idle")) == len(state.processes) == 1)
        assert tracked(await client.request("GET", "/stats")) == living(worker)
    assert (job["status"], wrote(worker, job["id"])) == ("completed", ["start", "finish"])


def tracked(stats: dict[str, Any]) -> set[int]:
    """The processes a worker speaks of."""
    return {process["pid"] for process in stats["processes"]}


def living(worker: Worker) -> set[int]:
    """Those the process table has: children of the supervisor that are no zygotes."""
    found = set()
    for child in of_worker(worker).children():
        if "-g" not in child.environ().get("WORKBENCH_PROCESS", "-g"):
            found.add(child.pid)
    return found


WANTED = ev.LinkChanged(at=0, state="connecting", why="first try", attempt=1, retry_at=None)
LOADED = ev.ReloadDone(at=0, generation=1, took_ms=1, start_method="zygote", start_method_why="")


@defence(("workbench/server/app.py", 'state.link.state == "connected"', 'state.link.state != "waiting"'))
@defence(("workbench/server/metrics.py", 'state.link.state == "connected"', 'state.link.state != "waiting"'))
@defence(("workbench/server/health.py", 'in ("local", "connected")', 'in ("local", "connected", "connecting")'))
@defence(("workbench/server/health.py", "    elif not loaded:\n", "    elif not link_ok:\n"))
async def test_sdk_S12_nothing_says_connected_or_ready_before_it_is_so(start_worker: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = start_worker(AGENT, "--register", "--registry-url", "ws://127.0.0.1:9/", GATE=str(gate))
    async with worker.client() as client:
        with pytest.raises(ClientError) as unready:
            await client.request("GET", "/readyz")
        assert unready.value.status == 503
        assert await says_connected(client) == (False, False)
        gate.touch()
        await until_ready(client)
        assert await says_connected(client) == (False, False)
    state = State()
    for event in (LOADED, WANTED):
        state.apply(event)
    assert not examine(state, now_mono=100.0, stall=(0.0, 0.0)).ready, "a link that is wanted and not there yet"


async def says_connected(client: Client) -> tuple[bool, bool]:
    about, page = await client.request("GET", "/worker"), await client.request("GET", "/metrics")
    return about["registered"], "workbench_registry_connected 0.0" not in page


@defence(("workbench/server/app.py", '"idle": len(state.live("idle"))', '"idle": len(state.live("IDLE"))'))
@defence(
    (
        "workbench/server/metrics.py",
        "by_state.add_metric([name], len(state.live(name)))",
        "by_state.add_metric([name], 0)",
    )
)
@defence(("workbench/server/app.py", '"job_count": len(state.active_jobs())', '"job_count": len(state.processes)'))
async def test_sdk_S13_the_counts_are_those_of_the_process_table(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        busy = await begin(client, worker, "wait")
        await until(client, lambda state: len(state.live("idle")) == 2 and len(state.processes) == 3)
        there = living(worker)
        about, stats = await client.request("GET", "/worker"), await client.request("GET", "/stats")
        page = await client.request("GET", "/metrics")
    assert len(there) == 3
    assert tracked(stats) == there
    assert [p["pid"] for p in stats["processes"] if p["state"] == "busy"] == [busy["pid"]]
    assert (about["idle"], about["job_count"]) == (2, 1)
    assert 'workbench_processes{state="idle"} 2.0' in page
    assert 'workbench_processes{state="busy"} 1.0' in page


# --- secrets and doors --------------------------------------------------------------------------------


@defence(
    ("workbench/model/options.py", "    if name in SECRETS:\n        return", "    if name in ():\n        return"),
    ("workbench/model/mask.py", "        if not new:\n", "        if True:\n"),
)
@defence(
    ("workbench/server/guard.py", '"send the control token as', 'f"{token}: send the control token as'),
    ("workbench/model/mask.py", "        if not new:\n", "        if True:\n"),
)
@defence(("workbench/process/launcher.py", 'k.startswith("WORKBENCH_") and is_secret_variable(k)', 'k == ""'))
async def test_sdk_S14_a_token_is_in_no_line_answer_event_or_job_not_even_at_level_debug(start_worker: Any) -> None:
    secrets = {"WORKBENCH_AUTH_TOKEN": "canary-1", "WORKBENCH_CONTROL_TOKEN": "canary-2"}
    worker = start_worker(AGENT, "--log-level", "DEBUG", "--register", "--host", "0.0.0.0", **secrets)
    seen: list[str] = []
    async with worker.client() as client, raw_events(worker) as stream, aiohttp.ClientSession() as http:
        await stream.send_json({"logs": {"tail": 10_000}})
        await until_ready(client)
        begun = await begin(client, worker, "wait")
        url = (await until(client, lambda state: state.worker.url)).replace("0.0.0.0", "127.0.0.1")
        async with http.get(f"{url}/stats", headers={"Authorization": "Bearer canary"}) as answer:
            assert answer.status == 401
            seen.append(await answer.text())
        for path in ("/worker", "/stats", "/options", "/metrics", "/jobs", "/health", f"/jobs/{begun['job']}"):
            seen.append(str(await client.request("GET", path)))
        for wrong in ({"auth_token": "canary-3"}, {"max_processes": "canary-4 canary"}, {"control_token": "canary-5"}):
            with pytest.raises(ClientError) as refused:
                await client.set_options(wrong)
            seen.append(str(refused.value).replace("canary-4", ""))  # the sender's own word, and no secret
        for pid in [*living(worker), worker.process.pid]:
            seen.append(" ".join(psutil.Process(pid).cmdline()))
        seen += [str(psutil.Process(pid).environ()) for pid in tagged(worker.tag) if pid != worker.process.pid]
        await client.end_job(begun["job"])
        await until_ended(client, begun["job"])
        async with asyncio.timeout(WAIT_S):
            while "job_ended" not in (news := str((await stream.receive()).data)):
                seen.append(news)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    seen.append(worker.output())
    assert [text for text in seen if "canary-" in text] == []
    assert begun["job"] in seen[-1]


@defence(
    (
        "workbench/model/options.py",
        '            "127.0.0.1", "address the HTTP',
        '            "0.0.0.0", "address the HTTP',
    )
)
@defence(("workbench/server/guard.py", "if not self._known(host_of(given)):", "if False:"))
@defence(
    ("workbench/server/guard.py", "if origin is not None and origin.lower()", 'if origin == "" and origin.lower()')
)
async def test_sdk_S15_a_worker_is_reached_from_this_machine_only_and_not_by_web_pages(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = await until(client, lambda state: state.worker.url)
        doors = [c.laddr for c in of_worker(worker).net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert [door.ip for door in doors] == ["127.0.0.1"]
        assert url == f"http://127.0.0.1:{doors[0].port}"
        for headers, status in (
            ({"Host": "workbench.example"}, 421), ({"Origin": "http://workbench.example"}, 403), ({}, 202),
        ):  # fmt: skip
            async with http.post(f"{url}/jobs", json={}, headers=headers) as answer:
                assert answer.status == status, headers
                job = await answer.json()
        await until_ended(client, job["id"])
    assert [entry["job"] for entry in worker.entries() if entry["what"] == "start"] == [job["id"]]


@defence(
    (
        "workbench/model/jobs.py",
        "if job is not None and job.active and job.process_id == process_id:",
        "if job is not None:",
    ),
    ("workbench/model/fold.py", "    if not job.active:\n        raise", "    if job is None:\n        raise"),
    ("workbench/model/fold.py", "    del state._active[job.id]", "    state._active.pop(job.id, None)"),
)
@defence(("workbench/model/fold.py", '    state.counters["late_reports"] += 1', "    return"))
async def test_sdk_S16_a_job_ends_once_and_a_second_end_is_told_as_late(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client, raw_events(worker) as stream:
        await until_ready(client)
        job_id = (await client.dispatch(None, {"do": "end twice"}))["id"]
        await until_written(worker, job_id, "finish")
        await until_ended(client, job_id)
        state = await until(client, lambda state: not state.live("stopping") and state)
        job = await client.request("GET", f"/jobs/{job_id}")
        assert state.counters["late_reports"] == 1
        ends = []
        async with asyncio.timeout(WAIT_S):
            while "late_report" not in [end["type"] for end in ends]:
                news = (await stream.receive()).json()
                ends += [news] if news["type"] in ("job_ended", "late_report") else []
    assert (job["status"], job["reason"], job["error"]) == ("failed", "raised", "the first")
    assert [(end["type"], end["id"]) for end in ends] == [("job_ended", job_id), ("late_report", job_id)]


# --- time ---------------------------------------------------------------------------------------------


@defence(
    (
        "workbench/model/jobs.py",
        "limit = self._desk.options.job_timeout\n        return",
        "limit = self._desk.options.job_timeout or 3600.0\n        return",
    ),
    (
        "workbench/model/jobs.py",
        "(limit := self._desk.options.job_timeout) > 0",
        "(limit := self._desk.options.job_timeout or 3600.0) > 0",
    ),
)
def test_sdk_S17_a_job_without_a_limit_of_its_own_runs_as_long_as_it_likes() -> None:
    bench = Bench()
    bench.serve()
    job, process_id = bench.start()
    for spawn in bench.core.state.live("starting"):
        bench.ready(spawn.id)
    bench.take()
    assert bench.core.next_wakeup() is None, "while it runs nothing at all is due by the clock"
    bench.wait(10 * 3600)
    assert (job.status, job.asked) == ("running", None)
    bench.over(job)
    assert (job.status, job.reason, job.process_id) == ("completed", "returned", process_id)


@defence(("workbench/model/jobs.py", "times += [began + limit for", "times += [began + min(limit, 3600.0) for"))
def test_sdk_S17_the_only_deadline_of_a_running_job_is_the_one_its_option_sets() -> None:
    bench = Bench(job_timeout=36_000.0)
    bench.serve()
    job, _ = bench.start()
    for spawn in bench.core.state.live("starting"):
        bench.ready(spawn.id)
    bench.take()
    assert bench.core.next_wakeup() == bench.time + 36_000.0
    bench.wait(35_999)
    assert job.asked is None


LIMITERS = {"wait_for", "timeout", "timeout_at", "alarm", "setitimer", "call_at"}
AFTER_IT = "context.py: asyncio.timeout_at(deadline)"  # shutdown callbacks, at close_timeout


@defence(
    (
        "workbench/process/runner.py",
        "await entrypoint(self.context)",
        "await asyncio.wait_for(entrypoint(self.context), 3600.0)",
    )
)
def test_sdk_S17_nothing_round_an_entrypoint_has_a_clock_of_its_own() -> None:
    found = []
    for file in [*(ROOT / "workbench" / "agent").glob("*.py"), *(ROOT / "workbench" / "process").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in LIMITERS:
                found.append(f"{file.name}: {ast.unparse(node)}")
    assert found == [AFTER_IT]
