"""A worker at a registry, in the words of the VideoSDK protocol: what it says, in which order, and what really runs."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.link.conftest import TOKEN, first
from tests.link.scripted import Caller, Scripted
from tests.workers import until, until_written
from workbench.agent.assigned import Assigned
from workbench.backend import offers
from workbench.backend.outbox import Outbox
from workbench.model import events as ev
from workbench.model.state import Job

Register = Callable[..., Worker]
LINK = "workbench/backend/link.py"
OFFERS = "workbench/backend/offers.py"


async def test_a_worker_registers_as_an_sdk_worker_does(registry: Scripted, register: Register) -> None:
    register("--max-processes", "3", "--load-threshold", "0.9")
    caller = await first(registry)
    said = caller.said[0]
    assert said["type"] == "register"
    assert said["worker_id"] == ""
    assert said["agent_name"] == "ledger"
    assert said["max_processes"] == 3
    assert said["load_threshold"] == 0.9
    assert caller.headers["Authorization"] == f"Bearer {TOKEN}"
    status = caller.of("status_update")[-1]
    assert status["worker_id"] == "w-1"
    assert status["job_count"] == 0


async def test_the_api_is_asked_where_the_registry_is(registry: Scripted, register: Register) -> None:
    register(url=f"http://127.0.0.1:{registry.port}")
    await first(registry)
    assert [call["Authorization"] for call in registry.init_calls] == [TOKEN]  # without the word Bearer, as the SDK


async def test_a_job_is_offered_assigned_run_and_told_of_once(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    answer = await caller.offer("j1", "room-1")
    assert answer["available"] is True
    await caller.assign("j1", {"do": "return"}, "room-1")
    await caller.heard("job_update", job_id="j1", status="completed")
    assert [update["status"] for update in caller.of("job_update", job_id="j1")] == ["running", "completed"]
    wait_until(lambda: len(worker.entries()) == 2, "the job wrote its two lines")
    assert [(entry["job"], entry["what"]) for entry in worker.entries()] == [("j1", "start"), ("j1", "finish")]
    async with worker.client() as client:
        job = await client.request("GET", "/jobs/j1")
    assert job["room_id"] == "room-1"
    assert job["assigned"] is True


async def test_each_end_has_its_status_and_its_reason(registry: Scripted, register: Register) -> None:
    register()
    caller = await first(registry)
    ends = {
        "raise": ("failed", "raised: ValueError: boom (ledger.py:"),
        "kill": ("failed", "signalled: "),
        "exit": ("failed", "exited: "),
    }
    for do, (status, error) in ends.items():
        await caller.give(do, {"do": do, "code": 3})
        update = await caller.heard("job_update", job_id=do, status=status)
        assert update["error"].startswith(error), update


async def test_a_termination_really_ends_the_job(registry: Scripted, register: Register) -> None:
    """S5: the SDK's worker never awaits its handler."""
    worker = register()
    caller = await first(registry)
    await caller.give("j1", {"do": "wait"})
    await caller.heard("job_update", job_id="j1", status="running")
    await caller.tell("job_termination", job_id="j1")
    await caller.heard("job_update", job_id="j1", status="cancelled")
    wait_until(lambda: [e["what"] for e in worker.entries()] == ["start", "finish"], "the job ran to its end")


async def test_a_drained_worker_says_so_and_is_offline_when_its_last_job_has_ended(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await caller.give("j1", {"do": "echo"}, "room-1")
    await caller.heard("job_update", job_id="j1", status="running")
    before = len(caller.of("status_update", status="draining"))  # one that starts says so, too
    worker.process.terminate()
    await caller.hear(before + 1, "status_update", status="draining")
    refused = await caller.offer("j2")
    assert refused["available"] is False
    assert refused["error"].startswith("draining: ")
    await caller.tell("job_termination", job_id="j1")
    await caller.gone.wait()
    assert [m["type"] for m in caller.said[-3:]].count("status_update") >= 1
    assert caller.said[-1]["status"] == "offline"
    assert caller.of("job_update", job_id="j1")[-1]["status"] == "cancelled"
    assert caller.socket.close_code == 1000
    assert worker.ended() == 0


async def test_a_live_change_of_max_processes_is_registered(registry: Scripted, register: Register) -> None:
    worker = register("--max-processes", "2")
    caller = await first(registry)
    await caller.give("j1", {"do": "wait"})
    await caller.heard("job_update", job_id="j1", status="running")
    async with worker.client() as client:
        await client.set_options({"max_processes": 4})
    again = await registry.caller(2)
    assert (again.said[0]["worker_id"], again.said[0]["max_processes"]) == ("w-1", 4)
    await again.heard("job_update", job_id="j1", status="running")


async def test_without_register_nobody_is_called(registry: Scripted, start_worker: Register) -> None:
    worker = start_worker("ledger.py", "--registry-url", registry.url)
    async with worker.client() as client:
        assert (await client.request("GET", "/link"))["state"] == "local"
        await client.request("POST", "/link")
        await first(registry)
        assert (await client.request("GET", "/worker"))["registered"] is True
        await client.request("DELETE", "/link")
        await registry.callers[0].gone.wait()
        assert (await client.request("GET", "/link"))["state"] == "local"


@defence((LINK, "if self._leaving and not self._offers.job_count:", "if self._leaving:"))
async def test_a_worker_that_unregisters_takes_nothing_more_and_tells_how_its_jobs_end(
    registry: Scripted, register: Register
) -> None:
    worker = register()
    caller = await first(registry)
    await caller.give("j1", {"do": "wait"})
    await caller.heard("job_update", job_id="j1", status="running")
    async with worker.client() as client:
        assert "after 1 job" in (await client.request("DELETE", "/link"))["why"]
        assert (await caller.offer("j2"))["error"] == "draining: the worker leaves, or registers anew"
        await client.end_job("j1")
        await caller.heard("job_update", job_id="j1", status="cancelled")
        await caller.gone.wait()
        assert caller.said[-1]["status"] == "offline"
        await until(client, lambda state: state.link.state == "local")
        await client.request("POST", "/link")
        again = await registry.caller(2)
        assert again.said[0]["worker_id"] == "w-1"
        assert (await again.offer("j3"))["available"]


@defence((LINK, 'return end != "leave" or not (self._leaving or self._closing)', 'return end != "leave"'))
async def test_unregistering_and_registering_in_one_breath_leaves_a_link_that_works(
    registry: Scripted, register: Register
) -> None:
    deaf = asyncio.Event()

    async def hear_nothing(caller: Caller) -> None:
        if caller is registry.callers[0]:
            await deaf.wait()  # it does not even answer that the connection is to be closed

    registry.on_call = hear_nothing
    worker = register()
    await registry.caller()
    async with worker.client() as client:
        await client.request("DELETE", "/link")
        await client.request("POST", "/link")
        caller = await registry.caller(2)
        deaf.set()
        await registry.callers[0].gone.wait()
        await caller.heard("status_update", status="available")
        await caller.give("j1", {"do": "return"})
        await caller.heard("job_update", job_id="j1", status="completed")


async def test_a_password_in_the_address_and_a_token_do_not_meet(registry: Scripted, register: Register) -> None:
    worker = register(url=f"ws://me:pass-word@127.0.0.1:{registry.port}")
    caller = await first(registry)
    assert caller.headers["Authorization"] == f"Bearer {TOKEN}"
    async with worker.client() as client:
        assert "pass-word" not in json.dumps(await client.request("GET", "/stats"))


async def test_a_proxy_of_the_environment_does_not_stand_between_two_on_this_machine(
    registry: Scripted, register: Register
) -> None:
    register(HTTP_PROXY="http://127.0.0.1:1", http_proxy="http://127.0.0.1:1")
    await first(registry)


@defence(
    (
        OFFERS,
        "        self._outbox.put(update.text())",
        "        self._outbox.put(self._supervisor.logs.mask.text(update.text()))",
    )
)
async def test_a_token_that_is_a_word_of_the_protocol_hides_no_words_of_it(
    registry: Scripted, register: Register
) -> None:
    register()
    caller = await first(registry)
    for number, token in enumerate(("completed", "job_update", "secret-boom")):
        await caller.give_with(f"j{number}", {"do": "wait"}, token=token)
        await caller.heard("job_update", job_id=f"j{number}", status="running")
    await caller.give("k1", {"do": "return"})
    await caller.heard("job_update", job_id="k1", status="completed")
    await caller.give_with("k2", {"do": "raise"}, token="ValueError")
    assert "********: boom" in (await caller.heard("job_update", job_id="k2", status="failed"))["error"]


@defence((OFFERS, "        why = why or _too_much(order)\n", ""))
async def test_what_no_process_could_read_is_rejected_and_holds_no_slot(registry: Scripted, register: Register) -> None:
    worker = register("--max-processes", "1")
    caller = await first(registry)
    deep: Any = {}
    for _ in range(80):
        deep = {"a": deep}
    for number, more in enumerate(({"metadata": deep}, {"room_options": deep}, {"token": "x" * 900_000})):
        job_id = f"j{number}"
        assert (await caller.offer(job_id))["available"]
        await caller.assign(job_id, **more)
        update = await caller.heard("job_update", job_id=job_id, status="failed")
        assert update["error"].startswith("rejected: its ")
    worker.process.terminate()
    assert await asyncio.to_thread(worker.ended) == 0


@defence(("workbench/model/closing.py", "or self._state.active_jobs() or kept:", "or self._state.active_jobs():"))
@defence(("workbench/model/core.py", 'if kept and verdict.status == "draining":', "if False:"))
async def test_a_job_that_was_accepted_before_a_sigterm_still_runs(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    before = len(caller.of("status_update", status="draining"))
    assert (await caller.offer("j1"))["available"]
    worker.process.terminate()
    await caller.hear(before + 1, "status_update", status="draining")
    with pytest.raises(TimeoutError):  # it waits, though it has nothing to do
        await asyncio.wait_for(caller.gone.wait(), 1.5)
    await caller.assign("j1", {"do": "return"})
    await caller.heard("job_update", job_id="j1", status="completed")
    assert await asyncio.to_thread(worker.ended) == 0
    assert [entry["what"] for entry in worker.entries()] == ["start", "finish"]


@defence((LINK, "        if self._supervisor.state.worker.reserved:\n            return\n", ""))
async def test_a_live_change_waits_for_the_jobs_that_were_accepted(registry: Scripted, register: Register) -> None:
    worker = register("--max-processes", "2")
    caller = await first(registry)
    assert (await caller.offer("j1"))["available"]
    async with worker.client() as client:
        await client.set_options({"max_processes": 4})
        assert not (await caller.offer("j2"))["available"]
        await caller.assign("j1", {"do": "wait"})
        again = await registry.caller(2)
        assert again.said[0]["max_processes"] == 4
        await again.heard("job_update", job_id="j1", status="running")
        await client.end_job("j1")
        await again.heard("job_update", job_id="j1", status="cancelled")


@defence((OFFERS, "return room is not None and room.assigned.wait", "return False"))
@defence((OFFERS, 'if handed_on and not outside else "pending"', 'if handed_on else "pending"'))
async def test_a_job_that_is_to_join_first_is_told_to_run_when_it_has(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    await caller.give_with("j1", {"do": "join"}, room_id="room-1", wait=True)
    await caller.give_with("j2", {"do": "return"}, wait=True)  # over before it joined
    await caller.heard("job_update", job_id="j2", status="completed")
    async with worker.client() as client:
        await until_written(worker, "j1", "start")
        caller.reset()
        await until(client, lambda state: state.link.state == "waiting")
        await client.request("POST", "/link")
        again = await registry.caller(2)
        await again.heard("job_update", job_id="j1", status="pending")
        await client.request("POST", "/rooms/room-1/messages", {"text": "come in"})
        await again.heard("job_update", job_id="j1", status="running")
        assert caller.of("job_update", status="running") == []
        await client.end_job("j1")
        await again.heard("job_update", job_id="j1", status="cancelled")


@defence((OFFERS, 'bool(job.attempts) or job.status == "starting"', "bool(job.attempts)"))
@defence((OFFERS, "(not job.attempts and self._joins_first(job.id))", "False"))
@pytest.mark.parametrize(("wait", "word"), [(False, "running"), (True, "pending")])
def test_a_new_connection_is_told_of_a_job_that_begins_what_the_one_before_was(wait: bool, word: str) -> None:
    """It is not said again when the job has begun."""
    job, room = Job("j1", "room-1", {}, 0.0, assigned=True), SimpleNamespace(assigned=Assigned(wait=wait))
    supervisor: Any = SimpleNamespace(
        state=SimpleNamespace(jobs={"j1": job}), rooms=SimpleNamespace(of_job=lambda job_id: room)
    )
    made = offers.Offers(supervisor, Outbox(), lambda: None)
    made.heard(ev.JobQueued(at=0.0, id="j1", room_id="room-1", metadata={}, own=False, assigned=True))
    assert [update.status for update in made.standing()] == ["pending"]
    job.status = "starting"
    told = made.launching("j1")
    assert told is not None
    assert [update.status for update in made.standing()] == [told.status] == [word]


@defence((OFFERS, "        self._put(_update(self._jobs[job_id]))\n        self._news()", "        self._news()"))
async def test_a_job_that_never_joins_is_told_to_run_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "UNJOINED_S", 0.05)
    job, news, outbox = Job("j1", "room-1", {}, 0.0, assigned=True), asyncio.Event(), Outbox()
    room = SimpleNamespace(assigned=Assigned(wait=True))
    supervisor: Any = SimpleNamespace(
        state=SimpleNamespace(jobs={"j1": job}), rooms=SimpleNamespace(of_job=lambda job_id: room)
    )
    made = offers.Offers(supervisor, outbox, news.set)
    made.heard(ev.JobQueued(at=0.0, id="j1", room_id="room-1", metadata={}, own=False, assigned=True))
    job.status, job.attempts = "running", [{}]
    assert not made.heard(ev.JobStarted(at=0.0, id="j1", attempt=1, start_latency_ms=1.0))
    assert [update.status for update in made.standing()] == ["pending"]
    async with asyncio.timeout(WAIT_S):
        await news.wait()
    assert json.loads(outbox.take() or "") == {"type": "job_update", "job_id": "j1", "status": "running"}
