"""The tokens of the link: where they come from, and where they never go."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Worker
from tests.defences import defence
from tests.link.conftest import first
from tests.link.looking import begun, linked
from tests.link.scripted import Scripted
from tests.tls import CA, server_context

Register = Callable[..., Worker]
LINK = "workbench/backend/link.py"
DIAL = "workbench/backend/dial.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


@pytest.mark.option("auth_token_file")
@defence(
    (
        LINK,
        "        registry, options = self._registry(), self._options",
        "        registry, options = self._first, self._options",
    )
)
async def test_fault_J14_a_token_that_expired_is_read_anew_and_jobs_go_on(
    registry: Scripted, register: Register, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first-token\n")
    worker = register("--auth-token-file", str(file))
    caller = await first(registry)
    assert caller.headers["Authorization"] == "Bearer first-token"
    await begun(caller, worker, "j1", "wait")
    registry.status = 401
    async with worker.client() as client:
        caller.reset()
        link = await linked(client, "waiting", attempt=1)
        await client.request("POST", "/link")
        link = await linked(client, "waiting", attempt=2)
        assert "does not know the token" in link.why
        file.write_text("second-token\n")
        registry.status = 101
        await client.request("POST", "/link")
        again = await registry.caller(2)
        assert again.headers["Authorization"] == "Bearer second-token"
        await again.heard("job_update", job_id="j1", status="running")
        await client.end_job("j1")
        await again.heard("job_update", job_id="j1", status="cancelled")
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.ended) == 0
    assert "first-token" not in worker.output()
    assert "second-token" not in worker.output()


@pytest.mark.option("auth_token")
@defence(
    (
        DIAL,
        'headers = {"Authorization": f"Bearer {registry.token}"} if registry.token else {}',
        "headers: dict[str, str] = {}",
    )
)
async def test_the_token_of_the_environment_is_brought(registry: Scripted, register: Register) -> None:
    register(VIDEOSDK_AUTH_TOKEN="of-the-environment")
    assert (await first(registry)).headers["Authorization"] == "Bearer of-the-environment"


@pytest.mark.option("register")
@pytest.mark.option("registry_url")
@defence(("workbench/cli/registering.py", "        if not settings.options.register:", "        if True:"))
async def test_register_and_registry_url_say_whether_and_where(
    registry: Scripted, start_worker: Register, tmp_path: Path
) -> None:
    agent = tmp_path / "bot.py"
    body = "from workbench import Options, WorkerJob\nasync def entrypoint(ctx): pass\n"
    agent.write_text(
        f"{body}WorkerJob(entrypoint, options=Options(register=True, registry_url={registry.url!r})).start()\n"
    )
    start_worker(agent)
    assert (await registry.caller()).said[0]["agent_name"] == "bot"


async def test_the_sdks_name_for_its_api_is_where_the_registry_is_asked_for(
    start_worker: Register, tmp_path: Path
) -> None:
    agent = tmp_path / "bot.py"
    body = "from workbench import Options, WorkerJob\nasync def entrypoint(ctx): pass\n"
    options = "Options(register=True, signaling_base_url='127.0.0.1:1', auth_token='some-token')"
    agent.write_text(f"{body}WorkerJob(entrypoint, options={options}).start()\n")
    worker = start_worker(agent)
    async with worker.client() as client:
        link = await linked(client, "waiting")
    assert link.url == "https://127.0.0.1:1"


def test_videosdk_is_not_called_without_a_token(start_worker: Register) -> None:
    worker = start_worker("ledger.py", "--register", wait=False)
    assert worker.ended() == 2
    assert "set VIDEOSDK_AUTH_TOKEN" in worker.output()


@defence((DIAL, 'if found.startswith("ws://") and registry.url.startswith("https://")', "if False"))
async def test_fault_J15_no_token_travels_in_clear_because_an_api_said_so(start_worker: Register) -> None:
    async with Scripted().serving(tls=server_context()) as registry:
        registry.registry_url = "ws://192.0.2.1:8090"
        url = f"https://127.0.0.1:{registry.port}"
        more = {"SSL_CERT_FILE": str(CA), "VIDEOSDK_AUTH_TOKEN": "some-token"}
        worker = start_worker("ledger.py", "--register", "--registry-url", url, **more)
        async with worker.client() as client:
            assert "the token would travel in clear" in (await linked(client, "waiting")).why


async def test_fault_J1_a_ca_that_nobody_knows_is_named_with_its_cure(start_worker: Register) -> None:
    async with Scripted().serving(tls=server_context()) as registry:
        url = f"https://127.0.0.1:{registry.port}"
        worker = start_worker("ledger.py", "--register", "--registry-url", url, VIDEOSDK_AUTH_TOKEN="some-token")
        async with worker.client() as client:
            assert "SSL_CERT_FILE" in (await linked(client, "waiting")).why


@defence((LINK, "            self._begin()  # once more, at last", "            pass  # once more, at last"))
async def test_fault_J7_the_ends_are_told_at_last_when_the_registry_is_back_by_then(
    registry: Scripted, register: Register
) -> None:
    worker = register("--max-retry", "1")
    caller = await first(registry)
    await begun(caller, worker, "j1", "wait")
    async with worker.client() as client:
        registry.status = 503
        caller.reset()
        await linked(client, "failed")
        registry.status = 101
        await client.end_job("j1")
    again = await registry.caller(2)
    await again.heard("job_update", job_id="j1", status="cancelled")
    await again.gone.wait()
    assert await asyncio.to_thread(worker.ended) == 6
    assert "could not be told" not in worker.output()
