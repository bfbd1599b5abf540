"""The registry: dispatches a second, what a thousand workers cost at rest, and its part of a job's start.

The client's side speaks both protocols by hand: it must cost less than what is measured.
"""

import asyncio
import json
import os
import resource
import struct
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.benchmarks.figures import Figure
from tests.benchmarks.kernel import cpu_s
from tests.benchmarks.worker import command
from tests.conftest import child_environment
from workbench.model.wire import CAPABILITIES

WORKERS, ROOM, AT_ONCE, JOBS = 20, 20, 64, 4000
MANY, REST_S, PING_S = 1000, 10.0, 30.0
GOAL_RATE, GOAL_REST, GOAL_P50_MS, GOAL_P95_MS = 1000.0, 5.0, 5.0, 10.0
REGISTER = {
    "type": "register", "worker_id": "", "agent_name": "A", "capabilities": list(CAPABILITIES),
    "registry_uuid": "default", "load_threshold": 1.0, "max_processes": ROOM,
}  # fmt: skip
STATUS = '{"type":"status_update","status":"available","load":0.0,"job_count":0}'
BODY = b'{"agentId":"A","meetingId":"room"}'
POST = (
    b"POST /v2/agent/dispatch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class Worker(asyncio.Protocol):
    """Accepts every offer; a job is over as soon as it is assigned. `assigned_at` is when that was heard."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.assigned_at: dict[str, float] = {}
        self._data = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(
            b"GET /agent HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        """Frames of the registry: short ones, and never in parts."""
        self._data += data
        if not self._upgraded:
            head, found, self._data = self._data.partition(b"\r\n\r\n")
            if not found:
                self._data = head
                return
            self._upgraded = True
            self._say(json.dumps(REGISTER))
        while len(self._data) >= 2:
            size, at = self._data[1] & 127, 2
            if size == 126:
                size, at = struct.unpack(">H", self._data[2:4])[0], 4
            if len(self._data) < at + size:
                return
            code, body = self._data[0] & 15, self._data[at : at + size]
            self._data = self._data[at + size :]
            self._hear(code, body)

    def _hear(self, code: int, body: bytes) -> None:
        if code == 9:
            self._frame(0x8A, body)
        elif b'"register"' in body:
            self._say(STATUS)
            self.ready.set_result(None)
        elif b'"availability_request"' in body:
            self._say(f'{{"type":"availability_response","job_id":"{_job(body)}","available":true}}')
        elif b'"job_assignment"' in body:
            job = _job(body)
            self.assigned_at[job] = time.perf_counter()
            for status in ("running", "completed"):
                self._say(f'{{"type":"job_update","job_id":"{job}","status":"{status}"}}')

    def beat(self) -> None:
        """A ping and a status."""
        self._say(STATUS)
        self._frame(0x89, b"")

    def _say(self, text: str) -> None:
        self._frame(0x81, text.encode())

    def _frame(self, first: int, body: bytes) -> None:
        size = len(body)
        head = bytes((first, 128 | size)) if size < 126 else struct.pack(">BBH", first, 254, size)
        self.transport.write(head + b"\0\0\0\0" + body)  # masked by zeros


class Client(asyncio.Protocol):
    """One dispatch after the other on a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self._data = transport, b""

    def data_received(self, data: bytes) -> None:
        """An answer is whole when its body is."""
        self._data += data
        head, _, body = self._data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if length and len(body) >= int(length):
            self._data = b""
            self._answer.set_result((head[9:12], body))

    async def dispatch(self) -> str:
        """A job; its id."""
        self._answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self.transport.write(POST)
        status, body = await self._answer
        if status != b"200":
            raise RuntimeError(f"not assigned: {body.decode()}")
        return str(json.loads(body)["data"]["jobId"])


def _job(body: bytes) -> str:
    return body.partition(b'"job_id": "')[2].partition(b'"')[0].decode()


@asynccontextmanager
async def serving(workers: int) -> AsyncIterator[tuple[int, int, list[Worker]]]:
    """A registry's process and port, with so many workers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = subprocess.Popen(
        [*command(), "registry", "--port", "0", "--log-format", "json"], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=child_environment(),
    )  # fmt: skip
    assert process.stderr is not None
    joined: list[Worker] = []
    try:
        started = json.loads(await asyncio.to_thread(process.stderr.readline))
        port = int(started["url"].rpartition(":")[2])
        reading = asyncio.create_task(asyncio.to_thread(process.stderr.read))
        for _ in range(workers):
            _, worker = await asyncio.get_running_loop().create_connection(Worker, "127.0.0.1", port)
            await worker.ready
            joined.append(worker)
        yield process.pid, port, joined
    finally:
        for worker in joined:
            worker.transport.abort()
        process.terminate()
        await asyncio.to_thread(process.wait)
        await reading
        process.stderr.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def registry_dispatch(rounds: int = 3) -> list[Figure]:
    """Jobs through one registry to 20 workers: how many a second, and how soon a single one is assigned."""
    rates, costs, assigned_ms, told_ms = [], [], [], []
    async with serving(WORKERS) as (pid, port, workers):
        loop = asyncio.get_running_loop()
        clients = [(await loop.create_connection(Client, "127.0.0.1", port))[1] for _ in range(AT_ONCE)]
        await _pour(clients, JOBS // 4)
        for _ in range(rounds):
            used, began = cpu_s(pid), time.perf_counter()
            await _pour(clients, JOBS)
            rates.append(JOBS / (time.perf_counter() - began))
            costs.append((cpu_s(pid) - used) / JOBS * 1e6)
        for _ in range(200):
            began = time.perf_counter()
            job = await clients[0].dispatch()
            told_ms.append((time.perf_counter() - began) * 1e3)
            assigned_ms.append(next((w.assigned_at[job] - began) * 1e3 for w in workers if job in w.assigned_at))
            await asyncio.sleep(0.005)
        for client in clients:
            client.transport.close()
    return [
        Figure(f"registry_dispatch {WORKERS} workers", rates, "/s", GOAL_RATE, more_is_better=True),
        Figure("  the registry's CPU for one", costs, "us"),
        Figure("registry_dispatch one, to its assignment p50", assigned_ms, "ms", GOAL_P50_MS),
        Figure("registry_dispatch one, to its assignment p95", assigned_ms, "ms", GOAL_P95_MS, judged="p95"),
        Figure("  to the answer of who dispatched it", told_ms, "ms"),
    ]


async def _pour(clients: list[Client], count: int) -> None:
    left = iter(range(count))

    async def one(client: Client) -> None:
        for _ in left:
            await client.dispatch()

    await asyncio.gather(*map(one, clients))


async def _ping(workers: list[Worker]) -> None:
    """Each pings and tells its status once in `ping_interval`, as a worker does by default."""
    while True:
        for worker in workers:
            worker.beat()
            await asyncio.sleep(PING_S / len(workers))


async def registry_idle(rounds: int = 3) -> list[Figure]:
    """Share of a core that a thousand registered workers take at rest: they and the registry ping each other."""
    values = []
    async with serving(MANY) as (pid, _, workers):
        pinging = asyncio.ensure_future(_ping(workers))
        await asyncio.sleep(2.0)
        for _ in range(rounds):
            used, began = cpu_s(pid), time.monotonic()
            await asyncio.sleep(REST_S)
            values.append(100 * (cpu_s(pid) - used) / (time.monotonic() - began))
        pinging.cancel()
        with open(f"/proc/{pid}/statm", encoding="ascii") as pages:
            memory = int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return [
        Figure(f"registry_idle {MANY} workers", values, "%", GOAL_REST),
        Figure(f"  resident memory with {MANY} workers", [memory], "MB"),
    ]
