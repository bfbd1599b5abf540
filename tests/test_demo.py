"""What comes with workbench: the demo's agent and the first agent, run as a stranger would run them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, child_environment, kill_tagged, tagged, wait_until
from workbench.cli import main
from workbench.cli.pace import FIRST, ROUND
from workbench.client.address import Address
from workbench.client.client import Client

FREE_OF_LOAD = {"WORKBENCH_LOAD_THRESHOLD": "inf"}


def workbench(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "workbench", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(folder)),
    )  # fmt: skip


class Demo:
    """A headless demo, and the folder that temporary folders are made in."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder, self.tag = folder, f"demo-{folder}"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.errors = folder / "stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workbench", "demo", "--no-tui", "--port", "0", *flags],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env=child_environment(
                    XDG_RUNTIME_DIR=str(folder), TMPDIR=str(self.temporary), TEST_TAG=self.tag, **FREE_OF_LOAD
                ),
            )  # fmt: skip
        self.socket = folder / "workbench" / f".{self.process.pid}.socket"
        wait_until(lambda: self.socket.exists() or self.process.poll() is not None, "the worker listens")

    def end(self) -> int:
        """As an impatient user: the second signal does not wait for jobs."""
        for _ in range(2):
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(1.0)
            except subprocess.TimeoutExpired:
                continue
        return self.process.wait(WAIT_S)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    yield started
    started.end()
    wait_until(lambda: not tagged(started.tag), f"nothing is left: {kill_tagged(started.tag)}")


async def test_every_kind_of_job_shows_what_it_is_there_for(demo: Demo) -> None:
    wanted = {"raised", "stall", "warned", "reported", "said", "returned"}
    seen: set[str] = set()
    rooms: dict[str, str] = {}
    async with Client(Address(path=str(demo.socket))) as client, asyncio.timeout(WAIT_S):
        async for frame in client.frames(log_tail=100):
            state = frame.state
            seen |= {job.reason for job in state.jobs.values() if job.reason}
            seen |= {"stall"} if state.counters["stalls"] else set()
            seen |= {"warned"} if state.counters["memory_warnings"] else set()
            seen |= {"reported"} if any("topic" in job.report for job in state.jobs.values()) else set()
            seen |= {"said"} if any("turn 2: " in line.text for line in frame.lines) else set()
            rooms |= {job.id: str(job.metadata.get("do")) for job in state.jobs.values()}
            if wanted <= seen:
                break
        assert set(rooms.values()) <= {do for do, _ in (*FIRST, *ROUND)}
        assert not state.worker.degraded
        assert state.counters["jobs_refused_starting"] == 0


def test_its_folder_goes_with_it_unless_something_in_it_was_changed(tmp_path: Path, demo: Demo) -> None:
    (agent,) = demo.temporary.glob("workbench-demo-*/demo.py")
    assert str(agent) in demo.errors.read_text().splitlines()[0]
    assert demo.end() in (0, 128 + signal.SIGTERM)
    assert list(demo.temporary.iterdir()) == []
    (tmp_path / "again").mkdir()
    edited = Demo(tmp_path / "again")
    (agent,) = edited.temporary.glob("workbench-demo-*/demo.py")
    with agent.open("a") as file:
        file.write("# mine\n")
    edited.end()
    assert agent.read_text().endswith("# mine\n")
    assert edited.errors.read_text().splitlines()[-1] == f"workbench: the demo's agent is still in {agent}"
    assert not tagged(edited.tag)


def test_a_folder_of_ones_own_is_kept_and_nothing_in_it_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "demo.py").write_text("precious")
    run = workbench(tmp_path, "demo", "--no-tui", "--dir", "mine")
    assert (run.returncode, run.stdout) == (2, "")
    assert "mine/demo.py is in the way" in run.stderr
    assert (tmp_path / "mine" / "demo.py").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dir"], "argument --dir: expected one argument"),
        (["--prot", "1"], "did you mean --port?"),
        (["bot.py"], "unexpected argument 'bot.py'"),
        (["--dir", "/proc/nowhere"], "cannot write"),
    ],
)
def test_a_mistake_writes_nothing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- the first agent ---------------------------------------------------------------------------------


def test_the_first_agent_is_written_loads_and_runs(tmp_path: Path) -> None:
    run = workbench(tmp_path, "init", "my agent")
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "wrote my agent/bot.py", "wrote my agent/workbench.toml", "", "next: workbench 'my agent/bot.py'",
    ]  # fmt: skip
    agent = tmp_path / "my agent" / "bot.py"
    options = workbench(tmp_path, "options", str(agent))
    assert options.returncode == 0, options.stderr
    assert '"Bot"' in options.stdout
    once = workbench(
        tmp_path, str(agent), "--no-tui", "--once", "--metadata", '{"say": "hello"}', "--load-threshold", "inf"
    )
    assert once.returncode == 0, once.stderr


async def test_the_first_agent_talks_until_one_says_bye(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "new")]) == 0
    worker = subprocess.Popen(
        [sys.executable, "-m", "workbench", "new/bot.py", "--no-tui", "--once", "--room", "r"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    try:
        socket = tmp_path / "workbench" / f".{worker.pid}.socket"
        wait_until(socket.exists, "the worker listens")
        said: list[str] = []
        async with Client(Address(path=str(socket))) as client, asyncio.timeout(WAIT_S):
            async for frame in client.frames():
                if frame.state.active_jobs():
                    break
            async with client.room("r") as room:
                await room.send("how are you?")
                await room.send("bye")
                async for news in room:
                    message: dict[str, Any] = news.get("message") or {}
                    if message.get("role") == "agent" and not message["partial"]:
                        said.append(message["text"].strip())
                    if news["type"] == "ended":
                        break
        assert said[1:] == ["You said: how are you?", "You said: bye"]
        assert await asyncio.to_thread(worker.wait, WAIT_S) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def test_every_option_that_the_first_file_names_is_one_and_may_be_set(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    file = tmp_path / "workbench.toml"
    lines = [line.removeprefix("# ") if " = " in line else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    options = workbench(tmp_path, "options", "bot.py")
    assert options.returncode == 0, options.stderr
    assert options.stdout.count("workbench.toml:") == sum(" = " in line for line in lines) == 7


@pytest.mark.parametrize("there", ["bot.py", "workbench.toml"])
def test_nothing_is_overwritten_and_what_is_in_the_way_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, there: str
) -> None:
    os.symlink("nowhere", tmp_path / there)
    assert main(["init", str(tmp_path)]) == 2
    assert f"already there, and left as they are: {tmp_path / there}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [there]


def test_the_agents_are_in_the_package() -> None:
    from importlib.resources import files

    names = {file.name for file in files("workbench.demo").iterdir()}
    assert {"bot.py", "workbench.toml", "showcase.py"} <= names
