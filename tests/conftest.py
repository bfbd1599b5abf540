"""Real workers for the tests, and the promise that nothing is left of them."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.ledger import entries
from workbench.client.address import Address
from workbench.client.client import Client

AGENTS = Path(__file__).parent / "agents"
# The same examples in each run, however slow the machine is just now.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("tests")
# Apps of the tests are made and thrown away by the hundred, in a heap of ten times their size: looked through as often
# as the interpreter would, it took a fifth of their time.
GC_THRESHOLDS = 50_000, 20, 100
WAIT_S = float(os.environ.get("TEST_WAIT_S", "60"))  # a bound on hanging, never on speed


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a user's machine: without this machine's Python switches.

    A test that speaks TLS names the CA it trusts. To the others it would be lost time: aiohttp reads every certificate
    there is when it is imported, a sixth of a worker's start.
    """
    left_out = ("PYTHONUN", "PYTHONDONT", "WORKBENCH_", "COLUMNS", "LINES", "PYTEST_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return {**clean, "SSL_CERT_FILE": os.devnull, **more}


def wait_until(check: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Poll ground truth outside this process (files, the process table) until it holds."""
    deadline = time.monotonic() + timeout_s
    while not (result := check()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.005)
    return result


def tagged(tag: str, variable: str = "TEST_TAG") -> list[int]:
    """Every living process whose environment carries `tag`."""
    found, mark = [], f"{variable}={tag}".encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if mark in file.read().split(b"\0"):  # a zombie has none
                found.append(int(name))
    return sorted(found)


def kill_tagged(tag: str, variable: str = "TEST_TAG") -> list[int]:
    """SIGKILL every process that carries `tag`, also those that they make meanwhile; who that was."""
    killed: list[int] = []
    while found := tagged(tag, variable):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += found
        time.sleep(0.01)
    return sorted(set(killed))


class Worker:
    """A headless worker, as a user would start it."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path, tag: str) -> None:
        self.process, self.folder, self.tag = process, folder, tag
        self.ledger = folder / "ledger"

    @property
    def socket(self) -> str:
        return str(self.folder / "workbench" / f".{self.process.pid}.socket")

    def client(self) -> Client:
        return Client(Address(path=self.socket))

    def entries(self) -> list[dict[str, Any]]:
        """What the jobs themselves wrote."""
        return entries(self.ledger)

    def ended(self) -> int:
        return self.process.wait(WAIT_S)

    def output(self) -> str:
        """Everything it printed on stderr; after its end."""
        return (self.folder / "stderr").read_text()


@contextlib.contextmanager
def workers_in(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers below a folder; afterwards none of their processes may be left."""
    started: list[Worker] = []

    def start(agent: str | Path, *flags: str, wait: bool = True, stderr: str = "", **environment: str) -> Worker:
        tag = uuid.uuid4().hex
        folder = tmp_path / f"w{len(started)}"
        folder.mkdir()
        path = AGENTS / agent if isinstance(agent, str) else agent
        given = list(flags) if any(f.startswith("--port") for f in flags) else ["--port", "0", *flags]
        with open(stderr or folder / "stderr", "w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "workbench", str(path), "--no-tui", *given],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, text=True, cwd=tmp_path,
                env=child_environment(**{
                    "XDG_RUNTIME_DIR": str(folder), "TEST_TAG": tag, "LEDGER": str(folder / "ledger"),
                    "WORKBENCH_LOAD_THRESHOLD": "inf",  # whatever else this machine does; a flag is stronger
                    **environment,
                }),
            )  # fmt: skip
        worker = Worker(process, folder, tag)
        started.append(worker)
        if wait:
            wait_until(lambda: os.path.exists(worker.socket) or process.poll() is not None, "the worker listens")
        return worker

    yield start
    problems = [problem for worker in started for problem in _end(worker)]
    if problems:
        pytest.fail("\n".join(problems))


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start workers; after the test none of their processes may be left."""
    with workers_in(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of `ledger.py` for all tests of a module that only ask, or are refused: each must leave it as it was."""
    with workers_in(tmp_path_factory.mktemp("one")) as start:
        yield start("ledger.py")


def _end(worker: Worker) -> Iterator[str]:
    """End a worker and all that is left of it, and tell what should have gone without force."""
    # Twice the same signal at once is one signal: ask until it goes, the third kills the tree.
    for _ in range(40):
        if worker.process.poll() is not None:
            break
        worker.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.5)
    else:
        worker.process.kill()
        worker.process.wait()
        yield f"the worker {worker.process.pid} did not end on its third signal"
    try:
        wait_until(lambda: not tagged(worker.tag), f"no process left of {worker.process.pid}")
    except AssertionError as problem:
        yield f"{problem}; still there: {kill_tagged(worker.tag)}"
