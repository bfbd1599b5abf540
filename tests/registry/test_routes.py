"""What the registry shows, and how its process begins and ends."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import WAIT_S
from tests.defences import defence
from tests.registry.scripted import Api, Scripted, serving, session
from tests.tls import CERTIFICATE, ENCRYPTED_KEY
from tests.workers import free_port
from workbench.cli import main


async def test_who_waits_is_served_in_turn_and_not_for_ever() -> None:
    async with serving(queue_size=2) as at:
        worker = await at.worker(room=1)
        first = await at.api.given()
        waiting = []
        for name in ("second", "third"):
            waiting.append(asyncio.ensure_future(at.api.given(room=name, wait=60)))
            number = len(waiting)
            await at.api.until(lambda state, number=number: state["registry"]["queue"] == number, "it waits")
        status, answer = await at.api.dispatch(wait=60)
        assert (status, answer["message"]) == (503, "queue is full: 2 jobs wait for a worker")
        await worker.until(lambda: first in worker.running, "it runs")
        await worker.update(first, "completed")
        second = await waiting[0]
        assert not waiting[1].done()
        await worker.until(lambda: second in worker.running, "the second runs")
        await worker.update(second, "completed")
        third = await waiting[1]
        assert [given["room_id"] for given in worker.of("job_assignment")] == ["r", "second", "third"]
        status, answer = await at.api.dispatch(wait=0.1)
        assert (status, answer["message"]) == (503, "No workers available")
        ended = await at.api.job(answer["jobId"])
        assert (ended["status"], ended["reason"]) == ("failed", "no_workers")
        assert (await at.api.job(third))["status"] in ("assigned", "running")


async def test_who_waits_for_an_agent_that_nobody_is_yet() -> None:
    async with serving(queue_timeout_s=0.1) as at:
        assert (await at.api.dispatch())[1]["message"] == "No workers registered"
        status, answer = await at.api.dispatch(wait=True)
        assert (status, answer["message"]) == (404, "No workers registered")
        waiting = asyncio.ensure_future(at.api.dispatch(wait=60))
        await at.api.until(lambda state: state["registry"]["queue"], "it waits")
        await at.worker()
        assert (await waiting)[0] == 200


@defence(
    ("workbench/registry/door.py", "handler_cancellation=True", "handler_cancellation=False"),
)
async def test_a_client_that_leaves_takes_its_waiting_job_along() -> None:
    async with serving() as at:
        worker = await at.worker(room=1)
        job = await at.api.given()
        waiting = asyncio.ensure_future(at.api.dispatch(wait=60))
        await at.api.until(lambda state: state["registry"]["queue"], "it waits")
        waiting.cancel()
        found = await at.api.until(
            lambda s: [j for j in s["jobs"].values() if j["status"] == "cancelled"], "its job is cancelled"
        )
        assert found[0]["error"] == "whoever dispatched it left while it waited for a worker"
        await worker.until(lambda: job in worker.running, "it runs")
        await worker.update(job, "completed")
        await at.api.until_job(job, "completed")
        assert len(worker.of("availability_request")) == 1


async def test_lists_of_jobs_and_workers() -> None:
    async with serving(kept=3) as at:
        worker = await at.worker(room=2, lasts_s=0.0, threshold=0.8)
        other = await at.worker(agent="B")
        jobs = [await at.api.given(metadata={"n": n}) for n in range(5)]
        await at.api.until_job(jobs[-1], "completed")
        await at.api.until(lambda state: not state["registry"]["jobs_active"], "all have ended")
        held = await at.api.given(agent="B")
        status, answer = await at.api.call("GET", "/jobs")
        assert [job["id"] for job in answer["jobs"]] == [held, *reversed(jobs[2:])]
        assert answer["forgotten"] == 2
        for query, expected in (
            ("?status=completed&limit=2", [jobs[4], jobs[3]]),
            ("?agent=B", [held]),
            ("?agent=nobody", []),
        ):
            assert [j["id"] for j in (await at.api.call("GET", f"/jobs{query}"))[1]["jobs"]] == expected
        status, answer = await at.api.call("GET", "/jobs?status=runing")
        assert (status, "did you mean 'running'" in answer["error"]) == (400, True)
        status, answer = await at.api.call("GET", f"/jobs/{jobs[0]}")
        assert (status, "2 older ones" in answer["error"]) == (404, True)
        about = next(w for w in await at.api.workers() if w["id"] == worker.id)
        assert (about["agent_name"], about["kind"], about["connected"]) == ("A", "workbench", True)
        assert (about["max_processes"], about["load_threshold"], about["slots_used"]) == (2, 0.8, 0)
        assert next(w for w in await at.api.workers() if w["id"] == other.id)["jobs"] == [held]


async def test_the_figures() -> None:
    async with serving() as at:
        worker = await at.worker(room=1)
        job = await at.api.given()
        await at.api.dispatch()
        await worker.until(lambda: job in worker.running, "it runs")
        await worker.update(job, "failed", "hung: for 30 s")
        await at.api.until_job(job, "failed")
        page = (await at.api.call("GET", "/metrics"))[1]
        for line in (
            'workbench_registry_workers{agent="A",kind="workbench"} 1.0',
            'workbench_registry_jobs_total{reason="hung",status="failed"} 1.0',
            'workbench_registry_offers_total{answer="accepted"} 1.0',
            'workbench_registry_refused_total{reason="no_workers_available"} 1.0',
            'workbench_registry_dispatch_seconds_count{outcome="assigned"} 1.0',
            'workbench_registry_slots{agent="A"} 1.0',
            "workbench_registry_queue 0.0",
        ):
            assert line in page, line
        stats = (await at.api.call("GET", "/stats"))[1]
        assert stats["registry"]["url"] == at.url
        assert stats["ends"] == [{"status": "failed", "reason": "hung", "count": 1}]
        assert stats["counters"]["offers"] == 1


async def test_where_workers_are_sent() -> None:
    async with serving() as at:
        for host in ("127.0.0.1:8090", "localhost", "[::1]:1"):
            status, answer = await at.api.call("POST", "/v2/agent/init-config", Host=host)
            assert (status, answer) == (200, {"success": True, "data": {"registryUrl": f"ws://{host}"}})


async def test_fields_of_videosdk_that_a_registry_does_not_use_are_named() -> None:
    async with serving() as at:
        await at.worker()
        status, answer = await at.api.dispatch(versionId="v1")
        assert (status, "versionId not used" in answer["note"]) == (200, True)


@defence(
    ("workbench/registry/door.py", "        if site is not None:\n            await site.stop()\n", ""),
)
async def test_the_end_closes_the_listener_before_it_tells_the_workers(start_registry: Any) -> None:
    registry = start_registry()
    port = int(registry.url.rpartition(":")[2])
    refused = []

    async def try_again(worker: Scripted) -> None:
        await worker.finished()
        try:  # as soon as it is told, as workers of VideoSDK's do
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            refused.append(worker)

    async with session() as http:
        workers = [await Scripted(registry.url).open(http) for _ in range(20)]
        api = Api(registry.url, http)
        jobs = [asyncio.ensure_future(api.dispatch(wait=60, agent="nobody")) for _ in range(3)]
        await api.until(lambda state: state["registry"]["queue"] == 3, "they wait")
        leaving = [asyncio.ensure_future(try_again(worker)) for worker in workers]
        registry.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*leaving)
        assert [worker.closed for worker in workers] == [(1012, "the registry is ending")] * 20
        assert len(refused) == 20
        assert {(await job)[0] for job in jobs} == {409}
        for worker in workers:
            await worker.close()
    assert await asyncio.to_thread(registry.process.wait, WAIT_S) == 0


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--prot", "1"], 2, "did you mean --port?"),
        (["--port", "70000"], 2, "must be a whole number from 0 to 65535"),
        (["--grace", "0"], 2, "must be seconds above 0"),
        (["--queue-size", "-1"], 2, "queue-size"),
        (["--tls-cert", "x.pem"], 2, "belong together"),
        (["--tls-cert", "x.pem", "--tls-key", "x.pem"], 2, "No such file"),
        (["--token-file", "nowhere"], 2, "--token-file nowhere: No such file"),
        (["--public-url", "registry.example"], 2, "must be https://host"),
    ],
)
def test_flags_that_are_not_right(
    flags: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["registry", *flags]) == code
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken_names_its_holder(start_registry: Any) -> None:
    port = free_port()
    registry = start_registry("--port", str(port))
    second = start_registry("--port", str(port), wait=False)
    assert second.process.wait(WAIT_S) == 4
    (told,) = second.records()
    assert f"127.0.0.1:{port} is in use by" in told["message"]
    assert f"(pid {registry.process.pid})" in told["message"]


async def test_the_address_that_others_know_it_by(start_registry: Any) -> None:
    registry = start_registry("--public-url", "https://registry.example:8443")
    async with session() as http:
        answer = (await Api(registry.url, http).call("POST", "/v2/agent/init-config"))[1]
        assert answer["data"]["registryUrl"] == "wss://registry.example:8443"
        async with http.get(f"{registry.url}/agent") as refused:
            assert refused.status == 426
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{registry.url}/nowhere")


async def test_whoever_follows_the_events_is_told_of_the_end() -> None:
    async with serving() as at, at.http.ws_connect(f"{at.url}/events") as socket:
        first = json.loads((await socket.receive()).data)
        assert (first["type"], first["state"]["registry"]["url"]) == ("snapshot", at.url)
        await at.door.close()
        types = []
        async for frame in socket:
            types.append(json.loads(frame.data)["type"])
        assert types == ["changed"]
        assert socket.close_code == 1001


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
@defence(("workbench/cli/registry.py", "number == signal.SIGHUP and by_nohup", "number == signal.SIGHUP"))
def test_it_ends_when_its_terminal_does(start_registry: Any, number: signal.Signals) -> None:
    assert start_registry().end(number) == 0


@defence(
    (
        "workbench/registry/service.py",
        "link.registered = link.number in self.core.desk.by_link",
        "link.registered = True",
    )
)
async def test_who_says_anything_but_who_it_is_is_not_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.registry import link

    monkeypatch.setattr(link, "REGISTER_S", 0.2)
    async with serving() as at:
        socket = await at.http.ws_connect(f"{at.url}/agent")
        await socket.send_json({"type": "status_update", "status": "available"})
        assert (await socket.receive()).extra == "register first"
        await socket.close()


def test_a_token_file_that_is_empty_for_a_moment_refuses_nobody_for_good(start_registry: Any, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("token-of-it")
    registry = start_registry("--token-file", str(file))
    file.write_text("")

    async def ask() -> int:
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as http:
            while True:  # the last one that was read holds for a second
                async with http.get(f"{registry.url}/workers", headers={"Authorization": "token-of-it"}) as answer:
                    if answer.status != 200:
                        return answer.status
                await asyncio.sleep(0.05)

    assert asyncio.run(ask()) == 503


@defence(("workbench/registry/members.py", "        worker.draining = worker.id in self._drained\n", ""))
async def test_a_drained_worker_stays_so_however_long_it_was_away() -> None:
    async with serving(grace_s=0.1) as at:
        worker = await at.worker()
        status, _ = await at.api.call("POST", f"/workers/{worker.id}/drain")
        assert status == 200
        await worker.drop()
        await at.api.until(lambda state: not state["workers"], "it is forgotten")
        await worker.open(at.http)
        status, answer = await at.api.dispatch()
        assert (status, answer["message"]) == (503, "No workers available")
        await at.api.call("DELETE", f"/workers/{worker.id}/drain")
        assert (await at.api.dispatch())[0] == 200


def test_an_encrypted_key_is_refused_and_nobody_is_asked(start_registry: Any) -> None:
    registry = start_registry("--tls-cert", str(CERTIFICATE), "--tls-key", str(ENCRYPTED_KEY), wait=False)
    assert registry.process.wait(WAIT_S) == 2
    assert "is encrypted" in registry.log.read_text()
