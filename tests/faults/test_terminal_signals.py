"""Signals for a process that has no handlers yet, and those that a terminal sends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, child_environment, tagged, wait_until
from tests.defences import defence
from tests.workers import begin, of_worker, processes, run, until, until_ready, zygotes

AGENT = "leaving.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


@defence((
    "workbench/process/forking.py",
    "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))",
    "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
))  # fmt: skip
async def test_fault_F6_a_signal_to_a_process_just_forked_does_what_it_does_to_any(
    start_worker: Any, tmp_path: Path
) -> None:
    barrier = tmp_path / "barrier"
    barrier.mkdir()
    (barrier / "open").touch()
    worker = start_worker(AGENT, "--max-processes", "2", FORK_BARRIER=str(barrier))
    async with worker.client() as client:
        await until_ready(client)
        for number, survives in ((signal.SIGINT, True), (signal.SIGTERM, False)):
            await until(client, lambda state: state.live("idle") and len(state.processes) == 1)
            (barrier / "open").unlink()
            before = {place.name for place in barrier.iterdir()}
            await run(client, "return")  # and another process is forked in place of its own
            between = await just_forked(barrier, before)
            (barrier / f"{between}.go").touch()
            forked = await just_forked(barrier, {*before, str(between), f"{between}.go"})
            os.kill(forked, number)
            (barrier / "open").touch()
            await until(client, lambda state: state.live("idle"))
            assert (forked in [p["pid"] for p in await processes(client, "idle")]) == survives
            assert (await run(client, "return"))["status"] == "completed"
    assert not (barrier / "swallowed").exists(), "it was for the process, and the agent's handler had it"


async def just_forked(barrier: Path, before: set[str]) -> int:
    """The pid of the process that has come to the barrier."""
    async with asyncio.timeout(WAIT_S):
        while not (new := {place.name for place in barrier.iterdir()} - before):
            await asyncio.sleep(0.005)
    return int(new.pop())


@defence(("workbench/process/launcher.py", "setsigmask=[signal.SIGINT],", "setsigmask=[],"))
async def test_fault_F6_a_ctrl_c_reaches_no_zygote_that_has_just_been_started(
    start_worker: Any, tmp_path: Path
) -> None:
    """Its interpreter starts: what it ignores later is not ignored yet."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "if 'zygote' in ' '.join(sys.orig_argv):\n"
        "    open(os.environ['HERE'], 'w').close()\n"
        "    while not os.path.exists(os.environ['GO']): time.sleep(0.005)\n"
    )
    here, go = tmp_path / "here", tmp_path / "go"
    paths = os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])
    worker = start_worker("ledger.py", wait=False, HERE=str(here), GO=str(go), PYTHONPATH=paths)
    wait_until(here.exists, "the zygote's interpreter starts")
    (zygote,) = zygotes(worker)
    zygote.send_signal(signal.SIGINT)
    go.touch()
    wait_until(lambda: "serves" in worker.output() or worker.process.poll() is not None, "the agent is loaded")
    assert worker.process.poll() is None, "the zygote was ended by what was not meant for it"
    assert zygotes(worker) == [zygote]


# --- terminals --------------------------------------------------------------------------------------


# A shell would hand over the terminal like this: the leader of a session, in the foreground.
LAUNCH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


FREE_OF_LOAD = {"WORKBENCH_LOAD_THRESHOLD": "inf"}  # whatever else this machine does


class AtTerminal(Worker):
    """A headless worker in the foreground of a terminal."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = os.openpty()
        arguments = ["-m", "workbench", str(AGENTS / AGENT), "--no-tui", "--port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, sys.executable, *arguments],
            stdin=slave, stdout=slave, stderr=slave, text=True, cwd=folder, start_new_session=True,
            env=child_environment(
                XDG_RUNTIME_DIR=str(folder), TEST_TAG=folder.name, LEDGER=str(folder / "ledger"), **FREE_OF_LOAD
            ),
        )  # fmt: skip
        os.close(slave)
        super().__init__(process, folder, folder.name)

    def says(self, words: str) -> None:
        """Read what it writes until it has written that."""
        said = ""
        while words not in said:
            try:
                said += os.read(self.master, 4096).decode(errors="replace")
            except OSError:  # nobody has the terminal any more
                pytest.fail(f"it has ended, and never said {words!r}")

    def close_terminal(self) -> None:
        """The window is closed."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def at_terminal(tmp_path: Path) -> Iterator[AtTerminal]:
    """A worker in the foreground of a terminal, listening."""
    worker = AtTerminal(tmp_path)
    wait_until(lambda: os.path.exists(worker.socket), "it listens")
    yield worker
    worker.close_terminal()
    if worker.process.poll() is None:
        worker.process.kill()
    worker.process.wait()
    wait_until(lambda: not tagged(worker.tag), "nothing is left")


@defence(
    ("workbench/process/launcher.py", "setsid=True,", "setsid=False,"),
    ("workbench/process/zygote.py", "        os.setsid()\n", ""),
    ("workbench/process/runner.py", "signal.SIGINT, signal.SIG_IGN", "signal.SIGINT, signal.SIG_DFL"),
)  # fmt: skip
async def test_fault_F8_ctrl_c_at_the_terminal_begins_a_drain_and_ends_no_job(
    at_terminal: AtTerminal, tmp_path: Path
) -> None:
    worker = at_terminal
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "until", file=str(tmp_path / "gate"))
        os.write(worker.master, b"\x03")
        await asyncio.to_thread(worker.says, "SIGINT: draining, 1 job running")
        await until(client, lambda state: state.worker.draining)
        assert psutil.pid_exists(job["pid"])
        (tmp_path / "gate").touch()
    assert worker.ended() == 0
    assert [e["what"] for e in worker.entries()] == ["start", "finish"]


def tried(worker: Worker) -> int:
    """How often it has read or written, with success or without."""
    counts = of_worker(worker).io_counters()
    return int(counts.read_count + counts.write_count)


@defence(("workbench/cli/signals.py", "HELD = (*ENDING, signal.SIGHUP)", "HELD = ENDING"))
@defence(("workbench/cli/printer.py", "return not self._more.wait_for(lambda: self._ending, AGAIN_S)", "return True"))
async def test_fault_F11_a_worker_whose_terminal_was_closed_works_on_and_does_not_spin(at_terminal: AtTerminal) -> None:
    worker = at_terminal
    async with worker.client() as client:
        await until_ready(client)
        worker.close_terminal()
        assert (await run(client, "closers"))["status"] == "completed"  # it logs, and nobody reads
        await until(client, lambda state: state.worker.generation == 2)  # SIGHUP asks for a reload
        tries, spent = tried(worker), sum(of_worker(worker).cpu_times())
        await asyncio.sleep(2)
        assert tried(worker) - tries < 5_000, "it tries to write all the time"
        assert sum(of_worker(worker).cpu_times()) - spent < 1.0, "it spins"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0


async def test_fault_F11_a_worker_whose_output_nobody_reads_works_on(start_worker: Any, tmp_path: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", str(AGENTS / AGENT), "--no-tui", "--port", "0"], stdout=write, stderr=write,
        text=True,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), LEDGER=str(tmp_path / "ledger"), **FREE_OF_LOAD),
    )  # fmt: skip
    os.close(write)
    with open(read, "rb", buffering=0) as head:
        assert head.readline()  # as `| head -1`
    worker = Worker(process, tmp_path, "")
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "closers"))["status"] == "completed"
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
