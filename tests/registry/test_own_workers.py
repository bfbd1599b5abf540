"""Workers of the workbench's own: they tell what they have, and so nothing has to be guessed."""

import asyncio

from tests.defences import defence
from tests.registry.scripted import Scripted, serving


async def test_a_worker_that_comes_back_in_time_keeps_its_jobs() -> None:
    async with serving() as at:
        worker = await at.worker(room=3)
        jobs = [await at.api.given(room=name) for name in ("goes-on", "ends", "forgotten")]
        await worker.until(lambda: len(worker.running) == 3, "all run")
        await worker.drop()
        await at.api.until_job(jobs[0], "unknown")
        del worker.running[jobs[1]], worker.running[jobs[2]]
        await _back(at.http, worker, ends=[(jobs[1], "completed")])
        assert (await at.api.until_job(jobs[0], "running"))["unknown_since"] is None
        assert (await at.api.until_job(jobs[1], "completed"))["reason"] == "returned"
        lost = await at.api.until_job(jobs[2], "failed")
        assert lost["reason"] == "supervisor_lost"
        assert at.counters["reoffers"] == 0


async def _back(http: object, worker: Scripted, ends: list[tuple[str, str]]) -> None:
    """Register again and tell: running jobs, ends that nobody heard, then the status."""
    status, worker.status = worker.status, _nothing  # type: ignore[method-assign]
    await worker.open(http)  # type: ignore[arg-type]
    worker.status = status  # type: ignore[method-assign]
    for job, how in ends:
        await worker.update(job, how)
    await worker.status()


async def _nothing(*_: object, **__: object) -> None:
    return None


async def test_a_job_that_never_started_goes_to_another_when_its_worker_comes_back_without_it() -> None:
    async with serving() as at:
        worker = await at.worker(starts=False)
        job = await at.api.given()
        await worker.assigned()
        await worker.drop()
        await at.api.until_job(job, "unknown")
        other = await at.worker()
        worker.running.clear()
        worker.take = False
        await worker.open(at.http)
        assert (await other.assigned())["job_id"] == job
        found = await at.api.until_job(job, "running")
        assert (found["attempt"], found["worker_id"]) == (2, other.id)
        assert [attempt["reason"] for attempt in found["attempts"]] == ["lost", None]


@defence(
    ("workbench/registry/updates.py", "        job.spoken_of = True\n", '        job.spoken_of = status == "running"\n')
)
async def test_a_job_that_may_have_begun_is_not_given_to_another() -> None:
    async with serving(grace_s=0.2) as at:
        worker = await at.worker(starts=False)
        jobs = [await at.api.given(room="told"), await at.api.given(room="silent")]
        await worker.assigned(2)
        await worker.update(jobs[0], "pending")  # the last word before it begins, where it is to join its room first
        other = await at.worker()
        await worker.drop()
        assert (await other.assigned())["job_id"] == jobs[1]
        lost = await at.api.until_job(jobs[0], "failed")
        assert (lost["reason"], lost["attempt"]) == ("supervisor_lost", 1)
        assert [order["job_id"] for order in other.of("job_assignment")] == [jobs[1]]


@defence(
    (
        "workbench/registry/updates.py",
        "        if not job.spoken_of:\n            worker =",
        "        if job.id:\n            worker =",
    ),
)
async def test_a_worker_that_does_not_come_back() -> None:
    async with serving(grace_s=0.3) as at:
        worker = await at.worker(starts=False)
        jobs = [await at.api.given(room="never-started"), await at.api.given(room="ran")]
        await worker.assigned(2)
        await worker.update(jobs[1], "running")
        await at.api.until_job(jobs[1], "running")
        other = await at.worker()
        await worker.drop()
        assert (await other.assigned())["job_id"] == jobs[0]
        lost = await at.api.until_job(jobs[1], "failed")
        assert lost["reason"] == "supervisor_lost"
        assert "did not come back within 0.3 s" in lost["error"]
        # It lived on after all: what it says now is told with the job, and changes nothing.
        worker.running.clear()
        await worker.open(at.http)
        await worker.update(jobs[1], "completed")
        found = await at.api.until(
            lambda state: state["jobs"][jobs[1]]["notes"] and state["jobs"][jobs[1]], "the late end is noted"
        )
        assert (found["status"], found["reason"]) == ("failed", "supervisor_lost")
        assert f"late: worker {worker.id} says that it completed" in found["notes"][0]


async def test_a_job_that_came_back_with_a_worker_given_up_is_ended_there() -> None:
    async with serving(grace_s=0.2) as at:
        worker = await at.worker(starts=False)
        job = await at.api.given()
        await worker.assigned()
        other = await at.worker()
        await worker.drop()
        assert (await other.assigned())["job_id"] == job
        worker.started = [job]
        await worker.open(at.http)
        ended = await worker.until(lambda: worker.of("job_termination"), "it is told to end it")
        assert ended[0]["job_id"] == job
        assert (await at.api.job(job))["worker_id"] == other.id
        assert at.counters["duplicates"] == 1
        await at.api.until(lambda state: not state["workers"][worker.id]["slots_used"], "its slot is free again")


async def test_a_rejected_job_goes_to_the_next_worker_and_not_for_ever() -> None:
    async with serving(pass_s=0.02) as at:
        worker, other = await at.worker(starts=False), await at.worker(starts=False)
        job = await at.api.given()
        for attempt in range(3):
            first = await _whoever_has(job, worker, other)
            await first.update(job, "failed", f"rejected: full, {attempt}")
        ended = await at.api.until_job(job, "failed")
        assert [a["reason"] for a in ended["attempts"]] == ["rejected"] * 3
        assert len({a["worker_id"] for a in ended["attempts"]}) == 2
        assert "never started" in ended["error"]


async def _whoever_has(job: str, *workers: Scripted) -> Scripted:
    async with asyncio.timeout(30):
        while True:
            for worker in workers:
                if job in worker.running:
                    return worker
            await asyncio.sleep(0.005)


@defence(
    (
        "workbench/registry/offers.py",
        'if job is None or job.status != "offered" or job.worker_id != worker.id:',
        "if job is None:",
    ),
)
async def test_silence_to_an_offer_is_a_refusal_and_an_answer_after_it_counts_no_more() -> None:
    async with serving(offer_s=2.0) as at:
        silent = await at.worker(answers=False)
        asked = asyncio.ensure_future(at.api.given())
        job = (await silent.offered())["job_id"]
        other = await at.worker()
        assert await asked == job
        assert (await other.assigned())["job_id"] == job
        await silent.answer(job)
        await at.api.until(lambda state: state["counters"].get("offers_answered_late"), "the late answer is counted")
        assert not silent.of("job_assignment")
        assert at.counters["offers_silent"] == 1


async def test_a_refusal_goes_to_the_next_and_who_waits_asks_again() -> None:
    async with serving(pass_s=0.5, closed_s=0.05) as at:
        worker, other = await at.worker(take=False), await at.worker(take=False)
        status, answer = await at.api.dispatch()
        assert (status, answer["message"]) == (503, "No workers available")
        assert len(worker.of("availability_request")) == len(other.of("availability_request")) == 1
        waiting = asyncio.ensure_future(at.api.given(wait=60))
        await worker.offered(3)
        worker.take = True
        job = await waiting
        assert (await at.api.job(job))["worker_id"] == worker.id
        assert at.counters["refusals_full"] >= 4


async def test_the_second_connection_under_an_id_takes_over() -> None:
    async with serving() as at:
        worker = await at.worker()
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        twin = await at.worker(worker_id=worker.id)
        assert (await worker.finished())[0] == 4009
        assert twin.id == worker.id
        assert (await at.api.until_job(job, "failed"))["reason"] == "supervisor_lost"  # the new one does not have it
        assert [w["connected"] for w in await at.api.workers()] == [True]


async def test_an_id_of_another_agents_worker_is_not_taken_over() -> None:
    async with serving() as at:
        worker = await at.worker(agent="A")
        other = await at.worker(agent="B", worker_id=worker.id)
        assert other.id != worker.id
        assert len(await at.api.workers()) == 2
        assert not worker.socket.closed


async def test_a_registry_that_starts_again_learns_all_from_its_workers() -> None:
    async with serving() as at:
        worker = await at.worker(room=2)
        jobs = [await at.api.given(), await at.api.given()]
        await worker.until(lambda: len(worker.running) == 2, "both run")
        port = int(at.url.rpartition(":")[2])
        await at.door.close()
        assert (await worker.finished())[0] == 1012
        async with serving(port=port) as again:
            before = worker.id
            await worker.open(again.http)
            assert worker.id == before
            for job in jobs:
                assert (await again.api.until_job(job, "running"))["worker_id"] == worker.id
            assert (await again.api.dispatch())[0] == 503  # both slots are known to be taken
            await worker.update(jobs[0], "completed")
            await again.api.until_job(jobs[0], "completed")
            assert (await again.api.dispatch())[0] == 200
            await worker.close()


async def test_a_connection_that_is_only_half_open_is_found() -> None:
    async with serving(heartbeat_s=1.0, grace_s=0.2) as at:
        worker = Scripted(at.url)
        await worker.open(at.http, autoping=False)  # it reads, but answers no ping: as if nobody were there
        job = await at.api.given()
        ended = await at.api.until_job(job, "failed")
        assert ended["reason"] == "supervisor_lost"
        assert any("does not answer pings" in line for line in at.log), at.log
        await worker.close()


async def test_ending_jobs() -> None:
    async with serving() as at:
        worker = await at.worker(room=1)
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        waiting = asyncio.ensure_future(at.api.dispatch(wait=True))
        queued = await at.api.until(
            lambda s: [j["id"] for j in s["jobs"].values() if j["status"] == "queued"], "one is queued"
        )
        assert (await at.api.call("DELETE", f"/jobs/{queued[0]}"))[0] == 202
        status, answer = await waiting
        assert (status, answer["jobId"]) == (409, queued[0])
        status, answer = await at.api.call("DELETE", f"/jobs/{job}")
        assert status == 202
        assert (await at.api.until_job(job, "cancelled"))["reason"] == "cancelled"
        status, answer = await at.api.call("DELETE", f"/jobs/{job}")
        assert (status, "has ended: cancelled" in answer["error"]) == (409, True)
        assert (await at.api.call("DELETE", "/jobs/nobody"))[0] == 404


async def test_a_job_that_was_to_end_while_its_link_was_down_is_ended_at_its_return() -> None:
    async with serving() as at:
        worker = await at.worker()
        job = await at.api.given()
        await worker.until(lambda: job in worker.running, "it runs")
        await worker.drop()
        await at.api.until_job(job, "unknown")
        assert (await at.api.call("DELETE", f"/jobs/{job}"))[0] == 202
        await worker.open(at.http)
        assert (await at.api.until_job(job, "cancelled"))["reason"] == "cancelled"


async def test_a_worker_that_is_drained_gets_nothing_more() -> None:
    async with serving() as at:
        worker = await at.worker()
        status, about = await at.api.call("POST", f"/workers/{worker.id}/drain")
        assert (status, about["status"], about["draining"]) == (200, "draining", True)
        assert (await at.api.dispatch())[0] == 503
        waiting = asyncio.ensure_future(at.api.dispatch(wait=60))
        await at.api.until(lambda state: state["registry"]["queue"], "it waits")
        await at.api.call("DELETE", f"/workers/{worker.id}/drain")
        assert (await waiting)[0] == 200
        assert (await at.api.call("POST", "/workers/nobody/drain"))[0] == 404
        await worker.status("draining")
        await at.api.until(lambda state: state["workers"][worker.id]["status"] == "draining", "it drains by itself")
        assert (await at.api.dispatch())[0] == 503


async def test_jobs_go_to_the_least_loaded_share_and_in_turn_among_equals() -> None:
    async with serving() as at:
        small, large = await at.worker(room=2), await at.worker(room=4)
        for _ in range(6):
            await at.api.given()
            assert small.most / 2 - large.most / 4 <= 0.5
        await asyncio.gather(small.assigned(2), large.assigned(4))
        equals = [await at.worker(agent="B", room=3) for _ in range(3)]
        for _ in range(9):
            await at.api.given(agent="B")
        assert [len(worker.of("job_assignment")) for worker in equals] == [3, 3, 3]


async def test_a_worker_that_tells_too_much_load_is_passed_over() -> None:
    async with serving(load_s=2.0) as at:
        busy, idle = await at.worker(threshold=0.75), await at.worker(threshold=0.75)
        await busy.status(load=0.9)
        await at.api.until(lambda state: state["workers"][busy.id]["load"] == 0.9, "its load is known")
        await at.api.given()
        await at.api.given()
        assert len(idle.of("availability_request")) == 2
        waiting = asyncio.ensure_future(at.api.dispatch(wait=60))
        assert (await waiting)[0] == 200  # an old figure holds no more: it can say no itself
        assert len(busy.of("availability_request")) == 1


async def test_what_a_worker_said_last_is_heard_although_its_connection_is_gone() -> None:
    async with serving() as at:
        worker = await at.worker(room=200)
        jobs = await asyncio.gather(*(at.api.given() for _ in range(200)))
        await worker.until(lambda: len(worker.running) == 200, "all run")
        for job in jobs:
            await worker.update(job, "completed")
        worker.socket._response.connection.transport.close()  # type: ignore[union-attr]
        await at.api.until(lambda state: not state["registry"]["jobs_active"], "all have ended")
        assert at.service.core.desk.ends == {("completed", "returned"): 200}


@defence(
    ("workbench/registry/members.py", "worker.reported = not worker.ours", "worker.reported = True"),
)
async def test_a_worker_gets_nothing_before_it_has_told_what_it_has() -> None:
    async with serving() as at:
        worker = Scripted(at.url)
        status, worker.status = worker.status, _nothing  # type: ignore[method-assign]
        await worker.open(at.http)
        assert [w["status"] for w in await at.api.workers()] == ["joining"]
        assert (await at.api.dispatch())[1]["message"] == "No workers available"
        waiting = asyncio.ensure_future(at.api.dispatch(wait=60))
        await at.api.until(lambda state: state["registry"]["queue"], "it waits")
        await status()
        assert (await waiting)[0] == 200
        await worker.close()
