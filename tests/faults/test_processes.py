"""Processes that die, cannot be made, or will not stay, on a real worker; the table of processes and the jobs judge."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Worker, wait_until
from tests.defences import defence
from tests.workers import begin, of_worker, processes, run, until, until_ended, until_ready
from workbench.client.client import Client

AGENT = "fragile.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


async def idle_pids(client: Client, count: int) -> list[int]:
    """The pids of the idle processes, once there are so many."""
    await until(client, lambda state: len(state.live("idle")) == count == len([p for p in state.live("idle") if p.pid]))
    return [p["pid"] for p in await processes(client, "idle")]


def noted(worker: Worker, what: str, job_id: str = "") -> list[dict[str, Any]]:
    """What the agent wrote down of one kind."""
    return [e for e in worker.entries() if e["what"] == what and job_id in ("", e["job"])]


# --- deaths of idle processes -----------------------------------------------------------------------


@defence(
    ("workbench/supervisor/children.py", "lambda status: self._exited(child, status), since", "print, since"),
    ("workbench/model/core.py", "slot.lost = True", "slot.lost = False"),
)
async def test_fault_C1_a_dead_idle_process_is_given_no_job_and_is_replaced(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "2")
    async with worker.client() as client:
        dead, alive = await idle_pids(client, 2)
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(dead), "the dead process is reaped")
        assert dead not in [p["pid"] for p in await processes(client, "idle")]
        job = await run(client, "return")
        assert (job["status"], job["warm"]) == ("completed", True), "it met the corpse first"
        after = await idle_pids(client, 2)
    assert [e["what"] for e in worker.entries() if e["job"] == job["id"]] == ["start", "finish"]
    assert job["pid"] == alive
    assert not {dead, alive} & set(after)


@defence(
    ("workbench/supervisor/children.py", "lambda status: self._exited(child, status), since", "print, since"),
    ("workbench/model/core.py", "slot.lost = True", "slot.lost = False"),
)
async def test_fault_C2_all_idle_processes_die_at_once_and_the_job_that_comes_then_runs(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "4")
    async with worker.client() as client:
        dead = await idle_pids(client, 4)
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        job = await run(client, "return")
        assert (job["status"], job["attempt"]) == ("completed", 1)
        after = await idle_pids(client, 4)
    assert [e["what"] for e in worker.entries() if e["job"] == job["id"]] == ["start", "finish"]
    assert not set(dead) & {job["pid"], *after}


@defence(("workbench/model/jobs.py", "launch.tries += launch.taken", "launch.tries += 1"))
async def test_fault_C2_a_job_is_not_lost_to_one_dead_process_after_another(start_worker: Any) -> None:
    """Each is handed the job and dies before it has read it."""
    worker = start_worker(AGENT, "--num-idle-processes", "4")
    async with worker.client() as client:
        for pid in (pids := await idle_pids(client, 4)):
            os.kill(pid, signal.SIGSTOP)
        job_id = (await client.dispatch())["id"]
        for pid in pids:

            def handed(state: Any, pid: int = pid) -> bool:
                job = state.jobs[job_id]
                return not job.active or (job.status == "starting" and job.pid == pid)

            await until(client, handed)
            os.kill(pid, signal.SIGKILL)
        job = await until_ended(client, job_id)
    assert (job["status"], job["reason"], job["attempt"]) == ("completed", "returned", 1)
    assert len(noted(worker, "start", job_id)) == 1
    assert job["pid"] not in pids


# --- deaths of a process with a job -----------------------------------------------------------------


@defence(("workbench/model/jobs.py", "if self._try_again(job, slot, now):", "if False:"))
async def test_fault_C4_a_process_that_dies_before_the_entrypoint_began_costs_the_job_nothing(
    start_worker: Any, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    worker = start_worker(AGENT, HOLD=str(hold))
    async with worker.client() as client:
        await until_ready(client)
        job_id = (await client.dispatch())["id"]
        (first,) = wait_until(lambda: noted(worker, "read"), "a process has read the job")
        os.kill(first["pid"], signal.SIGKILL)
        wait_until(lambda: len(noted(worker, "read")) == 2, "another process has read the job")
        hold.unlink()
        job = await until_ended(client, job_id)
    assert (job["status"], job["reason"], job["attempt"]) == ("completed", "returned", 1)
    (start,) = noted(worker, "start", job_id)
    assert start["pid"] == job["pid"] != first["pid"]


@defence(
    ("workbench/model/jobs.py", 'if job.status == "starting" and ladder is None:', "if ladder is None:"),
)
async def test_fault_C4_a_job_whose_entrypoint_began_is_never_launched_again(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        os.kill(job["pid"], signal.SIGKILL)
        ended = await until(client, lambda state: (j := state.jobs[job["job"]]).status != "running" and j)
        assert (ended.status, ended.reason, ended.signal) == ("failed", "signalled", "SIGKILL")
        assert (await run(client, "return"))["status"] == "completed"
    assert len(noted(worker, "start", job["job"])) == 1


@defence(
    ("workbench/process/tree.py", "        for one in new:\n            _signal(one, signal.SIGSTOP)\n", ""),
    ("workbench/process/tree.py", "PASSES = 8", "PASSES = 1"),
    ("workbench/supervisor/children.py", "        self.helpers.sweep()", "        return"),
    ("workbench/supervisor/helpers.py", "kill_tree(pid)\n            elif", "continue\n            elif"),
)
async def test_fault_C14_children_that_fork_while_they_are_killed_do_not_get_away(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for _ in range(3):
            job = await begin(client, worker, "chains", "chains")
            wait_until(lambda: len(of_worker(worker).children(recursive=True)) > 40, "the chains grow")
            await client.request("DELETE", f"/processes/{job['pid']}")
            assert (await until_ended(client, job["job"]))["signal"] == "SIGKILL"
            wait_until(
                lambda: len(of_worker(worker).children(recursive=True)) == 2, "only a zygote and an idle process"
            )


# --- processes that stand still, and what is left of those that ended ------------------------------


@defence(("workbench/supervisor/watchdog.py", 'self._core.doom(child.id, "hung", text, self._shell.now())', "pass"))
async def test_fault_C3_a_stopped_process_is_hung_and_its_job_failed(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "wait")
        os.kill(job["pid"], signal.SIGSTOP)
        ended = await until_ended(client, job["job"])
    assert (ended["status"], ended["reason"], ended["signal"]) == ("failed", "hung", "SIGKILL")
    assert not is_running(job["pid"])


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(parent: psutil.Process, **which: str) -> list[psutil.Process]:
    """Its children of a `name` or `status`."""
    found = []
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if all(getattr(child, what)() == value for what, value in which.items()):
                found.append(child)
    return found


def zombies(parent: psutil.Process) -> list[int]:
    return [child.pid for child in children(parent, status=psutil.STATUS_ZOMBIE)]


@defence(
    ("workbench/process/reaper.py", "(pid := _dead_child()) is not None:", "(pid := _dead_child()) in self._claims:"),
)
async def test_fault_C10_what_ended_while_the_supervisor_stood_still_and_orphans_of_jobs_are_reaped(
    start_worker: Any,
) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "3")
    async with worker.client() as client:
        dead = await idle_pids(client, 3)
        of_worker(worker).suspend()
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: sorted(zombies(of_worker(worker))) == sorted(dead), "all are dead and none is reaped")
        of_worker(worker).resume()
        wait_until(lambda: not any(map(psutil.pid_exists, dead)), "they are reaped")
        job = await begin(client, worker, "orphans", "orphans")
        wait_until(lambda: not children(of_worker(worker), name="sleep"), "the orphans are reaped")
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["status"] == "cancelled"
        assert not set(await idle_pids(client, 3)) & set(dead)
        wait_until(lambda: not zombies(of_worker(worker)), "no zombie is left")
