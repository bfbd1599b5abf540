"""How jobs of an SDK's agent end: by themselves, by request, and badly."""

from collections.abc import Callable

from tests.conftest import Worker
from tests.sdk.talking import AGENT, begin, calling, url_of
from tests.workers import until_ended, until_ready


async def test_a_job_that_is_asked_to_end_runs_its_callbacks_and_its_finally(
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for do, sign, left in (
            ("talks", "start", {"callback", "exited"}),  # it waits for its participant, and notices no shutdown
            ("waits", "waiting", {"callback", "finally"}),
        ):
            job_id, wrote = await begin(client, worker, do, sign)
            await url_of(client, job_id)
            await client.end_job(job_id)
            ended = await until_ended(client, job_id)
            assert (ended["status"], ended["reason"]) == ("cancelled", "cancelled"), do
            assert {entry["what"] for entry in worker.entries() if entry["job"] == wrote["job"]} >= left, do


async def test_a_job_with_a_caller_that_is_asked_to_end_takes_leave(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for listens, left in ((True, {"exited", "callback", "end"}), (False, {"exited", "callback"})):
            job_id, wrote = await begin(client, worker)
            async with calling(await url_of(client, job_id)) as caller:
                await caller.say(2)
                await client.end_job(job_id)
                if listens:  # else it never answers that the connection is to be closed
                    await caller.until_closed()
                ended = await until_ended(client, job_id)
            assert ended["status"] == "cancelled"
            assert left <= {e["what"] for e in worker.entries() if e["job"] == wrote["job"]}


async def test_a_job_that_raises_or_exits_is_named_as_any_other(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        raised, _ = await begin(client, worker, "raises")
        left, wrote = await begin(client, worker, "leaves")
        ended = await until_ended(client, raised)
        assert (ended["status"], ended["reason"]) == ("failed", "raised")
        assert ended["error"].startswith("ValueError: boom (spoken.py:")
        ended = await until_ended(client, left)
        assert (ended["status"], ended["reason"], ended["exit_code"]) == ("failed", "exited", 3)
        assert "callback" in {e["what"] for e in worker.entries() if e["job"] == wrote["job"]}


async def test_a_room_that_cannot_be_joined_is_told_with_its_cause(start_worker: Callable[..., Worker]) -> None:
    # Nothing listens where this file's rooms are to be.
    worker = start_worker(AGENT, TRANSPORT="videosdk", VIDEOSDK_AUTH_TOKEN="any-token-of-a-test")
    async with worker.client() as client:
        await until_ready(client)
        for do in ("talks", "starts", "shrugs"):
            job_id, wrote = await begin(client, worker, do)
            ended = await until_ended(client, job_id)
            assert (ended["status"], ended["reason"]) == ("failed", "raised"), do
            assert "the room could not be joined: " in ended["error"], do
            assert "127.0.0.1" in ended["error"], do
            assert "refused" in ended["error"].lower(), do
            assert "callback" in {e["what"] for e in worker.entries() if e["job"] == wrote["job"]}, do
