"""The streams of the server: log lines by subscription, members of rooms, clients that do not read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import WAIT_S
from tests.workers import until_ready
from workbench.client.client import Client
from workbench.server.stream import Subscriber

TALKER = """
import asyncio
async def entrypoint(ctx):
    async for message in ctx.room:
        for n in range(int(message.text)):
            ctx.report(n=n + 1)
            await ctx.room.send("x" * 2000, data=float("nan"))
            print("line", n)
            if n % 50 == 0:
                await asyncio.sleep(0)
        await ctx.room.send("done")
"""


@asynccontextmanager
async def talking(
    start_worker: Any, folder: Path
) -> AsyncIterator[tuple[Client, aiohttp.ClientSession, dict[str, Any]]]:
    """A worker with a job in the room `talk`: a client of it, one of its socket, and the job."""
    (folder / "talker.py").write_text(TALKER)
    worker = start_worker(folder / "talker.py", "--load-threshold", "inf")
    connector = aiohttp.UnixConnector(path=worker.socket)
    async with worker.client() as client, aiohttp.ClientSession("http://localhost", connector=connector) as http:
        await until_ready(client)
        yield client, http, await client.dispatch("talk")


async def test_log_lines_come_by_subscription_and_nonsense_is_no_subscription(
    start_worker: Any, tmp_path: Path
) -> None:
    async with talking(start_worker, tmp_path) as (client, http, job):
        async with http.ws_connect("/events", max_msg_size=0) as events:
            for nonsense in (
                "", "x", "[]", "3", '{"logs": 1}', '{"logs": {"tail": -1}}', '{"logs": {"tail": 1e999}}',
                '{"logs": {"tail": "5"}}', '{"logs": {"tail": null}}', "[" * 50_000,
            ):  # fmt: skip
                await events.send_str(nonsense)
            await events.send_bytes(b"\xff")
            await events.send_str('{"logs": {"tail": 5}}')
            await client.request("POST", "/rooms/talk/messages", {"text": "3"})
            lines: list[Any] = []
            async with asyncio.timeout(WAIT_S):
                async for message in events:
                    news = json.loads(message.data)
                    lines += news["lines"] if news["type"] == "logs" else []
                    if [line[-1] for line in lines][-3:] == ["line 0", "line 1", "line 2"]:
                        break
        assert [line[0] for line in lines] == list(range(lines[0][0], lines[0][0] + len(lines)))
        await client.end_job(job["id"])


async def test_a_stream_that_cannot_be_sent_is_ended_and_told() -> None:
    class Broken:
        seq = 0

        def to_json(self) -> None:
            raise RecursionError("too deep")

    class Lines:
        total = 0
        noted: list[str] = []

        def note(self, level: str, text: str) -> None:
            self.noted.append(text)

    class Worker_:
        state, logs, listeners, followers = Broken(), Lines(), [], 0  # type: ignore[var-annotated]

    class Socket:
        closed = asyncio.Event()

        def __aiter__(self) -> "Socket":
            return self

        async def __anext__(self) -> None:
            await self.closed.wait()
            raise StopAsyncIteration

        async def close(self) -> None:
            self.closed.set()

    async with asyncio.timeout(WAIT_S):
        await Subscriber(Worker_(), Socket()).serve()  # type: ignore[arg-type]
    assert "too deep" in Lines.noted[0]
    assert (Worker_.listeners, Worker_.followers) == ([], 0)


async def test_a_member_of_a_room_is_heard_answered_and_let_go_when_it_does_not_read(
    start_worker: Any, tmp_path: Path
) -> None:
    async with talking(start_worker, tmp_path) as (client, http, job):
        async with http.ws_connect("/rooms/talk?name=") as talk:
            for wrong, words in (
                ("{", "not JSON"),
                ("[]", 'send {"text"'),
                ('{"text": 1}', 'send {"text"'),
                ("NaN", "NaN"),
            ):
                await talk.send_str(wrong)
                assert words in (await _next(talk, "error"))["error"]
            await talk.send_json({"text": "1"})
            heard = await _next(talk, "message")
            assert (heard["message"]["sender"], heard["message"]["text"]) == ("user", "1")
            assert (await _next(talk, "message"))["message"]["data"] is None  # it was NaN, which is no JSON
        async with http.ws_connect("/rooms/talk?name=deaf") as deaf:
            await client.request("POST", "/rooms/talk/messages", {"text": "30000"})
            async with asyncio.timeout(WAIT_S):
                while (await client.request("GET", "/rooms/talk/messages"))["messages"][-1]["text"] != "done":
                    await asyncio.sleep(0.05)
                while (message := await deaf.receive()).type is aiohttp.WSMsgType.TEXT:
                    assert '"text": "done"' not in message.data or '"id": "1.a2"' in message.data
        async with http.ws_connect("/rooms/talk") as talk:
            await client.end_job(job["id"])
            await _next(talk, "ended")
            assert (await talk.receive()).type is aiohttp.WSMsgType.CLOSE


async def _next(room: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while (news := await room.receive_json())["type"] != kind:
            continue
    return dict(news)
