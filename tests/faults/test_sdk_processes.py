"""Defects of the SDK's worker, S11 to S17: processes, secrets, doors and time."""

import ast
import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.conftest import WAIT_S, Worker, tagged, wait_until
from tests.defences import ROOT, defence
from tests.faults.test_sdk_defects import gone, raw_events, wrote
from tests.test_core import Bench
from tests.workers import begin, of_worker, processes, run, until, until_ended, until_ready, until_written
from workbench.client.client import Client, ClientError
from workbench.model import events as ev
from workbench.model.state import State
from workbench.server.health import examine

AGENT = "defects.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging

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
