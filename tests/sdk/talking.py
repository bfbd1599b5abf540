"""Jobs of an SDK's agent, as a client meets them: by their room, and by voice."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import WAIT_S, Worker
from tests.workers import until, until_written
from workbench.client.client import Client

AGENT = Path(__file__).parent / "agents" / "spoken.py"
PIECE = 320  # bytes of audio sent at once
_numbers = itertools.count(1)


async def begin(client: Client, worker: Worker, do: str = "talks", sign: str = "start") -> tuple[str, dict[str, Any]]:
    """Start a job; its id, and what it wrote when it was so far."""
    own_id = f"own-{next(_numbers)}"
    job = await client.dispatch(None, {"do": do, "id": own_id})
    return str(job["id"]), await until_written(worker, own_id, sign)


async def url_of(client: Client, job_id: str) -> str:
    """Where a job listens, as it is shown."""
    return str(await until(client, lambda state: state.jobs[job_id].report.get("url")))


class Caller:
    """Somebody who speaks to a job."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def say(self, pieces: int) -> str:
        """Speak, then be silent; the answer, as far as `You said: ... bytes`."""
        for _ in range(pieces):
            await self._socket.send_bytes(b"\1" * PIECE)
        await self._socket.send_bytes(b"\0" * PIECE)
        heard = b""
        async with asyncio.timeout(WAIT_S):
            while not heard.endswith(b"bytes"):
                message = await self._socket.receive()
                assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
                if message.type is aiohttp.WSMsgType.BINARY:  # texts are signals, as of an interruption
                    heard += message.data
        return heard.decode()

    async def until_closed(self) -> None:
        """Hear on until the job closes the connection."""
        async with asyncio.timeout(WAIT_S):
            async for _ in self._socket:
                continue


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """Somebody is connected to a job; when they leave, its session ends."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        yield Caller(socket)
