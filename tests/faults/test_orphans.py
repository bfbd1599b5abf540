"""What is left when a supervisor or a zygote is killed, and whom a supervisor answers for as the first process."""

import contextlib
import os
import shutil
import signal
import subprocess
from typing import Any

import psutil
import pytest

from tests.conftest import Worker, tagged, wait_until
from tests.defences import defence
from tests.faults.test_processes import AGENT, children, idle_pids, is_running
from tests.workers import begin, of_worker, run, until, until_ended, until_ready, zygotes
from workbench.client.address import Address
from workbench.client.client import Client
from workbench.process import mark

pytestmark = pytest.mark.timeout(180)  # a bound on hanging

# --- the supervisor dies ----------------------------------------------------------------------------


@pytest.mark.parametrize("helper", ["helper", "daemon", "clean daemon"])
@defence(
    ("workbench/process/lifeline.py", " | os.O_ASYNC)", ")"),
    ("workbench/process/zygote.py", "leftovers.end_all_of(self.supervisor, self.beats.helpers())", "pass"),
)
@defence(("workbench/process/zygote.py", "leftovers.end_all_of(self.supervisor, self.beats.helpers())", "pass"))
@defence(("workbench/process/leftovers.py", "for pid, start in helpers.items():", "for pid, start in ():"))
@defence(("workbench/process/leftovers.py", "        if not found:\n", "        if True:\n"))
async def test_fault_C6_nothing_outlives_a_killed_supervisor(start_worker: Any, helper: str) -> None:
    """Neither jobs that hang nor what they started in sessions of their own; and its port is free for the next."""
    worker = start_worker("trouble.py" if "daemon" in helper else "ledger.py", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        for do in () if "daemon" in helper else ("block", "gil"):
            await begin(client, worker, do, "blocking")
        started = await begin(client, worker, helper, "helper")
        port = (await client.request("GET", "/stats"))["worker"]["url"].rpartition(":")[2]
    all_end_with(worker, started["helper"])
    again = start_worker("ledger.py", "--port", port)
    async with again.client() as client:
        await until_ready(client)
        assert (await run(client, "return"))["status"] == "completed"


def all_end_with(worker: Worker, *others: int) -> None:
    """Kill the supervisor: all of the worker's processes, and `others`, must be gone."""

    def left() -> list[int]:
        return tagged(worker.tag) + [pid for pid in others if is_running(pid)]

    worker.process.kill()
    worker.ended()
    try:
        wait_until(lambda: not left(), "every process is gone")
    finally:
        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@defence(
    (
        "workbench/process/lifeline.py",
        "fcntl.fcntl(fd, F_SETSIG, signal.SIGCONT)",
        "fcntl.fcntl(fd, F_SETSIG, signal.SIGCHLD)",
    )
)
@defence(
    (
        "workbench/process/zygote.py",
        "        except OSError:\n            self._leave",
        "        except ZeroDivisionError:\n            self._leave",
    )
)
async def test_fault_C6_a_zygote_that_was_stopped_still_ends_after_its_supervisor(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        helper = await begin(client, worker, "helper", "helper")
        (idle,) = await idle_pids(client, 1)
        zygotes(worker)[0].suspend()
        os.kill(idle, signal.SIGKILL)
        await until(client, lambda state: state.live("starting"))  # it finds a request when it is woken
    all_end_with(worker, helper["helper"])


@pytest.mark.parametrize("turn", range(4))
@defence(
    ("workbench/process/lifeline.py", " | os.O_ASYNC)", ")"),
    ("workbench/process/zygote.py", "leftovers.end_all_of(self.supervisor, self.beats.helpers())", "pass"),
)
async def test_fault_C6_nothing_outlives_a_killed_supervisor_whatever_it_was_doing(
    start_worker: Any, turn: int
) -> None:
    worker = start_worker("ledger.py", "--num-idle-processes", "3", "--max-processes", "6")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "echo")
        await begin(client, worker, "block", "blocking")
        if turn % 2:
            await client.reload()
        if turn % 3:
            await client.dispatch(None, {"do": "return"})
    all_end_with(worker)


@pytest.fixture
def apart() -> list[str]:
    """The command that runs another in a pid namespace of its own."""
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("unshare and nsenter are not installed")
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no pid namespace may be made here: {tried.stderr.strip()}")
    return command


@defence(("workbench/process/leftovers.py", " and _namespace(int(entry)) == namespace:", ":"))
async def test_fault_C6_what_another_container_runs_under_the_same_number_is_let_alone(
    start_worker: Any, apart: list[str]
) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
    marked = f"{mark.NAME}={mark.of_process(worker.process.pid, 7)}"
    with subprocess.Popen([*apart, "env", marked, "sleep", "600"]) as other:
        (sleeper,) = wait_until(lambda: children(psutil.Process(other.pid), name="sleep"), "the other container runs")
        all_end_with(worker)
        still_there = sleeper.is_running()
        other.kill()
    assert still_there


# --- zygotes ----------------------------------------------------------------------------------------


@defence(
    (
        "workbench/supervisor/reloading.py",
        "            self._serving_lost(generation)\n        if news",
        "            pass\n        if news",
    )
)
async def test_fault_C7_jobs_and_idle_processes_outlive_their_zygote_and_a_new_one_is_started(
    start_worker: Any,
) -> None:
    worker = start_worker("trouble.py", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await idle_pids(client, 2)
        running = await begin(client, worker, "hear")
        idle = set(await idle_pids(client, 2))
        (zygote,) = zygotes(worker)
        zygote.kill()
        after = [await run(client, "return") for _ in range(4)]
        await idle_pids(client, 2)
        await client.end_job(running["job"])
        assert (await until_ended(client, running["job"]))["reason"] == "cancelled"
    assert {job["status"] for job in after} == {"completed"}
    assert idle & {job["pid"] for job in after}
    assert [e["what"] for e in worker.entries() if e["job"] == running["job"]] == ["start", "finish"]


# --- the first process of a container ---------------------------------------------------------------


@pytest.fixture
def container(apart: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes workers the first process of a pid namespace of their own."""
    start = subprocess.Popen

    def popen(command: list[str], **how: Any) -> "subprocess.Popen[str]":
        return start([*apart, *command] if "--no-tui" in command else command, **how)

    monkeypatch.setattr(subprocess, "Popen", popen)


@defence(("workbench/supervisor/helpers.py", 'return name if owner == os.getpid() else ""', 'return name or "0"'))
@defence(
    ("workbench/process/reaper.py", "(pid := _dead_child()) is not None:", "(pid := _dead_child()) in self._claims:"),
)
@defence(
    ("workbench/supervisor/helpers.py", "if os.getpid() != 1 or self._owner(pid)]", "if self._owner(pid)]"),
    ("workbench/supervisor/children.py", "and not (helpers or", "and not (self.helpers.strangers() or"),
)
async def test_fault_C11_as_the_first_process_of_a_container_it_reaps_strangers_and_counts_none(
    container: None, start_worker: Any
) -> None:
    worker = start_worker(AGENT, wait=False)
    socket = worker.folder / "workbench" / ".1.socket"
    wait_until(lambda: socket.exists() or worker.process.poll() is not None, "the worker listens")
    (first,) = of_worker(worker).children()
    try:
        async with Client(Address(path=str(socket))) as client:
            await until_ready(client)
            assert (await client.request("GET", "/stats"))["worker"]["pid"] == 1
            enter = ["nsenter", "--target", str(first.pid), "--pid", "--mount", "sh", "-c"]
            subprocess.run([*enter, "sleep 600 & true"], check=True)  # its parent is gone: the first process adopts it
            subprocess.run([*enter, "sleep 0.1 & sleep 0.2 & true"], check=True)

            (stranger,) = wait_until(
                lambda: len(found := children(first, name="sleep")) == 1 and found, "two of three have been reaped"
            )
            jobs = [await run(client, "return") for _ in range(3)]
            assert {job["status"] for job in jobs} == {"completed"}
            await until(client, lambda state: len(state.live("idle")) == 1 == len(state.processes))
            assert stranger.is_running(), "what is not the worker's is let alone"
        first.send_signal(signal.SIGTERM)
        assert worker.ended() == 0
        wait_until(lambda: not is_running(stranger.pid), "the container is empty")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            first.kill()  # the fixture's signals do not get this far
