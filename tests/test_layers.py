"""The base that later generations are forked from: what it saves, what it must never keep old, and how it fails."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.test_reload import reloaded
from tests.workers import nothing_is_left, of_worker, until, until_ready
from workbench.client.client import Client
from workbench.model.state import State

BASE = "workbench/process/base.py"
BASES = "workbench/supervisor/bases.py"
AGENT = """
import json, os
import lib
from ledger import note
from workbench import WorkerJob
from part import WORDS
async def entrypoint(ctx):
    note(ctx, "saw", lib=lib.VERSION, lib_pid=lib.IMPORTED_BY, words=WORDS, file=VERSION)
VERSION = {version}
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""
LIBRARY = """
import os
{more}
VERSION = {version}
IMPORTED_BY = os.getpid()
with open({ledger!r}, "a") as ledger:
    ledger.write(f"{{VERSION}}\\n")
"""


class Project:
    """An agent with a module of its own, and a library beside it that counts its imports."""

    def __init__(self, folder: Path) -> None:
        self.file, self.part = folder / "project" / "agent.py", folder / "project" / "part.py"
        self.library, self.imports = folder / "libraries" / "lib.py", folder / "imports"
        self.file.parent.mkdir()
        self.library.parent.mkdir()
        self.imports.touch()
        self.save(1)
        self.install(1)

    def save(self, version: int) -> None:
        self.file.write_text(AGENT.format(version=version))
        self.part.write_text(f"WORDS = 'words {version}'\n")

    def install(self, version: int, more: str = "") -> None:
        self.library.write_text(LIBRARY.format(version=version, more=more, ledger=str(self.imports)))

    def imported(self) -> list[str]:
        return self.imports.read_text().split()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    places = [str(made.library.parent), str(AGENTS), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
    return made


def bases(worker: Worker) -> list[psutil.Process]:
    """Those that wait for a save, by what the process table says."""
    found = []
    for child in of_worker(worker).children():
        try:
            if "-g0" in child.environ().get("WORKBENCH_PROCESS", ""):
                found.append(child)
        except psutil.Error:
            continue
    return found


def waiting(worker: Worker, *, but: int = 0) -> psutil.Process:
    """The base, once it sleeps: it has imported all, and waits."""

    def found() -> psutil.Process | None:
        there = [base for base in bases(worker) if base.pid != but]
        asleep = len(there) == 1 and Path(f"/proc/{there[0].pid}/wchan").read_text() not in ("0", "")
        return there[0] if asleep and there[0].num_fds() and _in_recv(there[0].pid) else None

    base: psutil.Process = wait_until(found, "a base waits")
    return base


def _in_recv(pid: int) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "47"  # recvmsg


async def saw(client: Client, worker: Worker) -> dict[str, Any]:
    """What a job sees of the code."""
    job = await client.dispatch()
    await until(client, lambda state: state.jobs[job["id"]].ended_at)
    (entry,) = [entry for entry in worker.entries() if entry["job"] == job["id"]]
    return dict(entry)


@defence(("workbench/process/zygote.py", "bytecode.keep_none_of_fresh_files()", "pass"))
async def test_with_layers_a_save_loads_the_project_anew_and_libraries_never(
    start_worker: Any, project: Project
) -> None:
    worker = start_worker(project.file, "--layers")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        base = waiting(worker)
        assert project.imported() == ["1", "1"], "by the first generation, and by the base"
        for version in (2, 3, 4):
            project.save(version)
            state = await reloaded(client)
            assert state.reload.problem is None
            assert state.reload.layered
            seen = await saw(client, worker)
            assert (seen["file"], seen["words"], seen["lib_pid"]) == (version, f"words {version}", base.pid)
    assert project.imported() == ["1", "1"]


async def test_without_layers_each_generation_loads_libraries_for_itself(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload=manual")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        base = waiting(worker)
        project.save(2)
        state = await reloaded(client)
        assert not state.reload.layered
        seen = await saw(client, worker)
        assert (seen["file"], seen["words"]) == (2, "words 2")
        assert seen["lib_pid"] != base.pid
    assert project.imported() == ["1", "1"], "the base has imported nothing"


@pytest.mark.parametrize("what", ["library", ".env"])
@defence((BASE, "if _stamp(file) != stamp", "if False"))
async def test_what_a_library_was_or_may_have_been_made_of_is_never_old(
    start_worker: Any, project: Project, what: str
) -> None:
    worker = start_worker(project.file, "--layers")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        old = waiting(worker)
        if what == "library":
            project.install(22)
        else:
            (project.file.parent / ".env").write_text("NAME=value\n")
        state = await reloaded(client)
        assert not state.reload.layered
        seen = await saw(client, worker)
        assert seen["lib"] == (22 if what == "library" else 1)
        assert seen["lib_pid"] != old.pid
        new = waiting(worker, but=old.pid)
        assert (await reloaded(client)).reload.layered
        assert (await saw(client, worker))["lib_pid"] == new.pid
    assert "has changed since it was imported" in worker.output()


async def test_a_library_that_is_new_in_the_project_is_in_the_base_from_then_on(
    start_worker: Any, project: Project
) -> None:
    worker = start_worker(project.file, "--layers")
    (project.library.parent / "other.py").write_text(project.library.read_text().replace("VERSION = 1", "VERSION = 77"))
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        old = waiting(worker)
        project.part.write_text("import other\nWORDS = 'more'\n")
        await reloaded(client)
        waiting(worker, but=old.pid)
        before = project.imported().count("77")
        await reloaded(client)
        assert (await saw(client, worker))["words"] == "more"
    assert project.imported().count("77") == before == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("import part", "part.py"),
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "threads"),
        ("import __main__, sys; sys.argv[0] == '-c' or __import__('os')._exit(7)", "left with exit code 7"),
    ],
)
async def test_libraries_that_no_base_can_have_are_loaded_with_every_save(
    start_worker: Any, project: Project, more: str, why: str
) -> None:
    if "exit" in why:  # it leaves where a base imports it, and nowhere else
        more = (
            "import sys; 'part' in sys.modules or hasattr(sys.modules['__main__'], 'json') or __import__('os')._exit(7)"
        )
    project.install(1, more)
    worker = start_worker(project.file, "--layers")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        wait_until(lambda: "--layers is not followed" in worker.output(), "it says so")
        for version in (2, 3):
            project.save(version)
            state = await reloaded(client)
            assert (state.reload.problem, state.reload.layered) == (None, False)
            seen = await saw(client, worker)
            assert (seen["file"], seen["words"]) == (version, f"words {version}")
    (line,) = [line for line in worker.output().splitlines() if "--layers is not followed" in line]
    assert why in line


@defence((BASES, "            self._spawn(zygote)\n        if base is not", "            pass\n        if base is not"))
async def test_a_base_that_dies_with_a_request_costs_no_reload(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload=manual")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        base = waiting(worker)
        base.suspend()
        project.save(2)
        await client.reload()
        base.kill()
        await until(client, lambda state: state.worker.generation == 2)
        assert (await saw(client, worker))["file"] == 2
        waiting(worker, but=base.pid)


@defence((BASES, "self._asked[zygote.generation][1].kill()", "pass"))
async def test_a_base_that_does_not_answer_is_given_up(start_worker: Any, project: Project) -> None:
    worker = start_worker(project.file, "--reload=manual", "--initialize-timeout", "3")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        base = waiting(worker)
        base.suspend()
        project.save(2)
        assert "initialize_timeout" in (await reloaded(client)).reload.problem["message"]
        assert (await saw(client, worker))["file"] == 1
        assert (await reloaded(client)).reload.problem is None
        assert (await saw(client, worker))["file"] == 2
    assert not base.is_running()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@defence(
    (
        BASE,
        "            if not data:\n                os._exit(0)",
        "            if not data:\n                time.sleep(3600)",
    ),
    ("workbench/process/zygote.py", "    lifeline.attach(LIFELINE_FD)\n    # Loading numpy", "    # Loading numpy"),
    ("workbench/process/zygote.py", "leftovers.end_all_of(self.supervisor, self.beats.helpers())", "pass"),
)
async def test_fault_G8_no_base_outlives_its_worker(start_worker: Any, project: Project, how: signal.Signals) -> None:
    worker = start_worker(project.file, "--layers")
    async with worker.client() as client:
        await until_ready(client)
    waiting(worker)
    worker.process.send_signal(how)
    worker.ended()
    if how == signal.SIGTERM:
        nothing_is_left(worker)
    wait_until(lambda: not _tagged(worker), "nothing is left")


def _tagged(worker: Worker) -> list[int]:
    from tests.conftest import tagged

    return tagged(worker.tag)


async def test_a_slip_in_a_file_is_told_before_the_imports_around_it(start_worker: Any, project: Project) -> None:
    project.install(1, "import time; time.sleep(1)")
    worker = start_worker(project.file, "--reload")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        await until(client, lambda state: state.reload.watched == 2)
        for file in (project.part, project.file):
            before = project.imported()
            text = file.read_text()
            file.write_text(text + "reply = (\n")
            state: State = await until(client, lambda state: state if state.reload.problem else None)
            assert state.reload.problem is not None
            assert Path(state.reload.problem["file"]).name == file.name
            assert state.reload.problem["line"] == len(text.splitlines()) + 1
            assert project.imported() == before, "nothing was executed"
            file.write_text(text + "MENDED = True\n")
            await until(client, lambda state: state.reload.problem is None and state.reload.step == "idle")
