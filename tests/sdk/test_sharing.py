"""Workers of ours and one of the SDK's behind one registry: jobs are shared by capacity, each is done once."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Worker, child_environment
from tests.registry.conftest import Registry, start_registry  # noqa: F401  # a fixture
from tests.registry.sharing import Customer, most_at_once, registered
from tests.tls import CA, CERTIFICATE, KEY
from tests.workers import free_port

JOBS = 300
TOKEN = "token-of-the-test"


@pytest.fixture
def sdk_worker(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Start the SDK's own worker at the registry of that port; the ledger of its jobs."""
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> Path:
        folder = tmp_path / "sdk"
        folder.mkdir()
        ledger = folder / "ledger"
        agent = Path(__file__).parent / "agents" / "lingering.py"
        with (folder / "output").open("wb") as output:
            started.append(
                subprocess.Popen(
                    [sys.executable, str(agent)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
                    start_new_session=True, env=child_environment(
                        LEDGER=str(ledger), REGISTRY=f"127.0.0.1:{port}", PORT=str(free_port()), SSL_CERT_FILE=str(CA),
                        VIDEOSDK_AUTH_TOKEN=TOKEN,
                    ),
                )
            )  # fmt: skip
        return ledger

    yield start
    for process in started:  # its children outlive it
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(240)  # a bound on hanging
async def test_jobs_are_shared_with_a_worker_of_the_sdk_and_done_once_each(
    start_registry: Callable[..., Registry],  # noqa: F811
    start_worker: Callable[..., Worker],
    sdk_worker: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    port, token_file = free_port(), tmp_path / "token"
    token_file.write_text(TOKEN)
    flags = (
        "--port", str(port), "--grace", "2", "--tls-cert", str(CERTIFICATE), "--tls-key", str(KEY),
    )  # fmt: skip
    registry = start_registry(*flags)
    url, tls = f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=str(CA))
    more = {"SSL_CERT_FILE": str(CA), "VIDEOSDK_AUTH_TOKEN": TOKEN}
    agent = "lingering.py"
    workers = [
        start_worker(agent, "--register", "--registry-url", url, "--max-processes", str(most), **more)
        for most in (4, 2)
    ]
    theirs = sdk_worker(port)
    await registered(url, 3, tls)
    customer = Customer(url, [*(worker.ledger for worker in workers), theirs], JOBS, 12, 0.05, tls)
    customer.start()
    await customer.until_finished(100)
    workers[1].process.kill()
    await customer.until_finished(200)
    assert await asyncio.to_thread(registry.end) == 0
    start_registry(*flags)
    await customer.all_done()
    finished = Counter(entry["n"] for entry in customer.entries("finish"))
    assert finished == Counter(range(1, JOBS + 1)), "each once, by what the jobs wrote"
    assert most_at_once(workers[0].ledger) <= 4
    assert most_at_once(theirs) <= 2
    assert len(theirs.read_text().splitlines()) >= 20, "the SDK's worker had its share"
