"""Jobs shared by workers through a registry while one of them is killed and the registry restarted."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import Worker
from tests.registry.conftest import Registry
from tests.registry.sharing import Customer, most_at_once, registered
from tests.workers import free_port

JOBS = 300


async def test_a_customer_that_fails_is_not_waited_for(tmp_path: Path) -> None:
    async def nonsense(request: web.Request) -> web.Response:
        return web.json_response(["no job"])

    app = web.Application()
    app.router.add_post("/v2/agent/dispatch", nonsense)
    async with TestServer(app) as server:
        customer = Customer(str(server.make_url("")), [tmp_path / "ledger"], 1, at_once=1, seconds=0.0)
        customer.start()
        with pytest.raises(TypeError):
            await customer.until_finished(1)


@pytest.mark.timeout(180)  # a bound on hanging
async def test_jobs_are_done_once_each_while_a_worker_is_killed_and_the_registry_restarted(
    start_registry: Callable[..., Registry], start_worker: Callable[..., Worker]
) -> None:
    port = free_port()
    flags = ("--port", str(port), "--grace", "2")
    registry = start_registry(*flags)
    url = f"http://127.0.0.1:{port}"
    workers = [
        start_worker("lingering.py", "--register", "--registry-url", url, "--max-processes", str(most))
        for most in (4, 2, 2)
    ]
    await registered(url, 3)
    customer = Customer(url, [worker.ledger for worker in workers], JOBS, at_once=12, seconds=0.05)
    customer.start()
    await customer.until_finished(100)
    shares = Counter({most: len(worker.entries()) for most, worker in zip((4, 2, 3), workers, strict=True)})
    assert shares[4] > shares[2], "jobs are shared by capacity"
    workers[2].process.kill()
    await customer.until_finished(200)
    assert await asyncio.to_thread(registry.end) == 0
    start_registry(*flags)
    await customer.all_done()
    finished = Counter(entry["n"] for entry in customer.entries("finish"))
    assert finished == Counter(range(1, JOBS + 1)), "each once, by what the jobs wrote"
    assert [most_at_once(worker.ledger) <= most for most, worker in zip((4, 2), workers, strict=False)] == [True, True]
