"""Generations on real workers: what serves after a save, what does not, and what the jobs themselves saw of it."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.workers import until, until_ended, until_ready, zygotes
from workbench.client.client import Client
from workbench.model.state import State

AGENT = """
import os, signal, sys, time
from ledger import note
from workbench import Options, WorkerJob
VERSION = {version}
{at_import}
def prewarm(process):
    {prewarm}
async def entrypoint(ctx):
    note(ctx, "began", version=VERSION, attempt=ctx.job.attempt)
    await ctx.run_until_shutdown()
    note(ctx, "over", version=VERSION, attempt=ctx.job.attempt)
if __name__ == "__main__":
    WorkerJob(entrypoint, prewarm=prewarm, options=Options({options})).start()
"""
RELOADING = "workbench/supervisor/reloading.py"
DIES = "import threading; threading.Timer({after}, lambda: os.kill(os.getpid(), signal.{name})).start()"


class Agent:
    """An agent's file that is written anew."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.version = 0

    def save(self, *, at_import: str = "", prewarm: str = "pass", options: str = "") -> None:
        self.version += 1
        text = AGENT.format(version=self.version, at_import=at_import, prewarm=prewarm, options=options)
        self.file.write_text(text)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(AGENTS), os.environ.get("PYTHONPATH")])))
    made = Agent(tmp_path / "agent.py")
    made.save()
    return made


async def reloaded(client: Client) -> State:
    """Load again; the state when the new generation serves or has failed."""
    before = await client.request("GET", "/stats")
    await client.reload()

    def over(state: State) -> State | None:
        done = state.reload.generation > before["reload"]["generation"] and state.reload.step in ("idle", "failed")
        return state if done else None

    found: State = await until(client, over)
    return found


async def serving(client: Client) -> int:
    return int((await client.request("GET", "/stats"))["worker"]["generation"])


def versions(worker: Worker, what: str = "began") -> list[int]:
    return [entry["version"] for entry in worker.entries() if entry["what"] == what]


# --- a generation on trial --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
@defence(("workbench/model/core.py", "self.pool.on_trial(process, slot, now)", "False"))
async def test_processes_that_die_right_after_they_were_ready_bring_the_old_code_back(
    start_worker: Any, agent: Agent, name: str
) -> None:
    worker = start_worker(agent.file, "--num-idle-processes", "2")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        agent.save(prewarm=DIES.format(after=1, name=name), options="max_processes=3")
        assert (await reloaded(client)).worker.generation == 2
        failed: State = await until(client, lambda state: state if state.reload.problem else None)
        assert failed.worker.generation == 1
        assert name in failed.reload.problem["message"]
        assert failed.option("max_processes") == 5
        job = await client.dispatch()
        await until(client, lambda state: state.jobs[job["id"]].status == "running")
        await client.end_job(job["id"])
        assert (await until_ended(client, job["id"]))["generation"] == 1
        agent.save()
        assert (await reloaded(client)).reload.problem is None
    assert versions(worker) == [1]


async def test_a_reload_leaves_one_zygote_once_the_new_code_has_proved_itself(start_worker: Any, agent: Agent) -> None:
    worker = start_worker(agent.file)
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        (old,) = zygotes(worker)
        agent.save()
        await reloaded(client)
        job = await client.dispatch()
        await until(client, lambda state: state.jobs[job["id"]].status == "running")
        psutil.wait_procs([old], WAIT_S)
        assert not old.is_running()
        wait_until(lambda: len(zygotes(worker)) == 1, "one zygote")  # a process being forked looks like one


# --- failures keep what serves ----------------------------------------------------------------------

FAILURES = {
    "raises": ({"at_import": "raise ValueError('not today')"}, "not today"),
    "missing module": ({"at_import": "import nowhere_to_be_found"}, "nowhere_to_be_found"),
    "leaves": ({"at_import": "sys.exit(4)"}, "sys.exit(4)"),
    "leaves hard": ({"at_import": "os._exit(4)"}, "exit code 4"),
    "segfault": ({"at_import": "os.kill(os.getpid(), signal.SIGSEGV)"}, "SIGSEGV"),
    "endless loop": ({"at_import": "while True: pass"}, "it hung during import"),
    "endless wait": ({"at_import": "time.sleep(600)"}, "it hung during import"),
    "prewarm raises": ({"prewarm": "raise ValueError('not warm')"}, "not warm"),
    "prewarm too slow": ({"prewarm": "time.sleep(600)"}, "initialize_timeout"),
    "bad option": ({"options": "max_processes='many'"}, "max_processes"),
    "syntax error": ({"at_import": "reply = ("}, "'(' was never closed"),
}


HANGING = ["endless loop", "endless wait", "prewarm too slow"]
QUICK = [how for how in FAILURES if how not in HANGING]


@pytest.mark.parametrize("hows", [QUICK, *([how] for how in HANGING)], ids=["one after the other", *HANGING])
@defence((RELOADING, "if self.serving is None and not self._waits_for_save:", "if not self._waits_for_save:"))
async def test_fault_G3_code_that_fails_in_any_way_leaves_the_old_code_serving(
    start_worker: Any, agent: Agent, hows: list[str]
) -> None:
    worker = start_worker(agent.file, "--initialize-timeout", "4")
    over: list[int] = []
    kept: list[int] = []
    async with worker.client() as client, asyncio.timeout(2 * WAIT_S):
        await until_ready(client)
        for how in hows:
            kept.append(await serving(client))
            over += [agent.version] * 2
            await fails(client, agent, how)
            agent.save()
            assert (await reloaded(client)).reload.problem is None, how
    assert kept[0] == 1
    assert versions(worker, "over") == over
    for generation in kept:
        assert f"generation {generation} still serves" in worker.output()


async def fails(client: Client, agent: Agent, how: str) -> None:
    """Save code that fails: jobs from before and after it run on the code that served."""
    (edit, words), serves = FAILURES[how], await serving(client)
    held = await client.dispatch()
    await until(client, lambda state: state.jobs[held["id"]].status == "running")
    agent.save(**edit)
    state = await reloaded(client)
    problem = state.reload.problem
    assert problem is not None, how
    assert words in problem["message"]
    assert state.worker.generation == serves, how
    if how not in ("leaves hard", "segfault", "prewarm too slow", "bad option"):
        assert problem["line"] > 0, "the place in the file is named"
        assert Path(problem["file"]).name == "agent.py"
    fresh = await client.dispatch()
    await until(client, lambda state: state.jobs[fresh["id"]].status == "running")
    for job in (held, fresh):
        await client.end_job(job["id"])
        assert (await until_ended(client, job["id"]))["generation"] == serves, how


# --- options of the file ----------------------------------------------------------------------------


@defence(("workbench/supervisor/code_options.py", 'if meta(name)["effect"] == "restart" and', "if False and"))
async def test_fault_G9_options_of_the_new_file_hold_from_promotion_on_and_others_are_named(
    start_worker: Any, agent: Agent
) -> None:
    agent.save(options="max_processes=3, close_timeout=5")
    worker = start_worker(agent.file, "--close-timeout", "7")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        agent.save(options="max_processes=4, host='localhost', close_timeout=6, agent_id='other'")
        state = await reloaded(client)
        assert state.reload.needs_restart == ["agent_id", "host"]
        assert state.option("max_processes") == 4
        assert state.option("close_timeout") == 7
        assert state.option("host") == "127.0.0.1"
        assert state.worker.agent_id == "agent"
        agent.save(options="max_processes=4")
        assert (await reloaded(client)).reload.needs_restart == []


# --- running jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["keep", "restart"])
@defence(("workbench/model/core.py", 'moves = (job.own or self.reload_jobs == "restart")', "moves = True"))
@defence(("workbench/model/core.py", 'moves = (job.own or self.reload_jobs == "restart")', "moves = job.own"))
async def test_fault_G1_running_jobs_end_on_their_code_or_start_again_on_the_new(
    start_worker: Any, agent: Agent, mode: str
) -> None:
    worker = start_worker(agent.file, f"--reload-jobs={mode}")
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        job = await client.dispatch("room-7", {"n": 1})
        pinned = await client.dispatch()
        for one in (job, pinned):
            await until(client, lambda state, one=one: state.jobs[one["id"]].status == "running")
        await client.pin_job(pinned["id"], True)
        agent.save()
        await reloaded(client)
        if mode == "restart":
            await until(client, lambda state: state.jobs[job["id"]].attempt == 2)
        for one in (job, pinned):
            await client.end_job(one["id"])
        ended, stayed = await until_ended(client, job["id"]), await until_ended(client, pinned["id"])
    again = mode == "restart"
    assert (ended["room_id"], ended["metadata"]) == ("room-7", {"n": 1})
    assert [attempt["generation"] for attempt in ended["attempts"]] == ([1, 2] if again else [1])
    assert [attempt["reason"] for attempt in ended["attempts"]] == (["reloaded"] if again else []) + ["cancelled"]
    assert (stayed["generation"], stayed["attempt"], stayed["pinned"]) == (1, 1, True)
    told = [(e["version"], e["attempt"]) for e in worker.entries() if e["what"] == "began" and e["job"] == job["id"]]
    assert told == ([(1, 1), (2, 2)] if again else [(1, 1)])


async def test_sighup_is_a_rolling_reload(start_worker: Any, agent: Agent) -> None:
    worker = start_worker(agent.file)
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        held = await client.dispatch()
        await until(client, lambda state: state.jobs[held["id"]].status == "running")
        agent.save()
        worker.process.send_signal(signal.SIGHUP)
        await until(client, lambda state: state.worker.generation == 2)
        fresh = await client.dispatch()
        await until(client, lambda state: state.jobs[fresh["id"]].status == "running")
        for job in (held, fresh):
            await client.end_job(job["id"])
            await until_ended(client, job["id"])
    assert sorted(versions(worker)) == sorted(versions(worker, "over")) == [1, 2]


# --- before and after -------------------------------------------------------------------------------


async def test_a_reload_tells_what_the_new_code_costs(start_worker: Any, agent: Agent) -> None:
    worker = start_worker(agent.file)
    async with worker.client() as client, asyncio.timeout(WAIT_S):
        await until_ready(client)
        agent.save(at_import="time.sleep(0.3); BLOCK = bytearray(os.urandom(40_000_000))")
        reload = (await reloaded(client)).reload
        idle = await until(client, lambda state: [p for p in state.live("idle") if p.generation == 2])
        resident_mb = psutil.Process(idle[0].pid).memory_info().rss / 1e6
    assert reload.import_ms - reload.import_before_ms > 250
    assert 35 < reload.memory_mb - reload.memory_before_mb < 50
    assert abs(reload.memory_mb - resident_mb) < 5
