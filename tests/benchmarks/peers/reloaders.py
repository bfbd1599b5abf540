"""Three that run code and load it again when it is saved, each over a module of its own with the same text."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.benchmarks.reloads import put
from tests.benchmarks.stream import LIMIT_S, Watch
from tests.benchmarks.worker import Worker, ready
from tests.conftest import child_environment
from tests.ledger import entries

PROGRAMS = Path(__file__).with_name("reloaded")
SILENT_S = 2.0  # whoever has not answered by then does not


class Project:
    """The folder of one of them: its program, and the module that is saved."""

    def __init__(self, folder: Path, imports: str) -> None:
        self.folder, self._imports, self.version = folder / "project", imports, 0
        self.stamps_file = folder / "stamps"
        shutil.copytree(PROGRAMS, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.save()

    def save(self, damage: str = "") -> float:
        """Save the module with its next version; when that was."""
        self.version += 1
        return put(self.folder / "part.py", f"{self._imports}\nVERSION = {self.version}\n{damage}\n")

    def stamps(self) -> list[dict[str, Any]]:
        """What the program wrote."""
        return entries(self.stamps_file)

    async def stamp(self, limit_s: float = LIMIT_S, **wanted: Any) -> dict[str, Any]:
        """Wait until the program wrote this.

        Raises:
            TimeoutError: it did not.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for entry in reversed(self.stamps()):
                if wanted.items() <= entry.items():
                    return entry
            await asyncio.sleep(0.001)
        raise TimeoutError(f"not written within {limit_s:g} s: {wanted}")


class Workbench:
    """Ours, headless, as somebody else's worker would be run: `--reload`."""

    name, first, second = "workbench", "a process is idle", "a job's first line"

    def __init__(self, project: Project, worker: Worker, watch: Watch) -> None:
        self.project, self._worker, self._watch = project, worker, watch
        self._works = 0

    async def serves(self, version: int) -> tuple[float, float]:
        """When the code of a version is ready, and when it does the first work."""
        since = self._watch.state.worker.generation
        idle = await self._watch.until(
            lambda state: any(p.generation > since and p.state == "idle" for p in state.processes.values())
        )
        while True:
            began = await self.project.stamp(what="began", work=await self.begin(0))
            if began["version"] == version:
                return idle.at, began["at"]

    async def begin(self, seconds: float) -> int:
        """Hand over work that takes so long; its number."""
        self._works += 1
        await self._worker.dispatch(work=self._works, seconds=seconds)
        return self._works

    async def answers(self) -> int | None:
        """The version that does work just now; None when none does."""
        with suppress(TimeoutError):
            began = await self.project.stamp(SILENT_S, what="began", work=await self.begin(0))
            return int(began["version"])
        return None


class Uvicorn:
    """`uvicorn --reload`."""

    name, first, second = "uvicorn --reload", "the app is up", "a request is answered"

    def __init__(self, project: Project, port: int) -> None:
        self.project, self._port = project, port
        self._works = 0
        self._asking: set[asyncio.Task[bytes]] = set()

    async def serves(self, version: int) -> tuple[float, float]:
        """When the app of a version is up, and when it has answered. Nobody asks before: who asks holds it up."""
        up = await self.project.stamp(what="up", version=version)
        self._works += 1
        if await asyncio.wait_for(self._ask(0), LIMIT_S) != str(version).encode():
            raise RuntimeError("another version than the one that is up has answered")
        return up["at"], time.monotonic()

    async def begin(self, seconds: float) -> int:
        """Make a request that takes so long; its number."""
        self._works += 1
        asking = asyncio.ensure_future(self._ask(seconds))
        self._asking.add(asking)  # an answer that is cut is seen by what the app wrote
        return self._works

    async def answers(self) -> int | None:
        """The version that answers a request just now; None when none does."""
        self._works += 1
        with suppress(TimeoutError, OSError):
            return int(await asyncio.wait_for(self._ask(0), SILENT_S))
        return None

    async def _ask(self, seconds: float) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"GET /{self._works}/{seconds} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return (await reader.read()).rpartition(b"\r\n\r\n")[2]
        finally:
            writer.close()


class Watchfiles:
    """The command that `watchfiles` comes with."""

    name, first, second = "watchfiles", "the script's first line", ""

    def __init__(self, project: Project) -> None:
        self.project = project

    async def serves(self, version: int) -> tuple[float, float]:
        """When the script of a version begins its work."""
        began = (await self.project.stamp(what="began", version=version))["at"]
        return began, began

    async def begin(self, seconds: float) -> int:
        """The script works by itself when it is started: nothing to do."""
        return 0

    async def answers(self) -> int | None:
        """The version whose script runs just now; None when none does."""
        await asyncio.sleep(SILENT_S)
        last = self.project.stamps()[-1]
        return int(last["version"]) if os.path.exists(f"/proc/{last['pid']}") else None


Reloader = Workbench | Uvicorn | Watchfiles


@asynccontextmanager
async def workbench(imports: str, *flags: str, seconds: float = 0) -> AsyncIterator[Reloader]:
    """Ours, ready."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), imports)
        async with ready(project.folder / "agent.py", "--reload", *flags, STAMPS=str(project.stamps_file)) as both:
            await both[1].until(lambda state: state.reload.watched)
            yield Workbench(project, *both)


@asynccontextmanager
async def uvicorn(python: str, imports: str, *, seconds: float = 0) -> AsyncIterator[Reloader]:
    """uvicorn over its app, up."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"-m uvicorn app:app --reload --reload-dir . --port {port} --log-level warning"
    async with _program([python, *words.split()], imports, 0) as project:
        await project.stamp(what="up", version=project.version)
        yield Uvicorn(project, port)


@asynccontextmanager
async def watchfiles(imports: str, *, seconds: float = 0) -> AsyncIterator[Reloader]:
    """The command over its script, which has begun."""
    command = [sys.executable, "-m", "watchfiles", f"{sys.executable} script.py", "."]
    async with _program(command, imports, seconds) as project:
        await project.stamp(what="began", version=project.version)
        yield Watchfiles(project)


@asynccontextmanager
async def _program(command: list[str], imports: str, seconds: float) -> AsyncIterator[Project]:
    """A program in a group of its own, which is ended with it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = Project(Path(name), imports)
        with (Path(name) / "output").open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=project.folder,
                env=child_environment(STAMPS=str(project.stamps_file), SECONDS=str(seconds)), start_new_session=True,
            )  # fmt: skip
        try:
            yield project
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
