"""VideoSDK's own workers, as they were seen to behave: each scenario is what such a worker says, message by message."""

import asyncio
from typing import Any

from tests.defences import defence
from tests.registry.scripted import Scripted, Serving, serving
from tests.registry.simulated import World

KNOWN = {
    "register": {"type", "success", "worker_id", "message"},
    "availability_request": {"type", "job_id", "room_id", "agent_name"},
    "job_assignment": {
        "type", "job_id", "room_id", "agent_name", "token", "url", "room_options", "metadata", "wait",
    },
}  # fmt: skip


async def _sdk(at: Serving, **more: Any) -> Scripted:
    return await at.worker(ours=False, **more)


async def test_a_job_that_returns_and_one_that_raises() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        first, second = await at.api.given(), await at.api.given()
        await worker.until(lambda: len(worker.running) == 2, "both run")
        await worker.update(first, "completed")
        await worker.update(second, "failed", "All 1 attempts failed. Last error: planned failure")
        assert (await at.api.until_job(first, "completed"))["reason"] == "returned"
        ended = await at.api.until_job(second, "failed")
        assert (ended["reason"], ended["error"]) == ("raised", "All 1 attempts failed. Last error: planned failure")


async def test_nothing_is_sent_but_the_fields_that_such_a_worker_knows() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        await at.api.given(roomOptions={"recording": True}, metadata={"x": 1})
        await worker.assigned()
        for message in worker.heard:
            assert set(message) - {"link"} <= KNOWN[message["type"]], message


@defence(
    ("workbench/registry/balance.py", "share = worker.used / worker.room if worker.room else 1.0", "share = 0.0"),
    ("workbench/registry/balance.py", "        and worker.used < worker.room\n", ""),
)
async def test_six_offers_for_a_worker_that_accepts_all_of_them() -> None:
    async with serving() as at:
        worker = await _sdk(at, room=2)
        answers = await asyncio.gather(*(at.api.dispatch() for _ in range(6)))
        assert sorted(status for status, _ in answers) == [200, 200, 503, 503, 503, 503]
        assert {answer["message"] for status, answer in answers if status == 503} == {"No workers available"}
        assert worker.most == 2
        assert len(worker.of("availability_request")) == 2


async def test_the_share_of_slots_that_such_a_worker_fills() -> None:
    async with serving() as at:
        worker = await _sdk(at, room=10, threshold=0.75)
        answers = await asyncio.gather(*(at.api.dispatch() for _ in range(12)))
        assert sum(status == 200 for status, _ in answers) == 8 == worker.most


async def test_a_job_that_it_accepted_and_had_no_process_for_goes_to_another() -> None:
    async with serving() as at:
        worker = await _sdk(at, room=1)
        job = await at.api.given()
        await worker.assigned()
        other = await at.worker()
        await worker.update(
            job, "failed", "All 1 attempts failed. Last error: No available resources for task execution"
        )
        assert (await other.assigned())["job_id"] == job
        found = await at.api.until_job(job, "running")
        assert [attempt["reason"] for attempt in found["attempts"]] == ["rejected", None]
        assert at.counters["over_accepts"] == 1


@defence(
    ("workbench/registry/updates.py", "if error == SHUTDOWN and not worker.ours:", "if error == 7:"),
)
async def test_sigterm_with_a_job_aborts_it_whatever_the_worker_calls_that() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        job = await at.api.given()
        await worker.assigned()
        await worker.status("offline")
        await worker.update(job, "completed", "Worker shutdown")
        await worker.socket.close()
        ended = await at.api.until_job(job, "cancelled")
        assert "aborted: its worker was shut down" in ended["error"]
        await at.api.until(lambda state: not state["workers"], "the worker is gone")
        assert (await at.api.dispatch())[1]["message"] == "No workers registered"


async def test_a_job_cannot_be_ended_and_that_is_said() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        job = await at.api.given()
        await worker.assigned()
        status, answer = await at.api.call("DELETE", f"/jobs/{job}")
        assert status == 409
        assert answer["error"].startswith("not supported by this worker")
        assert (await at.api.job(job))["status"] == "running"
        assert not worker.of("job_termination")


@defence(("workbench/registry/updates.py", "took_s <= SWALLOWED_S and ", ""))
@defence(("workbench/registry/updates.py", " and desk.now.mono - worker.last_end <= AFTER_S", ""))
def test_a_dead_process_that_swallows_the_next_job_is_suspected() -> None:
    """Times are given: on a busy machine two messages of one moment are heard far apart."""
    world = World()
    worker = world.join("A", ours=False, room=2)
    world.talk()

    def suspected(lasts_s: float) -> bool:
        """A job runs so long, and completes."""
        world.submit("A", None)
        world.talk()
        (job,) = worker.running
        world.pass_time(lasts_s)
        worker.end(job, "completed")
        world.talk()
        assert world.jobs[job].status == "completed"
        return any("suspicious" in note for note in world.jobs[job].notes)

    assert not suspected(0.0)  # no process has died yet
    assert suspected(0.001)
    assert not suspected(0.02)
    assert suspected(0.0)
    assert world.core.desk.counters["suspicious"] == 2
    world.pass_time(11.0)
    assert not suspected(0.0)


async def test_after_its_link_was_down_its_jobs_are_unknown_until_they_end() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        jobs = [await at.api.given(), await at.api.given()]
        await worker.until(lambda: len(worker.running) == 2, "both run")
        await worker.drop()
        assert (await at.api.until_job(jobs[0], "unknown"))["unknown_since"]
        await worker.open(at.http)
        found = await at.api.job(jobs[0])
        assert found["status"] == "unknown"
        assert "do not tell what runs on" in found["notes"][0]
        assert (await at.api.dispatch())[0] == 503  # its slots may still be taken
        await worker.update(jobs[0], "completed")
        assert (await at.api.until_job(jobs[0], "completed"))["reason"] == "returned"
        worker.running.clear()  # the other ended while the link was down
        await worker.status(count=0)
        ended = await at.api.until_job(jobs[1], "failed")
        assert ended["reason"] == "supervisor_lost"
        assert (await at.api.dispatch())[0] == 200


async def test_a_slot_that_leaked_is_told_and_not_used() -> None:
    async with serving() as at:
        worker = await _sdk(at, room=2)
        for _ in range(3):
            await worker.status(count=1)
        (about,) = (await at.api.until(lambda s: any(w["notes"] for w in s["workers"].values()) and s, "the note"))[
            "workers"
        ].values()
        assert "has leaked slots" in about["notes"][0]
        assert about["slots_used"] == 1
        assert [(await at.api.dispatch())[0] for _ in range(2)] == [200, 503]


async def test_a_registry_that_starts_again_learns_of_a_job_by_its_end() -> None:
    async with serving() as at:
        worker = await _sdk(at)
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        port = int(at.url.rpartition(":")[2])
        await at.door.close()
        assert (await worker.finished())[0] == 1012
        async with serving(port=port) as again:
            before = worker.id
            await worker.open(again.http)
            assert worker.id == before
            await worker.update(job, "completed")
            found = await again.api.until_job(job, "completed")
            assert "known from its worker only" in found["notes"][0]
            assert (found["agent_name"], found["worker_id"]) == ("A", worker.id)
            await worker.close()
