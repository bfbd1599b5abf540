"""Workers that do what a script says, over real sockets, and a registry as a user would start it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.conftest import WAIT_S
from workbench.model.wire import CAPABILITIES, OURS
from workbench.registry.desk import Limits
from workbench.registry.door import Door
from workbench.registry.gate import Gate
from workbench.registry.service import Service
from workbench.server.binding import bind

SDK = [name for name in CAPABILITIES if name != OURS]


class Scripted:
    """A worker. `heard` is all it was told, `running` what it has taken and not ended, `most` the most at once.

    Args:
        ours: it says that it is a workbench's.
        take: whether an offer is accepted, when the script does not answer itself.
        lasts_s: jobs end by themselves after so long; None: when the script says so.
    """

    def __init__(
        self, url: str, *, ours: bool = True, agent: str = "A", room: int = 2, worker_id: str = "", token: str = "",
        take: bool = True, lasts_s: float | None = None, threshold: float | None = None, answers: bool = True,
        starts: bool = True,
    ) -> None:  # fmt: skip
        self.url, self.ours, self.agent, self.room, self.id, self.token = url, ours, agent, room, worker_id, token
        self.take, self.lasts_s, self.threshold, self.answers, self.starts = take, lasts_s, threshold, answers, starts
        self.heard: list[dict[str, Any]] = []
        self.running: dict[str, dict[str, Any]] = {}
        self.started: list[str] = []
        self.refusal = "full"
        self.most = 0
        self.closed: tuple[int | None, str] | None = None
        self.at: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, http: aiohttp.ClientSession, **more: Any) -> "Scripted":
        """Connect, register, and tell the first status as a worker of that kind does."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self.socket = await http.ws_connect(f"{self.url}/agent", headers=headers, **more)
        self.closed = None
        self._reading = asyncio.ensure_future(self._read())
        capabilities = list(CAPABILITIES) if self.ours else SDK
        await self.say(
            "register", worker_id=self.id, agent_name=self.agent, capabilities=capabilities, registry_uuid="default",
            token=self.token or "its own token", load_threshold=self.threshold, max_processes=self.room,
        )  # fmt: skip
        answer = await self.until(lambda: self._last("register"), "the answer to register")
        self.id = answer.get("worker_id") or self.id
        if self.ours and answer["success"]:
            for job_id in self.running:
                await self.update(job_id, "running" if job_id in self.started else "pending")
            await self.status()
        return self

    async def status(self, status: str = "available", load: float = 0.0, count: int | None = None) -> None:
        """Tell how it fares."""
        number = len(self.running) if count is None else count
        await self.say(
            "status_update", worker_id=self.id, agent_name=self.agent, status=status, load=load, job_count=number
        )

    async def update(self, job_id: str, status: str, error: str | None = None) -> None:
        """Tell of a job; an end of it is its end."""
        if status in ("completed", "failed", "cancelled"):
            self.running.pop(job_id, None)
            self._changed.set()
        await self.say("job_update", job_id=job_id, status=status, **({"error": error} if error else {}))

    async def answer(self, job_id: str, available: bool = True, error: str | None = None) -> None:
        """Answer an offer."""
        more = {"token": self.token or "its own token"} if available else {"error": error or self.refusal}
        await self.say("availability_response", job_id=job_id, available=available, **more)

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def until(self, check: Callable[[], Any], what: str) -> Any:
        """Wait until something that it was told makes this true."""
        async with asyncio.timeout(WAIT_S):
            while not (result := check()):
                self._changed.clear()
                await self._changed.wait()
        return result

    async def offered(self, number: int = 1) -> dict[str, Any]:
        """Its last offer, when it has had so many."""
        found = await self.until(lambda: len(self.of("availability_request")) >= number, f"{number} offers")
        assert found
        return self.of("availability_request")[-1]

    async def assigned(self, number: int = 1) -> dict[str, Any]:
        """Its last assignment, when it has had so many."""
        await self.until(lambda: len(self.of("job_assignment")) >= number, f"{number} assignments")
        return self.of("job_assignment")[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What it was told of that kind."""
        return [message for message in self.heard if message["type"] == kind]

    async def drop(self) -> None:
        """Lose the connection without a word, as a machine does that lost its power."""
        self.socket._response.connection.transport.abort()  # type: ignore[union-attr]
        await self._reading

    async def close(self) -> None:
        """Leave politely."""
        await self.socket.close()
        await self._reading
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finished(self) -> tuple[int | None, str]:
        """How the registry closed the connection."""
        await asyncio.wait_for(asyncio.shield(self._reading), WAIT_S)
        assert self.closed is not None
        return self.closed

    def _last(self, kind: str) -> Any:
        found = self.of(kind)
        return found[-1] if found and self._fresh(found[-1]) else None

    def _fresh(self, message: dict[str, Any]) -> bool:
        return bool(message.get("link") is self.socket)

    async def _read(self) -> None:
        socket, reason = self.socket, ""
        while True:
            frame = await socket.receive()
            if frame.type is aiohttp.WSMsgType.CLOSE:
                reason = str(frame.extra or "")
            if frame.type is not aiohttp.WSMsgType.TEXT:
                break
            message = json.loads(frame.data)
            self.heard.append({**message, "link": socket})
            await self._obey(message)
            self._changed.set()
        self.closed = (socket.close_code, reason)
        self._changed.set()

    async def _obey(self, message: dict[str, Any]) -> None:
        if message["type"] == "availability_request" and self.answers:
            await self.answer(message["job_id"], self.take)
        elif message["type"] == "job_assignment":
            job_id = message["job_id"]
            self.running[job_id] = message
            self.at[job_id] = time.monotonic()
            self.most = max(self.most, len(self.running))
            if self.starts:
                self.started.append(job_id)
                await self.update(job_id, "running")
            if self.lasts_s is not None:
                self._later(self._end(job_id))
        elif message["type"] == "job_termination" and self.ours and message["job_id"] in self.running:
            await self.update(message["job_id"], "cancelled")

    async def _end(self, job_id: str) -> None:
        await asyncio.sleep(self.lasts_s or 0)
        if job_id in self.running and not self.socket.closed:
            await self.update(job_id, "completed")
            await self.status(load=len(self.running) / self.room)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Api:
    """The routes of a registry."""

    def __init__(self, url: str, http: aiohttp.ClientSession, token: str = "") -> None:
        self.url, self.http, self.token = url, http, token

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        given = {"Authorization": self.token, **headers} if self.token else headers
        async with self.http.request(method, f"{self.url}{path}", json=body, headers=given) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def dispatch(self, agent: str = "A", room: str = "r", **more: Any) -> tuple[int, Any]:
        """A job."""
        return await self.call("POST", "/v2/agent/dispatch", {"agentId": agent, "meetingId": room, **more})

    async def given(self, agent: str = "A", **more: Any) -> str:
        """The id of a job that a worker accepted."""
        status, answer = await self.dispatch(agent, **more)
        assert status == 200, answer
        return str(answer["data"]["jobId"])

    async def job(self, job_id: str) -> dict[str, Any]:
        """A job."""
        status, found = await self.call("GET", f"/jobs/{job_id}")
        assert status == 200, found
        return dict(found)

    async def workers(self) -> list[dict[str, Any]]:
        """All workers."""
        return list((await self.call("GET", "/workers"))[1]["workers"])

    async def counters(self) -> dict[str, int]:
        """What was counted."""
        return dict((await self.call("GET", "/stats"))[1]["counters"])

    async def until(self, check: Callable[[dict[str, Any]], Any], what: str) -> Any:
        """Wait, by the stream of events, until the state makes this true."""
        async with asyncio.timeout(WAIT_S):
            async for state in self.states():
                if result := check(state):
                    return result
        raise AssertionError(f"the stream ended before: {what}")

    async def until_job(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """A job, when it is in one of these states."""
        found = await self.until(
            lambda state: state["jobs"].get(job_id, {}).get("status") in statuses and state["jobs"][job_id],
            f"job {job_id} is {statuses}",
        )
        return dict(found)

    async def states(self) -> AsyncIterator[dict[str, Any]]:
        """The state, folded from the stream: `jobs` and `workers` by id."""
        headers = {"Authorization": self.token} if self.token else {}
        async with self.http.ws_connect(f"{self.url}/events", headers=headers, max_msg_size=0) as socket:
            state: dict[str, Any] = {"jobs": {}, "workers": {}}
            async for frame in socket:
                message = json.loads(frame.data)
                if message["type"] == "snapshot":
                    message = message["state"]
                    state = {"jobs": {}, "workers": {}}
                for name in message.get("workers_gone", ()):
                    state["workers"].pop(name, None)
                for kind in ("jobs", "workers"):
                    state[kind].update({item["id"]: item for item in message[kind]})
                yield {**state, "registry": message["registry"], "counters": message["counters"]}


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections without a bound."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http


class Serving:
    """A registry within the test, on a real port."""

    def __init__(self, http: aiohttp.ClientSession, service: Service, door: Door, url: str, token: str) -> None:
        self.http, self.service, self.door, self.url = http, service, door, url
        self.api = Api(url, http, token)
        self.workers: list[Scripted] = []
        self.log: list[str] = []

    async def worker(self, **more: Any) -> Scripted:
        """A worker that registered."""
        worker = Scripted(self.url, **{"token": self.api.token, **more})
        self.workers.append(worker)
        return await worker.open(self.http)

    @property
    def counters(self) -> dict[str, int]:
        """What was counted."""
        return self.service.core.desk.counters


@asynccontextmanager
async def serving(token: str = "", port: int = 0, heartbeat_s: float = 15.0, **limits: Any) -> AsyncIterator[Serving]:
    """Serve, and end as on a signal; afterwards nothing of it is left."""
    log: list[str] = []
    gate = Gate("127.0.0.1", lambda: token or None)
    service = Service(Limits(**limits), lambda level, text: log.append(f"{level} {text}"), gate.wrong)
    service.heartbeat_s = heartbeat_s
    door = Door(service, gate, None)
    async with session() as http:
        url = await door.open(bind("127.0.0.1", port))
        at = Serving(http, service, door, url, token)
        at.log = log
        try:
            yield at
        finally:
            await door.close()
            for worker in at.workers:
                await worker.close()
    assert not [line for line in log if "a bug of ours" in line]
    assert not service.links
    assert not service.followers
