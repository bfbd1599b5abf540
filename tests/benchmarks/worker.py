"""A headless worker, started as a user would, in a folder of its own."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.stream import LIMIT_S, Watch
from tests.conftest import child_environment
from tests.ledger import entries
from workbench.client.address import Address
from workbench.client.client import Client, wait_for

AGENTS = Path(__file__).parent / "agents"
NO_LOAD_LIMIT = ("--load-threshold", "inf")
HEAVY = "heavy" if importlib.util.find_spec("numpy") else "heavy without numpy"  # the interpreter is the worker's, too
KINDS = (("trivial", "trivial.py"), (HEAVY, "heavy.py"))


class Worker:
    """A running worker; `began` is when it was started."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, began: float) -> None:
        self.process, self.folder, self.began = process, folder, began
        self.client = Client(Address(path=str(folder / "workbench" / f".{process.pid}.socket")))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        """Follow its stream. Costs the worker what every client costs it."""
        watch = Watch()
        following = asyncio.ensure_future(watch.follow(self.client))
        try:
            await watch.until(lambda state: state.worker.pid)
            yield watch
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def dispatch(self, **metadata: Any) -> str:
        """Hand it a job that does what the metadata says; the job's id."""
        return str((await self.client.dispatch(None, metadata))["id"])

    def stamps(self) -> list[dict[str, Any]]:
        """What the jobs themselves wrote."""
        return entries(self.folder / "stamps")

    async def stamp(self, job_id: str, what: str) -> dict[str, Any]:
        """Wait until a job wrote that."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for entry in reversed(self.stamps()):
                if entry["job"] == job_id and entry["what"] == what:
                    return dict(entry)
            await asyncio.sleep(0.002)
        raise TimeoutError(f"job {job_id} did not write {what!r}")

    def stop(self) -> None:
        """End it: politely, then with what the kernel takes along."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def command() -> list[str]:
    """The `workbench` command of this interpreter."""
    script = Path(sys.executable).with_name("workbench")
    return [str(script)] if script.exists() else [sys.executable, "-m", "workbench"]


@asynccontextmanager
async def running(agent: str | Path, *flags: str, **environment: str) -> AsyncIterator[Worker]:
    """A worker that answers on its socket; it need not have loaded its agent yet."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        path = AGENTS / agent if isinstance(agent, str) else agent
        more = {"XDG_RUNTIME_DIR": name, "STAMPS": str(folder / "stamps"), **environment}
        with (folder / "stderr").open("wb") as errors:
            began = time.monotonic()
            process = subprocess.Popen(
                [*command(), str(path), "--no-tui", "--port", "0", *NO_LOAD_LIMIT, *flags],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder,
                env=child_environment(**more),
            )  # fmt: skip
        worker = Worker(process, folder, began)
        try:
            await _until_it_answers(worker)
            async with worker.client:
                yield worker
        finally:
            worker.stop()


async def _until_it_answers(worker: Worker) -> None:
    while not os.path.exists(worker.client.address.path):
        if worker.process.poll() is not None:
            raise RuntimeError(f"the worker ended at once:\n{(worker.folder / 'stderr').read_text()}")
        await asyncio.sleep(0.001)
    await wait_for(worker.client.address, LIMIT_S)


@asynccontextmanager
async def ready(
    agent: str | Path, *flags: str, idle: int = 1, **environment: str
) -> AsyncIterator[tuple[Worker, Watch]]:
    """A worker with `idle` processes waiting for jobs, and its stream."""
    given = ("--num-idle-processes", str(idle), "--max-processes", str(max(idle, 5)), *flags)
    async with running(agent, *given, **environment) as worker, worker.watched() as watch:
        await watch.until(lambda state: len(state.live("idle")) >= idle)
        yield worker, watch


def epoch_of(monotonic: float) -> float:
    """A monotonic time on the clock that events carry."""
    return monotonic + time.time() - time.monotonic()
