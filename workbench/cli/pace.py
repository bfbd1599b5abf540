"""The visitors of `workbench demo`: jobs of every kind, handed in at a gentle pace by the door that all jobs use."""

import asyncio
from contextlib import suppress
from itertools import chain, cycle

from workbench.client.address import Address
from workbench.client.client import Client, ClientError
from workbench.model.errors import WorkbenchError

FIRST = (("talk", 2.0), ("leak", 2.0), ("crash", 2.0), ("stall", 4.0))  # everything is to be seen soon
ROUND = tuple((do, 5.0) for do in ("talk", "vanish", "talk", "leak", "talk", "stall", "talk", "crash"))
LINES = ("hello", "how do you stream a reply?", "and what do you report?", "bye")
BREATH_S = 2.0


async def pace(address: Address) -> None:
    """Hand in a job every few seconds, until cancelled, however busy the machine is; some may find the worker full."""
    async with Client(address) as client, asyncio.TaskGroup() as visits:
        async for frame in client.frames():
            if frame.state.worker.status != "starting":
                break
        for do, wait_s in chain(FIRST, cycle(ROUND)):
            with suppress(ClientError):  # refused: the worker counts and shows it
                job = await client.dispatch(None, {"do": do}, force=True)
                if do == "talk":
                    visits.create_task(_visit(client, str(job["room_id"])))
            await asyncio.sleep(wait_s)


async def _visit(client: Client, room_id: str) -> None:
    """Say the lines, each a breath after the agent has finished."""
    left = iter(LINES)
    with suppress(WorkbenchError, OSError):  # the job has ended meanwhile
        async with client.room(room_id) as room:
            async for news in room:
                message = news.get("message") or {}
                if message.get("role") == "agent" and not message.get("partial"):
                    await asyncio.sleep(BREATH_S)
                    if (line := next(left, None)) is None:
                        return
                    await room.send(line)
