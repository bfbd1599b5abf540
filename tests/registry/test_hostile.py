"""What must not get through: malformed messages, strangers, wrong tokens."""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.defences import defence
from tests.registry.scripted import Api, Scripted, serving, session
from tests.tls import CA, CERTIFICATE, KEY
from workbench.registry.gate import Gate

TOKEN = "a-token-of-the-registry"


@pytest.mark.parametrize(
    ("message", "counter"),
    [
        ("no json", "malformed"),
        ("[" * 100_000 + "]" * 100_000, "malformed"),
        ('{"type": "job_update", "error": ' + "[" * 90_000 + "]" * 90_000 + "}", "malformed"),
        ('{"type": 7}', "malformed"),
        ('{"type": "job_update", "job_id": 7, "status": "running"}', "malformed"),
        ('{"type": "job_update", "job_id": "x", "status": "sleeping"}', "malformed"),
        ('{"type": "job_update", "job_id": "../x", "status": "running"}', "malformed"),
        ('{"type": "availability_response", "job_id": "x"}', "malformed"),
        ('{"type": "status_update", "load": "much"}', "malformed"),
        ('{"type": "register", "agent_name": "A"}', "malformed"),
        ('{"type": "weather", "it": "rains"}', "unknown"),
        (b"\x00\x01", "malformed"),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_used_is_dropped_and_the_connection_kept(message: Any, counter: str) -> None:
    async with serving() as at:
        worker = await at.worker()
        await (worker.socket.send_bytes(message) if isinstance(message, bytes) else worker.socket.send_str(message))
        await at.api.given()
        await worker.assigned()
        assert at.counters[f"messages_{counter}"] == 1
        assert len(await at.api.workers()) == 1


async def test_unknown_fields_are_passed_over() -> None:
    async with serving() as at:
        worker = await at.worker()
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        await worker.say("job_update", job_id=job, status="completed", exit_code=0, more={"x": [1]})
        await at.api.until_job(job, "completed")
        assert not at.counters["messages_malformed"]


async def test_a_message_of_100_mb_costs_its_sender_the_connection_and_nobody_else() -> None:
    async with serving(grace_s=0.2) as at:
        worker, other = await at.worker(), await at.worker()
        huge = json.dumps({"type": "job_update", "job_id": "x", "status": "running", "error": "x" * 100_000_000})
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):  # cut while it is sent
            await worker.socket.send_str(huge)
        await worker.finished()
        await at.api.until(lambda state: list(state["workers"]) == [other.id], "only the other is left")
        assert await at.api.given()


async def test_updates_of_jobs_that_a_worker_never_had_change_nothing() -> None:
    async with serving() as at:
        worker, stranger = await at.worker(), await at.worker(take=False, agent="B")
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        for status in ("completed", "failed", "running"):
            await stranger.update(job, status)
        await stranger.answer(job, True)
        await at.api.until(lambda state: state["counters"].get("offers_answered_late"), "all of it was heard")
        found = await at.api.job(job)
        assert (found["status"], found["worker_id"], found["notes"]) == ("running", worker.id, [])
        assert at.counters["updates_strange"] == 3


async def test_who_does_not_register_is_not_heard() -> None:
    async with serving() as at:
        worker = Scripted(at.url)
        worker.socket = await at.http.ws_connect(f"{at.url}/agent")
        await worker.update("x", "running")
        await worker.status()
        await worker.say("register", agent_name="A", max_processes=1)
        assert json.loads((await worker.socket.receive()).data)["success"]
        assert at.counters["messages_malformed"] == 2
        assert not at.service.core.desk.jobs
        await worker.socket.close()


@defence(
    ("workbench/registry/link.py", "text = text.replace(secret, HIDDEN)", "pass"),
)
async def test_no_token_is_shown_anywhere() -> None:
    async with serving(token=TOKEN) as at:
        worker = await at.worker(ours=False)
        job = await at.api.given(token="a-token-of-the-room", roomOptions={"auth": "a-secret-of-the-room"})
        given = await worker.assigned()
        assert (given["token"], given["room_options"]) == ("a-token-of-the-room", {"auth": "a-secret-of-the-room"})
        await worker.update(job, "failed", f"401 for {TOKEN}")
        await at.api.until_job(job, "failed")
        for path in ("/stats", "/jobs", "/workers", f"/jobs/{job}", "/metrics", "/health"):
            shown = json.dumps((await at.api.call("GET", path))[1])
            for secret in (TOKEN, "a-token-of-the-room", "a-secret-of-the-room"):
                assert secret not in shown, path
        assert "401 for ********" in json.dumps(await at.api.job(job))
        assert not [line for line in at.log if TOKEN in line]


@defence(
    (
        "workbench/registry/gate.py",
        "return None if brings(request, token) else error(",
        "return None if token else error(",
    ),
)
async def test_only_who_has_the_token_may_do_anything() -> None:
    async with serving(token=TOKEN) as at:
        await at.worker(room=3)
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert (await Api(at.url, at.http).call("GET", path))[0] == 200
        for given in ("", "wrong", "Bearer wrong", f"Bearer{TOKEN}", TOKEN[:-1], f"{TOKEN}x", "Bearer ", "\xff"):
            api = Api(at.url, at.http, given)
            assert (await api.dispatch())[0] == 401, given
            for method, path in (
                ("GET", "/stats"),
                ("GET", "/workers"),
                ("GET", "/jobs"),
                ("POST", "/v2/agent/init-config"),
            ):
                assert (await api.call(method, path))[0] == 401, (given, path)
            for path in ("/agent", "/events"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await at.http.ws_connect(f"{at.url}{path}", headers={"Authorization": given})
                assert refused.value.status == 401
        for given in (TOKEN, f"Bearer {TOKEN}", f"bearer {TOKEN}"):
            assert (await Api(at.url, at.http, given).dispatch())[0] == 200, given


async def test_a_wrong_token_within_register_is_refused() -> None:
    async with serving(token=TOKEN) as at:
        worker = Scripted(at.url, token=TOKEN)
        worker.socket = await at.http.ws_connect(f"{at.url}/agent", headers={"Authorization": f"Bearer {TOKEN}"})
        await worker.say("register", agent_name="A", max_processes=1, token="another-token")
        answer = json.loads((await worker.socket.receive()).data)
        assert answer == {
            "type": "register",
            "success": False,
            "message": "the token in `register` is not this registry's",
        }
        assert not await at.api.workers()
        await worker.socket.close()


async def test_pages_of_the_web_may_not_call() -> None:
    async with serving() as at:
        for headers, status in (
            ({"Host": "evil.example"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": at.url}, 404),
            ({}, 404),
        ):
            assert (await at.api.call("POST", "/v2/agent/dispatch", {"agentId": "A", "meetingId": "r"}, **headers))[
                0
            ] == status
        for path in ("/agent", "/events"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await at.http.ws_connect(f"{at.url}{path}", headers={"Origin": "http://evil.example"})
            assert refused.value.status == 403


async def test_without_a_token_nobody_from_elsewhere_may_call(start_registry: Any) -> None:
    registry = start_registry("--host", "0.0.0.0")
    async with session() as http:
        api = Api(registry.url.replace("0.0.0.0", "127.0.0.1"), http)
        assert (await api.call("GET", "/health"))[0] == 200
        assert (await api.call("GET", "/metrics"))[0] == 200
        for status, answer in (await api.dispatch(), await api.call("GET", "/stats")):
            assert status == 403
            assert "--token-file" in answer["error"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{api.url}/agent")
        assert refused.value.status == 403


def test_a_token_in_a_file_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.registry import gate

    file = tmp_path / "token"
    file.write_text("first-token\n")
    read = gate.token_reader(None, str(file))
    assert read() == "first-token"
    file.write_text("second-token\n")
    monkeypatch.setattr(gate, "TOKEN_S", -1.0)
    assert read() == "second-token"
    file.unlink()
    assert Gate("127.0.0.1", read).wrong("second-token")  # nobody can bring the right one


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "agentId must be a text"),
        ({"agentId": ""}, "agentId must be a text"),
        ({"agentId": "A"}, "meetingId (or roomId) must be given"),
        ({"agentId": "A", "meetingId": "a b"}, "meetingId must be 1 to 128"),
        ({"agentId": "A", "meetingId": "a", "roomId": "b"}, "differ"),
        ({"agentId": "A", "meetingId": "r", "metadata": []}, "metadata must be an object"),
        ({"agentId": "A", "meetingId": "r", "metadata": {"x": "y" * 40_000}}, "metadata must be an object of"),
        ({"agentId": "A", "meetingId": "r", "wait": "long"}, "wait must be"),
        ({"agentId": "A", "meetingId": "r", "wait": -1}, "wait must be"),
        ({"agentId": "A", "meetingId": "r", "wait": 4000}, "wait must be"),
        ({"agentId": "A", "meetingId": "r", "token": 7}, "token must be a text"),
        ({"agentId": "A", "meetingId": "r", "colour": 7}, "unknown field 'colour'"),
        ([], "must be a JSON object"),
    ],
)  # fmt: skip
async def test_a_dispatch_that_is_not_right(body: Any, words: str) -> None:
    async with serving() as at:
        status, answer = await at.api.call("POST", "/v2/agent/dispatch", body)
        assert status == 400
        assert words in answer["error"]


async def test_tls(start_registry: Any) -> None:
    registry = start_registry("--tls-cert", str(CERTIFICATE), "--tls-key", str(KEY))
    assert registry.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(CA))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as http:
        api = Api(registry.url, http)
        status, answer = await api.call("POST", "/v2/agent/init-config")
        assert (status, answer["data"]["registryUrl"]) == (200, registry.url.replace("https", "wss"))
        worker = await Scripted(registry.url).open(http)
        job = await api.given()
        assert (await worker.assigned())["job_id"] == job
        await worker.close()
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(registry.url)


async def test_a_flood_of_connections_that_say_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.registry import link

    monkeypatch.setattr(link, "REGISTER_S", 1.0)
    async with serving() as at:
        sockets = await asyncio.gather(*(at.http.ws_connect(f"{at.url}/agent") for _ in range(50)))
        for socket in sockets:
            assert (await socket.receive()).extra == "register first"
            await socket.close()
        await at.worker()  # who registers, stays
        await asyncio.sleep(1.2)  # longer than who says nothing may stay
        assert [worker["connected"] for worker in await at.api.workers()] == [True]


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), -1.0, 1e308])
async def test_figures_that_are_none(number: float, ours: bool) -> None:
    async with serving() as at:
        worker = await at.worker(ours=ours, threshold=number)
        await worker.status(load=number, count=-5)
        await worker.status(load=0.0, count=0)
        other = await at.worker(room=10**400)
        assert await at.api.given()
        await at.api.until(lambda state: len(state["workers"]) == 2, "both are shown")
        assert other.id
        assert at.counters["messages_malformed"] == 0


async def test_a_bug_costs_neither_the_connection_nor_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(offer_s=0.1) as at:
        worker = await at.worker(answers=False)

        def fails(*_: object) -> None:
            raise RuntimeError("planned")

        with monkeypatch.context() as broken:
            broken.setattr(at.service.core._updates, "heard", fails)
            await worker.update("x", "running")
            broken.setattr(at.service.core._members, "grace_over", fails)
            at.service.core.desk.after(0.0, "grace", "x", 0)
            status, answer = await at.api.dispatch()  # the silence to its offer is noticed by the clock
            assert (status, answer["message"]) == (503, "No workers available")
        assert [line for line in at.log if "a bug of ours" in line and "planned" in line]
        assert not worker.socket.closed
        at.log.clear()


async def test_a_worker_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.registry import link

    async with serving(grace_s=0.1) as at:
        worker = await at.worker()
        monkeypatch.setattr(link, "MOST_UNSENT", 0)
        asked = asyncio.ensure_future(at.api.dispatch())
        await at.api.until(lambda state: not state["workers"], "the worker is gone")
        assert (await asked)[0] == 503
        assert any("link down: it does not read what it is told" in line for line in at.log), at.log
        assert (await worker.finished())[0] == 1006


async def test_jobs_that_have_ended_keep_no_secrets_and_no_bulk() -> None:
    async with serving() as at:
        await at.worker(lasts_s=0.0)
        jobs = [
            await at.api.given(token="a-token-of-the-room", roomOptions={"a": 1}, metadata={"x": "y" * size})
            for size in (10, 20_000)
        ]
        small, large = [await at.api.until_job(job, "completed") for job in jobs]
        assert (small["metadata"], small["notes"]) == ({"x": "y" * 10}, [])
        assert (large["metadata"], large["notes"]) == ({}, ["its metadata of 19.5 KB is not kept after its end"])
        assert small["room_options"] == ["a"]
        assert "a-token-of-the-room" not in repr(at.service.core.desk)


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "\x1b[31m"])
async def test_an_agent_with_no_proper_name_is_refused(name: str) -> None:
    async with serving() as at:
        await at.worker()
        worker = await at.worker(agent=name)
        answer = worker.of("register")[0]
        assert (answer["success"], "agent_name" in answer["message"]) == (False, True)
        assert len(await at.api.workers()) == 1
        assert (await at.api.call("GET", "/metrics"))[0] == 200


async def test_words_without_end_are_cut() -> None:
    async with serving(grace_s=0.1) as at:
        worker = await at.worker()
        job, second = await at.api.given(), await at.api.given()
        await worker.until(lambda: len(worker.running) == 2, "they run")
        await worker.update(job, "failed", "x" * 500_000)
        assert len((await at.api.until_job(job, "failed"))["error"]) == 4000
        await worker.drop()
        await at.api.until_job(second, "failed")
        await worker.open(at.http)
        await worker.update(second, "failed", "x" * 500_000)
        await worker.update(job, "failed", "x" * 500_000)
        noted = await at.api.until(lambda state: state["jobs"][job]["notes"], "the late words are noted")
        assert len(noted[0]) < 600


async def test_jobs_that_are_placed_at_once_leave_no_appointments() -> None:
    async with serving() as at:
        await at.worker(lasts_s=0.0, room=50)
        await asyncio.gather(*(at.api.given(wait=3600) for _ in range(50)))
        await at.api.until(lambda state: not state["registry"]["jobs_active"], "all have ended")
        assert not [timer for timer in at.service.core.desk.timers if timer[2] == "deadline"]
