"""An agent of the SDK as it stands: it listens, hears and answers, several jobs at once."""

import asyncio
from collections.abc import Callable

import psutil

from tests.conftest import Worker
from tests.sdk.talking import AGENT, PIECE, begin, calling, url_of
from tests.workers import until_ended, until_ready, until_written


async def test_two_jobs_at_once_each_hear_and_answer_their_own_caller(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        (first, wrote), (second, other) = [await begin(client, worker) for _ in range(2)]
        assert wrote["pid"] != other["pid"]
        urls = [await url_of(client, job_id) for job_id in (first, second)]
        async with calling(urls[0]) as one, calling(urls[1]) as two:
            said = await asyncio.gather(one.say(3), two.say(5))
            again = await one.say(2)
        assert said == [f"You said: {3 * PIECE} bytes", f"You said: {5 * PIECE} bytes"]
        assert again == f"You said: {2 * PIECE} bytes"
        for job_id, own in ((first, wrote["job"]), (second, other["job"])):
            ended = await until_ended(client, job_id)
            assert (ended["status"], ended["reason"], ended["error"]) == ("completed", "returned", None)
            whats = [entry["what"] for entry in worker.entries() if entry["job"] == own]
            assert sorted(whats) == ["callback", "end", "entered", "exited", "start"]
            assert (whats[0], whats[-1]) == ("start", "end")


async def test_a_job_has_a_context_of_its_own_and_listens_on_the_loopback_address_only(
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job_id, wrote = await begin(client, worker)
        assert (wrote["in_loop"], wrote["current"], wrote["ready"]) == (True, True, False)
        assert (wrote["transport"], wrote["name"], wrote["room"]) == (
            "TransportMode.WEBSOCKET",
            "Spoken",
            "of-the-file",
        )
        port = int((await url_of(client, job_id)).rpartition(":")[2])
        open_at = [c.laddr for c in psutil.Process(wrote["pid"]).net_connections("tcp") if c.status == "LISTEN"]
        assert [tuple(address) for address in open_at] == [("127.0.0.1", port)]
        processes = (await client.request("GET", "/stats"))["processes"]
        assert {process["start_method"] for process in processes} == {"zygote"}


async def test_typed_text_is_answered_in_the_room_also_beside_a_caller(start_worker: Callable[..., Worker]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job_id, _ = await begin(client, worker)
        room = (await client.request("GET", f"/jobs/{job_id}"))["room_id"]
        for text in ("a word", "another one"):
            said = await client.request("POST", f"/rooms/{room}/messages", {"text": text})
            heard = await client.request("GET", f"/rooms/{room}/messages?after={said['id']}&wait_s=30")
            assert [(m["role"], m["text"]) for m in heard["messages"]] == [("agent", f"You said: {text}")]
        async with calling(await url_of(client, job_id)) as caller:
            for _ in range(2):  # said twice, shown twice
                assert await caller.say(4) == f"You said: {4 * PIECE} bytes"
            told = await client.request("GET", f"/rooms/{room}/messages")
        assert [m["text"] for m in told["messages"]][-2:] == [f"You said: {4 * PIECE} bytes"] * 2
        assert len(told["messages"]) == 6, "each once, though the SDK may tell of it in two ways"


async def test_text_that_cannot_be_heard_is_refused_in_words_that_name_the_transport(
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job_id, wrote = await begin(client, worker, "deaf")
        await until_written(worker, wrote["job"], "entered")
        room, url = (await client.request("GET", f"/jobs/{job_id}"))["room_id"], await url_of(client, job_id)
        said = await client.request("POST", f"/rooms/{room}/messages", {"text": "a word"})
        heard = await client.request("GET", f"/rooms/{room}/messages?after={said['id']}&wait_s=30")
        text = heard["messages"][0]["text"]
        assert "Pipeline has no process_text()" in text
        assert f"Connect a WebSocket client to {url}" in text
