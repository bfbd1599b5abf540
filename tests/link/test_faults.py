"""Whatever becomes of the connection to a registry: jobs go on, nothing is lost, and somebody is told."""

import asyncio
import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from tests.conftest import WAIT_S, Worker
from tests.defences import defence
from tests.link.conftest import first
from tests.link.looking import begun, linked, told
from tests.link.proxy import Proxy
from tests.link.scripted import Caller, Scripted
from tests.workers import free_port, until, until_ready, until_written
from workbench.backend.dial import Line
from workbench.backend.line import Conversation
from workbench.backend.outbox import Outbox
from workbench.backend.trouble import LinkTrouble
from workbench.client.client import ClientError
from workbench.model import wire

Register = Callable[..., Worker]
LINE = "workbench/backend/line.py"
LINK = "workbench/backend/link.py"
DIAL = "workbench/backend/dial.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


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


@defence((LINE, "await asyncio.wait(tasks[:1], timeout=READ_OUT_S)", "pass"))
@defence((LINE, "for task in tasks:  # the one that reads first: it knows", "for task in reversed(tasks):"))
async def test_fault_J13_why_it_closes_is_heard_though_a_word_was_to_be_sent_just_then() -> None:
    """The connection is closing as soon as the close is read, and nothing can be written any more."""

    class Closing:
        close_code, reads = None, asyncio.Event()

        async def receive(self) -> aiohttp.WSMessage:
            await self.reads.wait()
            for _ in range(5):  # it answers the close first
                await asyncio.sleep(0)
            self.close_code = 1013
            return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 1013, "retry_after_s=40")

        async def send_str(self, text: str) -> None:
            self.reads.set()
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

        async def close(self) -> None:
            """It is closed."""

    socket: Any = Closing()
    talk = Conversation(
        Line(socket, "w-1"), Outbox(), cast(Any, SimpleNamespace(standing=list)), lambda: wire.StatusUpdate(), None,
        lambda: WAIT_S, lambda why: None, asyncio.Event(),
    )  # fmt: skip
    with pytest.raises(LinkTrouble, match="the registry is too busy") as closed:
        await talk.run()
    assert closed.value.wait_s == 40


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
        await begun(caller, worker, "j3", "wait")
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
        await begun(caller, worker, "j1", "wait")
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


@defence((LINK, "            await _within(LAST_WORDS_S, asyncio.wait([told,", "            str(asyncio.wait([told,"))
async def test_fault_J6_a_worker_that_leaves_in_an_outage_tells_first_what_it_owes(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await begun(caller, worker, "j1", "wait")
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
    await begun(caller, worker, "j1", "wait")
    registry.status = 503
    async with worker.client() as client:
        caller.reset()
        await linked(client, "waiting", attempt=1)
        await client.request("POST", "/link")
        link = await linked(client, "failed")
        assert "2 tries (max_retry)" in link.why
        assert (await client.request("GET", "/health"))["status"] == "draining"
        await until(client, lambda s: s.jobs["j1"].status == "running")
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
