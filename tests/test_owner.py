"""The terminal's hold on its supervisor: orders, a vanished terminal, and who may take over."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import AGENTS, WAIT_S, child_environment, tagged, wait_until
from tests.defences import defence
from workbench.cli.owned import obey
from workbench.client.client import Client
from workbench.client.owner import Owner, StartRefused

TAG = "owner-test"


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    """A supervisor that this process owns, as the TUI's would."""
    for name, value in child_environment(
        XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=TAG, LEDGER=str(tmp_path / "ledger"), WORKBENCH_LOAD_THRESHOLD="inf"
    ).items():
        monkeypatch.setenv(name, value)
    for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    made = Owner([str(AGENTS / "ledger.py"), "--port=0", "--start-job", '--metadata={"do": "wait"}'])
    made.start()
    yield made
    made.close()
    made.kill()
    made._reap()
    wait_until(lambda: not tagged(TAG), "nothing is left", 5)


async def others_job(client: Client) -> dict[str, Any]:
    """A job that somebody else hands in, once it runs."""
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if frame.state.worker.status == "ready":
                break
        job = await client.dispatch(None, {"do": "wait"})
        async for frame in client.frames():
            if frame.state.jobs[job["id"]].status == "running":
                break
    return job


async def test_one_that_is_up_was_checked(owner: Owner) -> None:
    await asyncio.to_thread(owner.wait_until_up)
    await asyncio.wait_for(owner.wait_until_checked(), WAIT_S)


async def test_a_vanished_terminal_ends_a_worker_that_runs_nobody_elses_job(owner: Owner) -> None:
    async with Client(owner.wait_until_up()) as client, asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if any(job.status == "running" for job in frame.state.jobs.values()):
                break
    owner.close()
    ended = await asyncio.wait_for(owner.wait(), WAIT_S)
    assert ended.exit_code == 0


async def test_the_jobs_of_others_go_on_when_the_terminal_vanishes_and_whoever_admits_takes_over(owner: Owner) -> None:
    async with Client(owner.wait_until_up()) as client:
        job = await others_job(client)
        owner.close()
        async with asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if frame.state.worker.draining:
                    break
            await client.admit()
            more = await client.dispatch(None, {"do": "return"})
            async for frame in client.frames():
                if frame.state.jobs[more["id"]].status == "completed":
                    break
        job = await client.request("GET", f"/jobs/{job['id']}")
        assert job["status"] == "running"
        assert psutil.pid_exists(job["pid"])


class Worker:
    """As much of a supervisor as the owner pipe sees."""

    def __init__(self, followers: int) -> None:
        self.followers, self.ending = followers, False
        self.listeners: list[Any] = []
        self.calls: list[str] = []
        self.state = self.worker = self.logs = self
        self.draining = False
        self.own = False
        self.asked = asyncio.Event()

    def active_jobs(self) -> list["Worker"]:
        return [self]

    def note(self, level: str, text: str) -> None:
        self.asked.set()

    def drain(self, why: str, *, then_exit: bool = False) -> None:
        self.draining = True

    def stop(self, why: str, code: int) -> None:
        self.calls.append(why)


async def test_without_anybody_looking_a_worker_without_owner_stops_when_its_time_is_over() -> None:
    worker, (read, write) = Worker(followers=0), os.pipe()
    os.close(write)
    await asyncio.wait_for(obey(worker, read, grace_s=0.05), WAIT_S)  # type: ignore[arg-type]
    assert worker.calls == ["the workbench is gone"]
    assert not worker.listeners


async def test_somebody_looking_holds_the_end_off_until_he_has_been_gone_for_the_time() -> None:
    worker, (read, write) = Worker(followers=1), os.pipe()
    obeying = asyncio.ensure_future(obey(worker, read, grace_s=0.5))  # type: ignore[arg-type]
    os.close(write)
    await worker.asked.wait()
    for _ in range(20):  # measurements go on for longer than the time
        worker.listeners[0](None)
        await asyncio.sleep(0.05)
    assert not obeying.done()
    worker.followers = 0
    await asyncio.wait_for(obeying, WAIT_S)
    assert worker.calls == ["the workbench is gone"]


async def test_an_order_to_stop_is_carried_out_although_the_terminal_vanishes(owner: Owner, tmp_path: Path) -> None:
    async with Client(owner.wait_until_up()) as client:
        job = await others_job(client)
        owner.stop()
        owner.close()
    assert (await asyncio.wait_for(owner.wait(), WAIT_S)).exit_code == 0
    written = (tmp_path / "ledger").read_text()
    assert {"start", "finish"} == {e["what"] for e in map(json.loads, written.splitlines()) if e["job"] == job["id"]}
    assert [path.name for path in (tmp_path / "workbench").iterdir()] == [owner.log_path.name]


async def test_released_it_lives_on(owner: Owner) -> None:
    address, child = owner.wait_until_up(), owner._child
    assert child is not None
    owner.release()
    owner.close()
    async with Client(address) as client:
        await others_job(client)
    child.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)  # it drains: somebody's job runs
    child.send_signal(signal.SIGINT)
    assert child.wait(WAIT_S) == 128 + signal.SIGINT


def test_the_options_are_checked_and_the_agent_is_loading_before_the_routes_are_imported(tmp_path: Path) -> None:
    """The screen waits for the check, and the first process for its code: neither for what serves the routes."""
    program = (
        "import os, sys\n"
        "from workbench.cli import commands, serve\n"
        "def say(fd, news):\n"
        "    print('aiohttp' in sys.modules, os.path.exists('loading'), flush=True)\n"
        "    os._exit(0)\n"
        "serve.say = say\n"
        "boot = serve.Supervisor.boot\n"
        "serve.Supervisor.boot = lambda self: (boot(self), open('loading', 'w').close())\n"
        f"commands.run(['--no-tui', '--ready-fd=1', '--port=0', {str(AGENTS / 'ledger.py')!r}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=TAG),
    )  # fmt: skip
    assert run.stdout == "False True\n", run.stderr
    wait_until(lambda: not tagged(TAG), "nothing is left", 5)


@pytest.mark.parametrize("news", ['{"checked": true}', ""])
async def test_a_supervisor_that_ends_before_it_is_up_is_told_as_often_as_one_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, news: str
) -> None:
    """The screen asks again and again, until somebody starts another."""
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "ready = next(int(word.partition('=')[2]) for word in sys.argv if word.startswith('--ready-fd='))\n"
        f"os.write(ready, {(news + chr(10)).encode()!r} if {bool(news)} else b'')\n"
        "sys.exit('out of luck')\n"
    )
    fake.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(fake))
    owner = Owner(["bot.py"])
    owner.start()
    try:
        if news:
            await asyncio.wait_for(owner.wait_until_checked(), WAIT_S)
        for _ in range(2):
            with pytest.raises(StartRefused, match="out of luck") as refused:
                owner.wait_until_up()
            assert refused.value.exit_code == 1
        ended = await asyncio.wait_for(owner.wait(), WAIT_S)
        assert (ended.exit_code, "out of luck" in "".join(ended.last_lines)) == (1, bool(news))
    finally:
        owner.close()


GC_PROGRAM = """
import gc, json, os, sys
from workbench.cli import commands, serve
def say(fd, news):
    if "socket" in news:
        print(json.dumps([gc.isenabled(), gc.get_freeze_count() > 10_000]), flush=True)
        os._exit(0)
serve.say = say
commands.run(sys.argv[1:])
"""


@defence(("workbench/cli/serve.py", "        gc.enable()\n", ""))
@defence(("workbench/cli/serve.py", "        gc.freeze()  # what is imported stays\n", ""))
def test_once_it_serves_garbage_is_collected_and_what_was_imported_is_left_alone(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", GC_PROGRAM, "--no-tui", "--owner-fd=0", "--ready-fd=1", "--port=0",
         str(AGENTS / "ledger.py")],
        cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.PIPE,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=TAG),
    )  # fmt: skip
    assert json.loads(run.stdout) == [True, True], run.stderr
    wait_until(lambda: not tagged(TAG), "nothing is left", 5)
