"""The routes: who may call, what they answer, in which state."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import WAIT_S, wait_until
from tests.test_jobs import until_ready
from workbench.model import events as ev
from workbench.model.state import State
from workbench.server.health import examine


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
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": f"http://{own}"}, 200),
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


async def test_beyond_loopback_control_needs_the_token(start_worker: Any, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("canary-token\n")
    bare = start_worker("ledger.py", "--host", "0.0.0.0")
    kept = start_worker("ledger.py", "--host", "0.0.0.0", "--control-token-file", str(tmp_path / "token"))
    async with bare.client() as client, aiohttp.ClientSession() as http:
        url = (await _url(client)).replace("0.0.0.0", "127.0.0.1")
        async with http.get(f"{url}/livez") as answer:
            assert answer.status == 200
        async with http.get(f"{url}/stats") as answer:
            assert answer.status == 403
            assert "--control-token-file" in (await answer.json())["error"]
    async with kept.client() as client, aiohttp.ClientSession() as http:
        url = (await _url(client)).replace("0.0.0.0", "127.0.0.1")
        for token, status in ((None, 401), ("wrong", 401), ("canary-token", 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with http.get(f"{url}/stats", headers=headers) as answer:
                assert answer.status == status
                assert "canary" not in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/jobs", {"room_id": "../../etc"}, 400),
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
    start_worker: Any, method: str, path: str, body: Any, status: int
) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        with pytest.raises(Exception) as refused:
            await client.request(method, path, body)
        assert refused.value.status == status  # type: ignore[attr-defined]
        assert refused.value.body["error"]  # type: ignore[attr-defined]


async def test_the_answers_have_the_contracts_fields(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        about = await client.request("GET", "/worker")
        assert set(about) == set(
            "agent_id worker_id version status load load_threshold job_count max_processes idle registered"
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
        page = await client.request("GET", "/metrics")
        for name in (
            "workbench_jobs_refused_total workbench_processes workbench_idle_target workbench_load_threshold"
            " workbench_registry_connected workbench_log_lines_total workbench_draining workbench_info"
            " workbench_reloads_total workbench_job_start_seconds".split()
        ):
            assert name in page, name
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
