"""VideoSDK's own worker, unchanged, on a registry of ours."""

import asyncio
import contextlib
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import WAIT_S, child_environment, wait_until
from tests.ledger import entries
from tests.registry.conftest import start_registry  # noqa: F401
from tests.registry.scripted import Api
from tests.tls import CA, CERTIFICATE, KEY
from tests.workers import free_port


def _installed() -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version("videosdk-agents"))
    return False


pytestmark = pytest.mark.skipif(not _installed(), reason="the VideoSDK SDK is not installed")
TLS = ("--tls-cert", str(CERTIFICATE), "--tls-key", str(KEY))
BOT = Path(__file__).parent / "agents" / "registered.py"


@contextlib.asynccontextmanager
async def _api(url: str) -> AsyncIterator[Api]:
    """The routes of a registry with the tests' certificate."""
    trusting = ssl.create_default_context(cafile=str(CA))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting, limit=0)) as http:
        yield Api(url, http)


class Bot:
    """The agent's process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.ledger, self.log = folder / "ledger", folder / "bot.log"
        environment = child_environment(
            REGISTRY=url.removeprefix("https://"), PORT=str(free_port()), LEDGER=str(self.ledger),
            SSL_CERT_FILE=str(CA), VIDEOSDK_AUTH_TOKEN="any-token-of-ours",
        )  # fmt: skip
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, str(BOT)], stdout=log, stderr=log, env=environment)

    def wrote(self, what: str) -> list[str]:
        """The rooms of the jobs that wrote that."""
        return [entry["room"] for entry in entries(self.ledger) if entry["what"] == what]


@pytest.fixture
def start_bot(tmp_path: Path) -> Iterator[Callable[[str], Bot]]:
    """Start the agent; afterwards it is gone."""
    started: list[Bot] = []

    def start(url: str) -> Bot:
        started.append(Bot(tmp_path, url))
        return started[-1]

    yield start
    for bot in started:
        if bot.process.poll() is None:
            bot.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                bot.process.wait(20)
        bot.process.kill()
        bot.process.wait()


async def _joined(api: Api, bot: Bot) -> dict[str, Any]:
    """The worker, as the registry knows it."""
    found = await api.until(lambda state: state["workers"] or bot.process.poll() is not None, "it registered")
    assert found is not True, bot.log.read_text()
    (worker,) = found.values()
    return dict(worker)


async def test_its_jobs_from_first_to_last(start_registry: Any, start_bot: Any) -> None:  # noqa: F811
    registry = start_registry(*TLS)
    async with _api(registry.url) as api:
        bot = start_bot(registry.url)
        worker = await _joined(api, bot)
        assert (worker["kind"], worker["max_processes"], worker["agent_name"]) == ("videosdk", 2, "Registered")

        job = await api.given("Registered", room="returns", metadata={"seconds": 0.05})
        assert (await api.until_job(job, "completed"))["reason"] == "returned"
        job = await api.given("Registered", room="raises", metadata={"do": "raise"})
        ended = await api.until_job(job, "failed")
        assert (ended["reason"], "planned failure" in ended["error"]) == ("raised", True)

        rooms = [f"burst-{number}" for number in range(6)]
        answers = await asyncio.gather(*(
            api.dispatch("Registered", room=room, wait=120, metadata={"seconds": 0.1}) for room in rooms
        ))  # fmt: skip
        assert {status for status, _ in answers} == {200}
        for _, answer in answers:
            assert (await api.until_job(answer["data"]["jobId"], "completed", "failed"))["status"] == "completed"
        assert (await api.counters()).get("over_accepts", 0) == 0
        wait_until(lambda: set(rooms) <= set(bot.wrote("end")), "all six ran to their end")

        job = await api.given("Registered", room="aborted", metadata={"seconds": 60})
        await asyncio.to_thread(wait_until, lambda: "aborted" in bot.wrote("start"), "it runs")
        status, answer = await api.call("DELETE", f"/jobs/{job}")
        assert (status, "not supported by this worker" in answer["error"]) == (409, True)
        bot.process.send_signal(signal.SIGTERM)
        assert "its worker was shut down" in (await api.until_job(job, "cancelled"))["error"]
        assert "aborted" not in bot.wrote("end")
        assert "any-token-of-ours" not in json.dumps((await api.call("GET", "/stats"))[1])
        await asyncio.to_thread(bot.process.wait, WAIT_S)


async def test_a_job_outlives_the_registry_and_a_dead_process_is_suspected(
    start_registry: Any, start_bot: Any, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    port = str(free_port())
    first = start_registry(*TLS, "--port", port)
    async with _api(first.url) as api:
        bot = start_bot(first.url)
        worker = await _joined(api, bot)
        job = await api.given("Registered", room="outlives", metadata={"until": str(tmp_path / "go")})
        await asyncio.to_thread(wait_until, lambda: "outlives" in bot.wrote("start"), "it runs")
        first.process.kill()
        await asyncio.to_thread(first.process.wait)
        second = await asyncio.to_thread(start_registry, *TLS, "--port", port)
        assert second.url == first.url
        assert (await _joined(api, bot))["id"] == worker["id"]
        (tmp_path / "go").touch()
        ended = await api.until_job(job, "completed")
        assert "known from its worker only" in ended["notes"][0]
        assert "outlives" in bot.wrote("end")
        await api.until_job(await api.given("Registered", room="dies", metadata={"do": "die"}), "completed")
        swallowed = await api.until_job(await api.given("Registered", room="swallowed"), "completed")
        if "swallowed" not in bot.wrote("start"):  # else another of its processes took it
            assert "suspicious" in swallowed["notes"][0]
