"""Requests to a supervisor, and its stream of events folded into a State."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.client.address import Address
from workbench.client.calls import Calls, ClientError, why
from workbench.model.events import Event, from_json
from workbench.model.state import State

if TYPE_CHECKING:
    import aiohttp


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output. `n` counts all lines of the supervisor; `process_id` is 0 for its own."""

    n: int
    at: float
    process_id: int
    pid: int
    generation: int
    job_id: str | None
    level: str
    logger: str
    text: str


@dataclass(slots=True)
class Frame:
    """One step of the stream: the state after it, the event that made it, log lines that came with it."""

    state: State
    event: Event | None = None
    snapshot: bool = False
    lines: list[LogLine] = field(default_factory=list)
    lines_dropped: int = 0


class Client(Calls):
    """A connection to one supervisor. Use it as `async with Client(address) as client`."""

    async def dispatch(
        self, room_id: str | None = None, metadata: dict[str, Any] | None = None, *, force: bool = False
    ) -> dict[str, Any]:
        """Hand a job to the worker; the job as accepted."""
        body = {"room_id": room_id, "metadata": metadata, "force": force}
        given = {key: value for key, value in body.items() if value}
        job = await self.request("POST", "/jobs", given)
        if not isinstance(job, dict) or not isinstance(job.get("id"), str) or "status" not in job:
            raise ClientError(f"what answers at {self.address} is no worker")
        return job

    async def end_job(self, job_id: str) -> None:
        """Ask a job to end; asking again moves one rung up the stop ladder."""
        await self.request("DELETE", f"/jobs/{job_id}")

    async def pin_job(self, job_id: str, pinned: bool) -> None:
        """Leave a job on its generation when newer code is promoted, or no longer so."""
        await self.request("POST" if pinned else "DELETE", f"/jobs/{job_id}/pin")

    async def kill_process(self, pid: int) -> None:
        """Kill a process and everything it started."""
        await self.request("DELETE", f"/processes/{pid}")

    async def process(self, pid: int) -> dict[str, Any]:
        """Everything about one process, also of one that has just ended."""
        found: dict[str, Any] = await self.request("GET", f"/processes/{pid}")
        return found

    async def stack(self, pid: int) -> dict[str, Any]:
        """Where a process stands now, thread by thread and task by task."""
        found: dict[str, Any] = await self.request("POST", f"/processes/{pid}/stack")
        return found

    async def drain(self) -> None:
        """Take no new jobs."""
        await self.request("POST", "/drain")

    async def admit(self) -> None:
        """Take jobs again."""
        await self.request("DELETE", "/drain")

    async def register(self) -> None:
        """Take jobs from the registry; at once, if the link waits or has given up."""
        await self.request("POST", "/link")

    async def unregister(self) -> None:
        """Take no jobs from the registry any more."""
        await self.request("DELETE", "/link")

    async def reload(self) -> None:
        """Load the agent again, beside the running generation."""
        await self.request("POST", "/reload")

    async def options(self) -> dict[str, dict[str, Any]]:
        """The table of options."""
        return self._table(await self.request("GET", "/options"))

    async def set_options(self, values: dict[str, Any], for_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Change options live, with `for_s` only for so long; the table of options afterwards."""
        query = f"?for_s={for_s:g}" if for_s is not None else ""
        return self._table(await self.request("PATCH", f"/options{query}", values))

    async def take_back_options(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Take live changes back; the table of options afterwards."""
        return self._table(await self.request("DELETE", f"/options/{quote(','.join(names), safe=',')}"))

    def _table(self, answer: Any) -> dict[str, dict[str, Any]]:
        if not isinstance(answer, dict) or not all(isinstance(item, dict) for item in answer.values()):
            raise ClientError(f"what answers at {self.address} is no worker")
        return answer

    async def frames(self, log_tail: int = 0) -> AsyncIterator[Frame]:
        """The supervisor's state, then one frame for each thing that happens, until the link ends.

        Args:
            log_tail: lines of the past to begin with; 0 asks for no log lines at all.

        Raises:
            ClientError: no connection.
        """
        import aiohttp

        try:
            async with self._session.ws_connect("/events", max_msg_size=0, heartbeat=20) as socket:
                if log_tail:
                    await socket.send_json({"logs": {"tail": log_tail}})
                state = State()
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return
                    try:
                        frame = _fold(state, json.loads(message.data))
                    except (KeyError, TypeError, ValueError) as error:
                        raise ClientError(f"what answers at {self.address} is no worker: {error!r}") from error
                    state = frame.state
                    yield frame
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ClientError(f"no events from {self.address}: {why(error, self.WHAT)}") from error

    @asynccontextmanager
    async def room(self, room_id: str) -> AsyncIterator["RoomLine"]:
        """Join a room as a participant.

        Raises:
            ClientError: there is no such room.
        """
        import aiohttp

        try:
            async with self._session.ws_connect(f"/rooms/{room_id}", heartbeat=20) as socket:
                yield RoomLine(socket)
        except aiohttp.WSServerHandshakeError as error:
            raise ClientError(f"room {room_id} cannot be joined", error.status) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(f"room {room_id}: {error}") from error


class RoomLine:
    """A joined room: iterate it for messages, send text into it."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse") -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        """Say `text` in the room."""
        await self._socket.send_json({"text": text})

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """`{"type": "message" | "joined" | "left" | "attempt" | "ended", ...}` as they come, history first."""
        import aiohttp

        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            yield json.loads(message.data)


def _fold(state: State, message: dict[str, Any]) -> Frame:
    if message["type"] == "snapshot":
        return Frame(State.from_json(message["state"]), snapshot=True)
    if message["type"] == "logs":
        return Frame(state, lines=[LogLine(*line) for line in message["lines"]], lines_dropped=message["dropped"])
    event = from_json(message)
    if event is not None:
        state.apply(event)
    state.seq = message["seq"]
    return Frame(state, event=event)


async def wait_for(address: Address, timeout_s: float) -> None:
    """Return once the supervisor at a unix socket accepts a connection.

    Raises:
        ClientError: it did not within `timeout_s`.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            _, writer = await asyncio.open_unix_connection(address.path)
        except OSError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise ClientError(f"nothing listens on {address} after {timeout_s:g} s") from error
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return


__all__ = ["Client", "ClientError", "Frame", "LogLine", "RoomLine", "wait_for"]
