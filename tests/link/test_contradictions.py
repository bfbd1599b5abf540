"""A registry that contradicts itself, or talks nonsense: what it costs, and that somebody is told."""

import contextlib
from collections.abc import Callable

import pytest

from tests.conftest import Worker
from tests.defences import defence
from tests.link.conftest import first
from tests.link.looking import begun, linked
from tests.link.scripted import Message, Scripted
from tests.workers import until

Register = Callable[..., Worker]
LINE = "workbench/backend/line.py"
LINK = "workbench/backend/link.py"
OFFERS = "workbench/backend/offers.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


# --- J8 to J11: it contradicts itself -----------------------------------------------------------------


@defence((OFFERS, "        if known is not None:", "        if False:"))
async def test_fault_J8_a_job_assigned_twice_runs_once(registry: Scripted, register: Register) -> None:
    worker = register()
    caller = await first(registry)
    await begun(caller, worker, "j1", "wait")
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
    await begun(caller, worker, "j1", "wait")
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
    await begun(caller, worker, "j1", "wait")
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
