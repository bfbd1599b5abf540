"""What the supervisor does when things die, end, or change: judged by files and the process table."""

import asyncio
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, tagged, wait_until
from tests.workers import until_ended, until_ready

GOOD = """
from workbench import WorkerJob
async def entrypoint(ctx):
    await ctx.room.send("{words}")
    async for message in ctx.room:
        await ctx.room.send("{words} " + message.text)
if __name__ == "__main__":
    WorkerJob(entrypoint).start()
"""


async def _said(client: Any, room: str) -> str:
    found = await client.request("GET", f"/rooms/{room}/messages?wait_s=10")
    return str(found["messages"][0]["text"])


async def test_the_workbenchs_own_job_moves_to_the_new_code(start_worker: Any, tmp_path: Path) -> None:
    agent = tmp_path / "own.py"
    agent.write_text(GOOD.format(words="one"))
    worker = start_worker(agent, "--start-job", "--room", "mine")
    async with worker.client() as client:
        await until_ready(client)
        assert await _said(client, "mine") == "one"
        agent.write_text(GOOD.format(words="two"))
        await client.reload()
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                job = next(iter(frame.state.jobs.values()))
                if job.attempt == 2:
                    break
        assert [a["reason"] for a in job.attempts] == ["reloaded", None]
        await client.request("POST", "/rooms/mine/messages", {"text": "you?"})
        async with asyncio.timeout(WAIT_S):
            while "two you?" not in [
                m["text"] for m in (await client.request("GET", "/rooms/mine/messages"))["messages"]
            ]:
                await asyncio.sleep(0.01)


async def test_options_of_code_that_never_came_to_serve_do_not_hold(start_worker: Any, tmp_path: Path) -> None:
    source = (
        "from workbench import Options, WorkerJob\n"
        "def prewarm(process): {prewarm}\n"
        "async def entrypoint(ctx): pass\n"
        "if __name__ == '__main__':\n"
        "    WorkerJob(entrypoint, prewarm=prewarm, options=Options(max_processes={most})).start()\n"
    )
    agent = tmp_path / "tuned.py"
    agent.write_text(source.format(prewarm="pass", most=3))
    worker = start_worker(agent, "--load-threshold", "inf")

    async def after_reload(client: Any) -> Any:
        number = (await client.request("GET", "/stats"))["reload"]["generation"]
        await client.reload()
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                reload = frame.state.reload
                if reload.generation > number and reload.step in ("idle", "failed"):
                    return frame.state
        raise AssertionError("the stream ended")

    async with worker.client() as client:
        await until_ready(client)
        agent.write_text(source.format(prewarm="raise ValueError('not today')", most=7))
        state = await after_reload(client)
        assert "not today" in state.reload.problem["message"]
        assert state.option("max_processes") == 3
        agent.write_text(source.format(prewarm="pass", most="'many'"))
        assert "max_processes" in (await after_reload(client)).reload.problem["message"]
        await client.set_options({"num_idle_processes": 2})  # nothing of the bad value is left to contradict
        agent.write_text(source.format(prewarm="pass", most=7))
        state = await after_reload(client)
        assert (state.reload.problem, state.option("max_processes")) == (None, 7)


async def test_a_worker_whose_interpreter_was_taken_away_goes_on_and_says_so(
    start_worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    worker = start_worker("ledger.py", PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    async with worker.client() as client:
        await until_ready(client)
        python.unlink()
        await client.reload()
        reload = (await client.request("GET", "/stats"))["reload"]
        assert "no process could be started" in reload["problem"]["message"]
        assert (await until_ended(client, (await client.dispatch())["id"]))["status"] == "completed"
        python.symlink_to(os.path.realpath("/proc/self/exe"))
        await client.reload()
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if frame.state.worker.generation == 2:
                    break
        assert frame.state.reload.problem is None
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0


async def test_options_change_live_and_bite(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"num_idle_processes": 3})
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if len(frame.state.live("idle")) == 3:
                    break
        pids = [p["pid"] for p in (await client.request("GET", "/stats"))["processes"]]
        assert all(psutil.pid_exists(pid) for pid in pids)
        with pytest.raises(Exception, match="needs a restart: port"):
            await client.set_options({"port": 1})
        with pytest.raises(Exception, match="num_idle_processes"):
            await client.set_options({"max_processes": 2})


def test_once_tells_by_its_exit_code(start_worker: Any) -> None:
    good = start_worker("ledger.py", "--once", wait=False)
    bad = start_worker("ledger.py", "--once", "--metadata", '{"do": "exit", "code": 0}', wait=False)
    assert (good.ended(), bad.ended()) == (0, 1)
    assert [e["what"] for e in good.entries()] == ["start", "finish"]


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("x = 1\n", 3, "has nothing to run"),
        ("def entrypoint(ctx):\n    pass\nfrom workbench import WorkerJob\nWorkerJob(entrypoint)\n", 3, "async def"),
        ("async def entrypoint(ctx, other):\n    pass\n", 3, "one argument"),
    ],
)
def test_an_agent_that_cannot_be_loaded_is_one_clear_error(
    start_worker: Any, tmp_path: Path, source: str, code: int, words: str
) -> None:
    agent = tmp_path / "bad.py"
    agent.write_text(source)
    worker = start_worker(agent, "--log-format", "text", wait=False)
    assert worker.ended() == code
    assert words in worker.output()
    assert "Traceback (most recent call last)" not in worker.output()


async def test_a_start_under_plain_python_is_the_headless_worker(start_worker: Any, tmp_path: Path) -> None:
    import subprocess

    from tests.conftest import child_environment

    ledger, tag = tmp_path / "ledger", uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "agents" / "ledger.py")],
        env=child_environment(LEDGER=str(ledger), WORKBENCH_PORT="0", TEST_TAG=tag, XDG_RUNTIME_DIR=str(tmp_path)),
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: ledger.exists() and "finish" in ledger.read_text(), "its first job ran")
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    assert time.monotonic() > 0
    wait_until(lambda: not tagged(tag), "nothing is left")
