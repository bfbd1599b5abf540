"""The routes: who may call, what they answer, in which state."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.workers import until_ended, until_ready
from workbench.model import events as ev
from workbench.model.state import State
from workbench.server.health import examine
from workbench.server.metrics import Metrics


async def _url(client: Any) -> str:
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if frame.state.worker.url:
                return str(frame.state.worker.url)
    raise AssertionError("no url")


async def test_a_strange_host_or_origin_is_refused(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client, aiohttp.ClientSession() as http:
        url = await _url(client)
        own = url.removeprefix("http://")
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Host": "127.0.0.1.evil.example"}, 421),
            ({"Host": "127.0.0.1:80@evil.example"}, 421),
            ({"Host": "[::1]evil.example"}, 421),
            ({"Host": "[::1"}, 421),
            ({"Host": ""}, 421),
            ({"Host": "LOCALHOST.:1"}, 200),
            ({"Host": "[::1]:1"}, 200),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"ftp://{own}"}, 403),
            ({"Origin": "http://127.0.0.1"}, 403),
            ({"Origin": f"http://{own}"}, 200),
            ({"Origin": f"HTTPS://{own}"}, 200),
            ({}, 200),
        ):
            async with http.get(f"{url}/stats", headers=headers) as answer:
                assert answer.status == status, headers
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/events", headers={"Origin": "http://evil.example"})
        assert refused.value.status == 403
        async with http.post(f"{url}/jobs", data="{}", headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415
        async with http.post(f"{url}/jobs", json={"metadata": {"x": "y" * 70_000}}) as answer:
            assert answer.status == 413


async def test_on_a_loopback_bind_a_token_is_not_asked_for(start_worker: Any, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("canary-token\n")
    worker = start_worker("ledger.py", "--control-token-file", str(tmp_path / "token"))
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = (await client.request("GET", "/stats"))["worker"]["url"]
        async with http.post(f"{url}/drain") as answer:
            assert answer.status == 200


async def test_beyond_loopback_control_needs_the_token(start_worker: Any, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("canary-token\n")
    bare = start_worker("ledger.py", "--host", "0.0.0.0")
    kept = start_worker("ledger.py", "--host", "0.0.0.0", "--control-token-file", str(tmp_path / "token"))
    async with bare.client() as client, aiohttp.ClientSession() as http:
        url = (await _url(client)).replace("0.0.0.0", "127.0.0.1")
        for method, path, status in (
            ("GET", "/livez", 200), ("HEAD", "/livez", 200), ("GET", "/metrics", 200), ("GET", "/worker", 200),
            ("GET", "/stats", 403), ("POST", "/worker", 403), ("GET", "/events", 403), ("GET", "/nowhere", 403),
        ):  # fmt: skip
            async with http.request(method, f"{url}{path}") as answer:
                assert answer.status == status, (method, path)
        async with http.post(f"{url}/jobs") as answer:
            assert answer.status == 403
            assert "--control-token-file" in (await answer.json())["error"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/events")
        assert refused.value.status == 403
        assert worker_started_no_job(bare)
    async with kept.client() as client, aiohttp.ClientSession() as http:
        url = (await _url(client)).replace("0.0.0.0", "127.0.0.1")
        for given, status in (
            (None, 401), ("Bearer wrong", 401), ("Bearer ", 401), ("Basic canary-token", 401), ("canary-token", 401),
            ("Bearer canary-token ü", 401), ("Bearer canary-token", 200), ("bearer canary-token", 200),
        ):  # fmt: skip
            headers = {"Authorization": given} if given else {}
            async with http.get(f"{url}/stats", headers=headers) as answer:
                assert answer.status == status, given
                assert "canary" not in await answer.text()
        async with http.ws_connect(f"{url}/events", headers={"Authorization": "Bearer canary-token"}) as events:
            assert (await events.receive_json())["type"] == "snapshot"
        for words in ("new-token", ""):
            (tmp_path / "token").write_text(words)
            async with http.get(f"{url}/stats", headers={"Authorization": f"Bearer {words}"}) as answer:
                assert answer.status == (200 if words else 403)


@defence(("workbench/supervisor/secrets.py", "os.O_RDONLY | os.O_NONBLOCK", "os.O_RDONLY"))
@defence(
    ("workbench/supervisor/secrets.py", "        if not stat.S_ISREG(os.fstat(fd).st_mode):\n", "        if False:\n")
)
@pytest.mark.parametrize("kind", ["pipe", "folder"])
async def test_a_token_file_that_is_no_file_is_refused_and_holds_nobody_up(
    start_worker: Any, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "token"
    make = {"pipe": os.mkfifo, "folder": os.mkdir}[kind]
    make(path)
    never = start_worker("ledger.py", "--host", "0.0.0.0", "--control-token-file", str(path))
    assert never.ended() == 2
    assert f"control_token_file {path}: not a regular file" in never.output()
    path.rename(tmp_path / "other")
    path.write_text("canary-token\n")
    worker = start_worker("ledger.py", "--host", "0.0.0.0", "--control-token-file", str(path))
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = (await _url(client)).replace("0.0.0.0", "127.0.0.1")
        path.unlink()
        make(path)
        async with http.get(f"{url}/stats", headers={"Authorization": "Bearer canary-token"}) as answer:
            assert answer.status == 403
            assert "not a regular file" in (await answer.json())["error"]
        assert (await client.request("GET", "/stats"))["worker"]["status"] == "ready"


def worker_started_no_job(worker: Worker) -> bool:
    """By the job's own word, not the worker's."""
    return worker.entries() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/jobs", {"room_id": "../../etc"}, 400),
        ("POST", "/jobs", {"room_id": ""}, 400),
        ("POST", "/jobs", {"room_id": "a\n"}, 400),
        ("POST", "/jobs", {"metadata": []}, 400),
        ("POST", "/jobs", {"metadata": ""}, 400),
        ("POST", "/jobs", {"metadata": False}, 400),
        ("POST", "/jobs", {"metadata": {"x": "y" * 33_000}}, 400),
        ("POST", "/jobs", {"force": 1}, 400),
        ("POST", "/jobs", [], 400),
        ("GET", "/jobs?status=faild", None, 400),
        ("GET", "/jobs?limit=nan", None, 400),
        ("GET", "/jobs/", None, 404),
        ("DELETE", "/processes/%D9%A1", None, 404),
        ("DELETE", "/processes/99999999999999999999", None, 404),
        ("GET", "/rooms/nope", None, 404),
        ("GET", "/rooms/%00/messages", None, 404),
        ("GET", "/events", None, 426),
        ("POST", "/livez", {}, 405),
        ("POST", "/drain", {"timeout": 5}, 400),
        ("POST", "/reload", [], 400),
        ("PATCH", "/options", {"no_such": 1}, 400),
        ("PATCH", "/options", {"max_processes": None}, 400),
        ("PATCH", "/options", {"auth_token": "canary"}, 409),
        ("POST", "/jobs", {"rooom": "x"}, 400),
        ("POST", "/jobs", {"metadata": 3}, 400),
        ("GET", "/jobs/nope", None, 404),
        ("DELETE", "/jobs/nope", None, 404),
        ("DELETE", "/processes/1", None, 404),
        ("GET", "/rooms/nope/messages", None, 404),
        ("POST", "/rooms/nope/messages", {"text": "x"}, 404),
        ("PATCH", "/options", {"port": 1}, 409),
        ("PATCH", "/options", {"max_processes": "x"}, 400),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/jobs", {}, 405),
        ("GET", "/jobs?limit=x", None, 400),
    ],
)
async def test_a_wrong_request_gets_an_error_in_words(
    one_worker: Worker, method: str, path: str, body: Any, status: int
) -> None:
    async with one_worker.client() as client:
        with pytest.raises(Exception) as refused:
            await client.request(method, path, body)
        assert refused.value.status == status  # type: ignore[attr-defined]
        assert refused.value.body["error"]  # type: ignore[attr-defined]
        assert "canary" not in str(refused.value)
        assert "Traceback" not in str(refused.value)


async def test_the_answers_have_the_contracts_fields(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        about = await client.request("GET", "/worker")
        assert set(about) == set(
            "agent_id worker_id version status why load load_threshold job_count max_processes idle registered"
            " draining uptime_s".split()
        )
        assert about["load_threshold"] is None  # infinity
        job = await client.dispatch("r", {"do": "wait"})
        for name in (
            "id room_id metadata status reason error exit_code signal attempt attempts generation pid warm"
            " queued_at started_at ended_at start_latency_ms".split()
        ):
            assert name in job
        assert (await client.request("GET", "/jobs?status=completed&limit=5"))["jobs"] == []
        await client.drain()
        assert (await client.request("GET", "/health"))["status"] == "draining"
        with pytest.raises(Exception, match="asked by an operator"):
            await client.dispatch()
        await client.admit()
        assert (await client.request("GET", "/worker"))["status"] == "ready"


async def test_a_client_folds_events_into_the_state_the_worker_has(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        ended = 0
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if frame.snapshot:
                    for _ in range(3):
                        await client.dispatch()
                ended += isinstance(frame.event, ev.JobEnded)
                if ended == 3 and not frame.state.live("busy", "stopping", "starting"):
                    break
        folded = frame.state.to_json()
        truth = await client.request("GET", "/stats")
    for volatile in ("seq", "load", "counters"):
        folded.pop(volatile), truth.pop(volatile)
    for process in folded["processes"] + truth["processes"]:
        for name in ("memory_mb", "cpu", "loop_lag_ms", "heartbeat_age_s"):
            process.pop(name)
    assert json.loads(json.dumps(folded)) == truth


METRICS = (
    "jobs_total jobs_refused_total job_start_seconds job_duration_seconds processes idle_target load load_threshold"
    " process_memory_bytes process_cpu_ratio loop_lag_seconds process_restarts_total reloads_total reload_seconds"
    " registry_connected registry_retries_total log_lines_total log_lines_dropped_total draining info"
    " admission_changes_total"
)


async def test_metrics_have_the_contracts_names_and_count_what_happened(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "3", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        for metadata in ({}, {}, {"do": "raise"}):
            await until_ended(client, (await client.dispatch(None, metadata))["id"])
            await until_ready(client)
        waiting = [await client.dispatch(None, {"do": "wait"}) for _ in range(2)]
        wait_until(lambda: [e["what"] for e in worker.entries()].count("start") == 5, "all jobs have begun")
        await client.set_options({"load_threshold": None})
        async with asyncio.timeout(WAIT_S):
            while True:
                page = await client.request("GET", "/metrics")
                figures = {
                    line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in page.splitlines() if line[0] != "#"
                }
                pids = [e["pid"] for e in worker.entries() if e["job"] in [job["id"] for job in waiting]]
                sampled = all(f'workbench_process_memory_bytes{{pid="{pid}"}}' in figures for pid in pids)
                if figures.get('workbench_processes{state="idle"}') == "1.0" and sampled:
                    break
                await asyncio.sleep(0.01)
    for name in METRICS.split():
        assert f"# TYPE workbench_{name} " in page.replace("_total counter", "_total  counter").replace("  ", " ") or (
            f"# TYPE workbench_{name.removesuffix('_total')} " in page
        ), name
    assert float(figures[f'workbench_process_memory_bytes{{pid="{pids[0]}"}}']) > 1e5
    assert {
        name: figures[f"workbench_{name}"]
        for name in (
            'jobs_total{reason="returned",status="completed"}', 'jobs_total{reason="raised",status="failed"}',
            'processes{state="busy"}', "idle_target", "load_threshold", "draining", "registry_connected",
            "job_duration_seconds_count", 'reloads_total{result="promoted"}', 'info{agent_id="ledger",version="0.1.0"}',
        )
    } == {
        'jobs_total{reason="returned",status="completed"}': "2.0", 'jobs_total{reason="raised",status="failed"}': "1.0",
        'processes{state="busy"}': "2.0", "idle_target": "1.0", "load_threshold": "+Inf", "draining": "0.0",
        "registry_connected": "0.0", "job_duration_seconds_count": "3.0", 'reloads_total{result="promoted"}': "1.0",
        'info{agent_id="ledger",version="0.1.0"}': "1.0",
    }  # fmt: skip


def test_a_load_that_is_not_known_yet_is_no_figure() -> None:
    page = Metrics(State()).text().decode()
    assert "# TYPE workbench_load gauge" in page
    assert "\nworkbench_load " not in page


def test_an_end_of_a_job_that_is_forgotten_at_once_is_counted() -> None:
    metrics = Metrics(State())
    metrics.on_event(
        ev.JobEnded(at=0, id="gone", status="failed", reason="hung", error=None, exit_code=None, signal=None)
    )
    assert 'workbench_jobs_total{reason="hung",status="failed"} 1.0' in metrics.text().decode()


# --- health -----------------------------------------------------------------------------------------


def _state(*events: ev.Event) -> State:
    state = State()
    for event in events:
        state.apply(event)
    return state


LOADED = ev.ReloadDone(at=0, generation=1, took_ms=1, start_method="zygote", start_method_why="")
DEGRADED = ev.PoolHeld(at=0, failures=5, until_at=9, degraded=True, why="they die")
LINK_DOWN = ev.LinkChanged(at=0, state="waiting", why="refused", attempt=2, retry_at=3)
DRAINING = ev.DrainStarted(at=0, why="asked", deadline_at=None)


@pytest.mark.parametrize(
    ("events", "stall_s", "live", "ready", "healthy", "status"),
    [
        ([], 0, True, False, False, "starting"),
        ([LOADED], 0, True, True, True, "ok"),
        ([LOADED, DRAINING], 0, True, False, True, "draining"),
        ([LOADED, LINK_DOWN], 0, True, False, True, "degraded"),
        ([LOADED, DEGRADED], 0, True, False, False, "failing"),
        ([LOADED], 6, False, False, False, "stalled"),
    ],
)
def test_health_follows_its_table(
    events: list[ev.Event], stall_s: float, live: bool, ready: bool, healthy: bool, status: str
) -> None:
    health = examine(_state(*events), now_mono=100.0, stall=(99.0, stall_s))
    assert (health.live, health.live and health.ready, health.live and health.healthy, health.status) == (
        live, ready, healthy, status,
    )  # fmt: skip


async def test_dispatch_finds_the_only_worker(start_worker: Any) -> None:
    import os
    import subprocess
    import sys

    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(worker.folder)}
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "workbench", "dispatch", "--wait"],
        env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    job = json.loads(run.stdout)
    assert job["status"] == "completed"
    wait_until(lambda: [e["what"] for e in worker.entries()] == ["start", "finish"], "the job wrote its end")
