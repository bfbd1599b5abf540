"""Whatever a registry, or the network to it, does: jobs go on, nothing is lost, and somebody is told."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Worker
from tests.defences import defence
from tests.link.conftest import first
from tests.link.proxy import Proxy
from tests.link.scripted import Caller, Message, Scripted
from tests.tls import CA, server_context
from tests.workers import free_port, until, until_ready, until_written
from workbench.client.client import Client, ClientError

Register = Callable[..., Worker]
LINE = "workbench/backend/line.py"
LINK = "workbench/backend/link.py"
DIAL = "workbench/backend/dial.py"
OFFERS = "workbench/backend/offers.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


async def linked(client: Client, *states: str, attempt: int = 0) -> Any:
    """The link, once it is in one of the states after so many tries."""
    return await until(client, lambda s: s.link if s.link.state in states and s.link.attempt >= attempt else None)


async def begun(caller: Caller, job_id: str, do: str, **metadata: Any) -> None:
    await caller.give(job_id, {"do": do, **metadata})
    await caller.heard("job_update", job_id=job_id, status="running")


def told(caller: Caller) -> list[tuple[str, str]]:
    """The updates of jobs on one connection, in their order."""
    return [(update["job_id"], update["status"]) for update in caller.of("job_update")]


# --- J1: refused, for now or for good -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "status", "words"), [("api", 401, "VIDEOSDK_AUTH_TOKEN"), ("registry", 426, "update")]
)
@defence(("workbench/backend/trouble.py", "    if cure is None:", "    if True:"))
@defence(("workbench/cli/registering.py", "self._supervisor.failure or refused  # its", "None  # its"))
def test_fault_J1_a_registry_that_refuses_for_good_ends_the_worker_with_6_and_the_cure(
    start_worker: Register, status: int, words: str, where: str
) -> None:
    async def session() -> Worker:
        async with Scripted().serving() as registry:
            registry.init_status, registry.status = (status, 101) if where == "api" else (200, status)
            url = f"http://127.0.0.1:{registry.port}"
            worker = start_worker("ledger.py", "--register", "--registry-url", url, wait=False)
            await asyncio.to_thread(worker.ended)
            return worker

    worker = asyncio.run(session())
    assert worker.ended() == 6
    last = json.loads(worker.output().splitlines()[-1])["message"]
    assert str(status) in last
    assert words in last


@defence(("workbench/backend/trouble.py", "    if cure is None:", "    if False:"))
async def test_fault_J1_any_other_answer_is_tried_again(registry: Scripted, register: Register) -> None:
    registry.status = 503
    worker = register()
    async with worker.client() as client:
        link = await linked(client, "waiting")
        assert "answers 503" in link.why
        assert link.retry_at is not None
        await until_ready(client)
        with pytest.raises(ClientError, match="degraded"):
            await client.request("GET", "/readyz")
        assert (await client.request("GET", "/livez"))["checks"]["link"]["ok"] is False
        registry.status = 101
        await client.request("POST", "/link")  # not to wait for the next try
        await linked(client, "connected")


# --- J2, J13: it closes -------------------------------------------------------------------------------


@defence(
    ("workbench/backend/retry.py", "if self._up_since is not None and now - self._up_since >= STABLE_S:", "if True:")
)
async def test_fault_J2_a_registry_that_registers_and_closes_is_not_stormed(
    registry: Scripted, register: Register
) -> None:
    registry.on_call = Caller.close
    worker = register()
    async with worker.client() as client:
        for attempt in range(1, 5):
            await linked(client, "waiting", attempt=attempt)  # registered each time, and still they are counted
            await client.request("POST", "/link")


@defence((DIAL, 'return min(300.0, max(0.0, float(value))) if name == "retry_after_s" else 0.0', "return 0.0"))
async def test_fault_J13_a_registry_may_say_why_it_closes_and_how_long_to_wait(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    closes = [
        (1012, b"", "registry restarts", 0),
        (1013, b"retry_after_s=40", "too busy", 40),
        (4000, b"odd", ": odd", 0),
    ]
    async with worker.client() as client:
        for number, (code, reason, words, at_least_s) in enumerate(closes, 1):
            caller = await registry.caller(number)
            await linked(client, "connected")
            await caller.close(code, reason)
            link = await linked(client, "waiting")
            assert words in link.why
            assert link.retry_at - link.since >= at_least_s
            await client.request("POST", "/link")


@defence((LINE, "case _ if self._socket.close_code == wire.REPLACED:", "case _ if False:"))
async def test_fault_J13_a_worker_whose_place_is_taken_stops_and_says_so(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await caller.close(4009)
    assert await asyncio.to_thread(worker.ended) == 6
    assert "two workers share one id" in worker.output()
    assert len(registry.callers) == 1, "it did not take the place back"


# --- J4, J6: it is cut off ----------------------------------------------------------------------------


@defence((LINE, "            if not self._heard:", "            if False:"))
async def test_fault_J4_a_connection_that_only_seems_to_be_there_is_found(
    registry: Scripted, register: Register
) -> None:
    async with Proxy(registry.port).serving() as proxy:
        worker = register("--ping-interval", "0.3", url=proxy.url)
        await first(registry)
        async with worker.client() as client:
            await linked(client, "connected")
            proxy.hole = True
            assert "not answered a ping" in (await linked(client, "waiting")).why
            proxy.hole = False
            await client.request("POST", "/link")
            await linked(client, "connected")
        assert (await registry.caller(2)).said[0]["worker_id"] == "w-1"


@pytest.mark.parametrize("way", ["reset", "closed"])
@defence((LINE, "            self._outbox.lost()\n", ""))
@defence((LINE, "        for update in self._offers.standing():", "        for update in ():"))
async def test_fault_J6_jobs_run_on_through_an_outage_and_their_ends_are_told_once_and_in_order(
    registry: Scripted, register: Register, way: str
) -> None:
    async with Proxy(registry.port).serving() as proxy:
        worker = register(url=proxy.url)
        caller = await first(registry)
        for job_id, room in (("j1", "room-1"), ("j2", "room-2")):
            await caller.give(job_id, {"do": "wait"}, room)
            await caller.heard("job_update", job_id=job_id, status="running")
        await begun(caller, "j3", "wait")
        registry.status = 503
        async with worker.client() as client:
            await (caller.close() if way == "closed" else asyncio.to_thread(lambda: None))
            proxy.reset()
            await linked(client, "waiting")
            for job_id in ("j2", "j1"):
                await client.end_job(job_id)
                await until(client, lambda s, job_id=job_id: not s.jobs[job_id].active)
            job = await client.dispatch(None, {"do": "return"})  # one of its own: nothing for the registry
            await until_written(worker, job["id"], "finish")
            registry.status = 101
            await client.request("POST", "/link")
            again = await registry.caller(2)
            await again.heard("status_update")
            await again.tell("job_termination", job_id="j3")
            await again.heard("job_update", job_id="j3", status="cancelled")
        news = told(again)
        assert news.count(("j3", "running")) == 1
        # whether the registry had been told before that those run, nobody can say
        assert [(job, status) for job, status in news if status != "running"] == [
            ("j2", "cancelled"), ("j1", "cancelled"), ("j3", "cancelled"),
        ]  # fmt: skip
        kinds = [message["type"] for message in again.said]
        assert kinds.index("status_update") > kinds.index("job_update"), "first all jobs, then how the worker fares"


@defence(("workbench/backend/outbox.py", "        self._sent.append((self._ping + 1, text))\n", ""))
async def test_fault_J6_what_a_registry_took_and_never_read_is_told_again(
    registry: Scripted, register: Register
) -> None:
    """The kernel took it, and the registry died: the SDK's worker loses 20 of 20 such updates."""
    async with Proxy(registry.port).serving() as proxy:
        worker = register(url=proxy.url)
        caller = await first(registry)
        await begun(caller, "j1", "wait")
        proxy.hole = True
        async with worker.client() as client:
            await client.end_job("j1")
            await until(client, lambda s: not s.jobs["j1"].active)
            proxy.reset()
            proxy.hole = False
            await linked(client, "waiting")
            await client.request("POST", "/link")
        assert caller.of("job_update", job_id="j1", status="cancelled") == []
        await (await registry.caller(2)).heard("job_update", job_id="j1", status="cancelled")


@defence((LINK, "            await _within(LAST_WORDS_S, self._told.wait())\n", ""))
async def test_fault_J6_a_worker_that_leaves_in_an_outage_tells_first_what_it_owes(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await begun(caller, "j1", "wait")
    registry.status = 503
    async with worker.client() as client:
        caller.reset()
        await linked(client, "waiting")
        await client.end_job("j1")
        await until(client, lambda s: not s.jobs["j1"].active)
    registry.status = 101
    worker.process.terminate()
    again = await registry.caller(2)
    await again.heard("job_update", job_id="j1", status="cancelled")
    await again.gone.wait()
    assert again.said[-1]["status"] == "offline"
    assert await asyncio.to_thread(worker.ended) == 0


# --- J7: it stays away --------------------------------------------------------------------------------


@pytest.mark.option("max_retry")
@defence(
    (LINK, "self._retry.failed(time.monotonic(), self._options.max_retry,", "self._retry.failed(time.monotonic(), 0,")
)
async def test_fault_J7_a_registry_that_stays_away_ends_the_worker_with_6_after_its_jobs(
    registry: Scripted, register: Register
) -> None:
    worker = register("--max-retry", "2")
    caller = await first(registry)
    await begun(caller, "j1", "wait")
    registry.status = 503
    async with worker.client() as client:
        caller.reset()
        await linked(client, "waiting", attempt=1)
        await client.request("POST", "/link")
        link = await linked(client, "failed")
        assert "2 tries (max_retry)" in link.why
        assert (await client.request("GET", "/health"))["status"] == "draining"
        assert (await client.request("GET", "/jobs/j1"))["status"] == "running"
        await client.end_job("j1")
    assert await asyncio.to_thread(worker.ended) == 6
    assert [entry["what"] for entry in worker.entries()] == ["start", "finish"]
    assert re.search("[12] updates? of jobs could not be told", worker.output())


async def test_fault_J7_without_a_bound_it_is_tried_for_ever(register: Register) -> None:
    worker = register("--max-retry", "0", url=f"ws://127.0.0.1:{free_port()}")
    async with worker.client() as client:
        for attempt in range(1, 20):
            await linked(client, "waiting", attempt=attempt)
            await client.request("POST", "/link")


# --- J8 to J11: it contradicts itself -----------------------------------------------------------------


@defence((OFFERS, "        if known is not None:", "        if False:"))
async def test_fault_J8_a_job_assigned_twice_runs_once(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    await begun(caller, "j1", "wait")
    await caller.assign("j1", {"do": "wait"})
    await caller.hear(2, "job_update", job_id="j1", status="running")
    await caller.tell("job_termination", job_id="j1")
    await caller.heard("job_update", job_id="j1", status="cancelled")
    await caller.assign("j1", {"do": "wait"})
    await caller.hear(2, "job_update", job_id="j1", status="cancelled")
    assert [entry["what"] for entry in worker.entries()].count("start") == 1
    again = await caller.offer("j1")
    assert again["available"] is False


@defence((OFFERS, 'error=f"{wire.REJECTED}{why}"', 'error=f"{why}"'))
async def test_fault_J8_what_cannot_be_taken_is_rejected_with_a_reason(registry: Scripted, register: Register) -> None:
    worker = register("--max-processes", "1")
    caller = await first(registry)
    assert (await caller.offer("j0", agent_name="other"))["error"] == "this worker runs agent ledger, not other"
    assert (await caller.offer("j 0"))["available"] is False
    await begun(caller, "j1", "wait")
    assert (await caller.offer("j2"))["error"].startswith("full: ")
    for job_id, words in (("j2", "rejected: full: "), ("j3", "rejected: full: ")):  # after a no, and without an offer
        await caller.assign(job_id, {"do": "return"})
        assert (await caller.heard("job_update", job_id=job_id, status="failed"))["error"].startswith(words)
    async with worker.client() as client:
        await client.request("POST", "/drain")
        await caller.assign("j4")
        update = await caller.heard("job_update", job_id="j4", status="failed")
        assert update["error"].startswith("rejected: draining: ")
        await client.request("DELETE", "/drain")
        await caller.tell("job_termination", job_id="j1")
        await caller.heard("job_update", job_id="j1", status="cancelled")
        await caller.assign("j5", {"do": "return"})  # some registries offer nothing: as long as there is room, why not
        await caller.heard("job_update", job_id="j5", status="completed")
    assert {entry["job"] for entry in worker.entries()} == {"j1", "j5"}


async def test_fault_J8_no_second_job_comes_into_a_room(registry: Scripted, register: Register) -> None:
    register()
    caller = await first(registry)
    await caller.give("j1", {"do": "wait"}, "room-1")
    await caller.heard("job_update", job_id="j1", status="running")
    assert (await caller.offer("j2", "room-1"))["error"] == "a job runs in room room-1 already"


@defence(
    (
        "workbench/model/admission.py",
        "active + worker.reserved >= options.max_processes",
        "active >= options.max_processes",
    )
)
async def test_fault_J9_of_a_burst_of_offers_as_many_are_accepted_as_there_are_slots(
    registry: Scripted, register: Register
) -> None:
    """S8: the SDK's worker takes 12 of 12 with 4 slots, and fails 8 of them."""
    worker = register("--max-processes", "3")
    caller = await first(registry)
    for number in range(100):
        await caller.tell("availability_request", job_id=f"j{number}", room_id="", agent_name="ledger")
    answers = await caller.hear(100, "availability_response")
    taken = [answer["job_id"] for answer in answers if answer["available"]]
    assert len(taken) == 3
    for job_id in taken:
        await caller.assign(job_id, {"do": "return"})
    for job_id in taken:
        await caller.heard("job_update", job_id=job_id, status="completed")
    assert sorted(entry["job"] for entry in worker.entries() if entry["what"] == "start") == sorted(taken)


@defence(("workbench/model/core.py", "        self.reservations.tick(now)\n", ""))
async def test_fault_J10_a_slot_for_which_no_job_comes_is_free_again_and_that_is_counted(
    registry: Scripted, register: Register
) -> None:
    worker = register("--max-processes", "1")
    caller = await first(registry)
    assert (await caller.offer("j1"))["available"]
    assert not (await caller.offer("j2"))["available"]
    async with worker.client() as client:
        await until(client, lambda s: s.counters["reservations_expired"] == 1)
        assert (await client.request("GET", "/stats"))["worker"]["reserved"] == 0
    assert (await caller.offer("j3"))["available"]


@defence((LINK, '            self._supervisor.release_all("link_lost")\n', ""))
async def test_fault_J10_slots_kept_for_a_registry_that_has_gone_are_free_at_once(
    registry: Scripted, register: Register
) -> None:
    worker = register("--max-processes", "1")
    caller = await first(registry)
    assert (await caller.offer("j1"))["available"]
    async with worker.client() as client:
        caller.reset()
        await linked(client, "waiting")
        await client.request("POST", "/link")
    again = await registry.caller(2)
    assert (await again.offer("j2"))["available"]


@defence((OFFERS, "            if job.asked is None:  # once more must not make it faster", "            if True:"))
async def test_fault_J11_terminations_end_what_is_there_and_only_once(registry: Scripted, register: Register) -> None:
    worker = register("--max-processes", "1")
    caller = await first(registry)
    await caller.tell("job_termination", job_id="never-heard-of")
    assert (await caller.offer("j1"))["available"]
    await caller.tell("job_termination", job_id="j1")  # not assigned yet: the slot is free
    assert (await caller.offer("j2"))["available"]
    await caller.assign("j2", {"do": "stubborn"})
    await caller.heard("job_update", job_id="j2", status="running")
    for _ in range(3):
        await caller.tell("job_termination", job_id="j2", reason="over")
    async with worker.client() as client:
        await until(client, lambda s: s.counters["link_messages_dropped"] == 1)
        rungs = (await client.request("GET", "/jobs/j2"))["asked"]
        assert rungs == "end", "three times the same is one request"
        await client.request("DELETE", "/processes/" + str((await client.request("GET", "/jobs/j2"))["pid"]))
    await caller.heard("job_update", job_id="j2", status="cancelled")
    await caller.tell("job_termination", job_id="j2")  # it has just ended: told again
    await caller.hear(2, "job_update", job_id="j2", status="cancelled")


# --- J12, J16: it talks nonsense ----------------------------------------------------------------------

NONSENSE = [
    "", "null", "[]", "7", '"register"', "{", "{}", '{"type": 3}', '{"type": "no such thing"}', "[" * 100_000,
    '{"type": "availability_request"}', '{"type": "availability_request", "job_id": 5}',
    '{"type": "job_assignment", "job_id": "x", "metadata": []}', '{"type": "job_termination", "job_id": null}',
    '{"type": "register", "success": true}', '{"a":' * 5000 + "1" + "}" * 5000, "\ud7ff\u0000",
]  # fmt: skip


@defence((LINE, "        except wire.Malformed as wrong:\n", "        except ZeroDivisionError as wrong:\n"))
async def test_fault_J12_nonsense_is_counted_and_the_connection_kept(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    for text in NONSENSE:
        await caller.socket.send_str(text)
    await caller.socket.send_bytes(b"\xff\x00\xfe")
    answer: Message = await caller.offer("j1")
    assert answer["available"]
    await caller.tell("availability_request", job_id="j2", room_id="", agent_name="ledger", new_field={"a": 1})
    assert (await caller.heard("availability_response", job_id="j2"))["available"]
    async with worker.client() as client:
        stats = await client.request("GET", "/stats")
    assert stats["counters"]["link_messages_dropped"] == len(NONSENSE) + 1
    assert len(registry.callers) == 1


async def test_fault_J12_a_message_of_two_megabytes_costs_the_connection_and_nothing_else(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await begun(caller, "j1", "wait")
    with contextlib.suppress(ConnectionError):  # the worker may have had enough before the end
        await caller.socket.send_str("x" * 2_000_000)
    async with worker.client() as client:
        await linked(client, "waiting")
        await client.request("POST", "/link")
        again = await registry.caller(2)
        await again.heard("job_update", job_id="j1", status="running")
        await client.end_job("j1")
        await again.heard("job_update", job_id="j1", status="cancelled")


@defence(("workbench/model/wire.py", 'extra="ignore"', 'extra="forbid"'))
async def test_fault_J16_no_time_of_the_registry_counts(registry: Scripted, register: Register) -> None:
    """What it says of the time is not even read: a slot is kept, and a job runs, by this machine's clock."""
    worker = register()
    caller = await first(registry)
    past = {"expires_at": 0, "at": -1e12, "deadline": "1970-01-01T00:00:00Z"}
    await caller.tell("availability_request", job_id="j1", room_id="", agent_name="ledger", **past)
    assert (await caller.heard("availability_response", job_id="j1"))["available"]
    await caller.assign("j1", {"do": "return"}, **past)
    await caller.heard("job_update", job_id="j1", status="completed")
    assert [entry["what"] for entry in worker.entries()] == ["start", "finish"]


# --- J14, J15: tokens ---------------------------------------------------------------------------------


@pytest.mark.option("auth_token_file")
@defence(
    (
        LINK,
        "        registry, options = self._registry(), self._options",
        "        registry, options = self._first, self._options",
    )
)
async def test_fault_J14_a_token_that_expired_is_read_anew_and_jobs_go_on(
    registry: Scripted, register: Register, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")
    worker = register("--auth-token-file", str(file))
    caller = await first(registry)
    assert caller.headers["Authorization"] == "Bearer first-token"
    await begun(caller, "j1", "wait")
    registry.status = 401
    async with worker.client() as client:
        caller.reset()
        link = await linked(client, "waiting", attempt=1)
        await client.request("POST", "/link")
        link = await linked(client, "waiting", attempt=2)
        assert "does not know the token" in link.why
        file.write_text("second-token\n")
        registry.status = 101
        await client.request("POST", "/link")
        again = await registry.caller(2)
        assert again.headers["Authorization"] == "Bearer second-token"
        await again.heard("job_update", job_id="j1", status="running")
        await client.end_job("j1")
        await again.heard("job_update", job_id="j1", status="cancelled")
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.ended) == 0
    assert "first-token" not in worker.output()
    assert "second-token" not in worker.output()


@pytest.mark.option("auth_token")
@defence(
    (
        DIAL,
        'headers = {"Authorization": f"Bearer {registry.token}"} if registry.token else {}',
        "headers: dict[str, str] = {}",
    )
)
async def test_the_token_of_the_environment_is_brought(registry: Scripted, register: Register) -> None:
    register(VIDEOSDK_AUTH_TOKEN="of-the-environment")
    assert (await first(registry)).headers["Authorization"] == "Bearer of-the-environment"


@pytest.mark.option("register")
@pytest.mark.option("registry_url")
@defence(("workbench/cli/registering.py", "        if not settings.options.register:", "        if True:"))
async def test_register_and_registry_url_say_whether_and_where(
    registry: Scripted, start_worker: Register, tmp_path: Path
) -> None:
    agent = tmp_path / "bot.py"
    body = "from workbench import Options, WorkerJob\nasync def entrypoint(ctx): pass\n"
    agent.write_text(
        f"{body}WorkerJob(entrypoint, options=Options(register=True, registry_url={registry.url!r})).start()\n"
    )
    start_worker(agent)
    assert (await registry.caller()).said[0]["agent_name"] == "bot"


async def test_the_sdks_name_for_its_api_is_where_the_registry_is_asked_for(
    start_worker: Register, tmp_path: Path
) -> None:
    agent = tmp_path / "bot.py"
    body = "from workbench import Options, WorkerJob\nasync def entrypoint(ctx): pass\n"
    options = "Options(register=True, signaling_base_url='127.0.0.1:1', auth_token='some-token')"
    agent.write_text(f"{body}WorkerJob(entrypoint, options={options}).start()\n")
    worker = start_worker(agent)
    async with worker.client() as client:
        link = await linked(client, "waiting")
    assert link.url == "https://127.0.0.1:1"


def test_videosdk_is_not_called_without_a_token(start_worker: Register) -> None:
    worker = start_worker("ledger.py", "--register", wait=False)
    assert worker.ended() == 2
    assert "set VIDEOSDK_AUTH_TOKEN" in worker.output()


@defence((DIAL, 'if found.startswith("ws://") and registry.url.startswith("https://")', "if False"))
async def test_fault_J15_no_token_travels_in_clear_because_an_api_said_so(start_worker: Register) -> None:
    async with Scripted().serving(tls=server_context()) as registry:
        registry.registry_url = "ws://192.0.2.1:8090"
        url = f"https://127.0.0.1:{registry.port}"
        more = {"SSL_CERT_FILE": str(CA), "VIDEOSDK_AUTH_TOKEN": "some-token"}
        worker = start_worker("ledger.py", "--register", "--registry-url", url, **more)
        async with worker.client() as client:
            assert "the token would travel in clear" in (await linked(client, "waiting")).why


async def test_fault_J1_a_ca_that_nobody_knows_is_named_with_its_cure(start_worker: Register) -> None:
    async with Scripted().serving(tls=server_context()) as registry:
        url = f"https://127.0.0.1:{registry.port}"
        worker = start_worker("ledger.py", "--register", "--registry-url", url, VIDEOSDK_AUTH_TOKEN="some-token")
        async with worker.client() as client:
            assert "SSL_CERT_FILE" in (await linked(client, "waiting")).why


@defence((LINK, "            self._begin()  # once more, at last", "            pass  # once more, at last"))
async def test_fault_J7_the_ends_are_told_at_last_when_the_registry_is_back_by_then(
    registry: Scripted, register: Register
) -> None:
    worker = register("--max-retry", "1")
    caller = await first(registry)
    await begun(caller, "j1", "wait")
    async with worker.client() as client:
        registry.status = 503
        caller.reset()
        await linked(client, "failed")
        registry.status = 101
        await client.end_job("j1")
    again = await registry.caller(2)
    await again.heard("job_update", job_id="j1", status="cancelled")
    await again.gone.wait()
    assert await asyncio.to_thread(worker.ended) == 6
    assert "could not be told" not in worker.output()
