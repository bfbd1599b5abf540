"""The real program on a real terminal: jobs poured in, and the demo."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WAIT_S, child_environment, wait_until
from tests.tui.terminal import Terminal
from tests.tui.test_terminal import OpenTerminal, assert_restored, start
from tests.tui.test_terminal_jobs import jobs, leave
from workbench.client.address import Address
from workbench.client.client import Client

pytestmark = pytest.mark.timeout(180)
BACK_TAB = "\x1b[Z"
WAITS = "async def entrypoint(ctx):\n    await ctx.run_until_shutdown()\n"


def say(terminal: Terminal, text: str) -> None:
    """Fill in the last field, and start."""
    terminal.type(BACK_TAB)
    terminal.sees("esc Leave")
    terminal.type(f"{text}\r")


def test_jobs_are_poured_in_and_what_became_of_them_is_shown(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal, "--max-processes=9")
    terminal.type("6")
    terminal.sees("g Pour")
    terminal.type("e")
    terminal.sees("esc Leave")
    terminal.type("4")
    terminal.sees("jobs 4 ")
    terminal.type("\x1b")
    terminal.sees("g Pour")
    say(terminal, "hello | bye")
    terminal.sees("every accepted job ended well", "4 of 4", "whole reply")
    found = [job for job in jobs(terminal) if not job["own"]]
    assert [job["status"] for job in found] == ["completed"] * 4  # the bot ends the job when one says bye
    assert all(job["report"]["turns"] == 2 for job in found)
    leave(terminal)


def test_jobs_are_poured_in_on_the_smallest_screen(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("bot.py", "--port=0", size=(50, 20))
    terminal.sees("READY")
    terminal.type("6")
    terminal.sees("g Pour")
    terminal.type("g")
    terminal.sees("20 of 20", "plan to start")
    leave(terminal)


@pytest.mark.parametrize("terminated", [False, True])
def test_leaving_while_jobs_are_poured_in_ends_those_jobs_and_asks_nothing(
    open_terminal: OpenTerminal, tmp_path: Path, terminated: bool
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    worker = subprocess.Popen(
        [sys.executable, "-m", "workbench", "waits.py", "--no-tui", "--port=0", "--load-threshold=inf"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    try:
        socket = tmp_path / "workbench" / f".{worker.pid}.socket"
        wait_until(socket.exists, "the worker listens")
        terminal = open_terminal("attach", str(socket))
        terminal.sees("● READY")
        terminal.type("6")
        terminal.sees("g Pour")
        say(terminal, "hello")  # which nobody answers
        terminal.sees("● 5", "◆")
        if terminated:
            terminal.process.terminate()
        else:
            terminal.type("q")
        assert terminal.ended() == (128 + signal.SIGTERM if terminated else 0)
        assert_restored(terminal)
        if terminated:  # they were asked, which is all that was waited for
            wait_until(lambda: "running" not in dict(asyncio.run(ends(socket))), "they have ended")
        assert asyncio.run(ends(socket)) == {("cancelled", "cancelled")}
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(WAIT_S)


async def ends(socket: Path) -> set[tuple[str, str]]:
    """How the jobs of a worker ended; all of them must have."""
    async with Client(Address(path=str(socket))) as client:
        return {(job["status"], job["reason"]) for job in (await client.request("GET", "/jobs"))["jobs"]}


def test_the_demo_shows_every_trouble_and_q_ends_it_all(open_terminal: OpenTerminal, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    terminal: Terminal = open_terminal("demo", "--port=0", TMPDIR=str(temporary))
    terminal.sees("this is a real worker", "q ends everything", "over 60M", "stalled", "failed")
    (agent,) = temporary.glob("workbench-demo-*/demo.py")
    agent.write_text(agent.read_text().replace('GREETING = "Hello!', 'GREETING = "Good evening!'))
    terminal.sees("Good evening!")
    assert len([job for job in jobs(terminal) if job["status"] == "running"]) > 1
    leave(terminal)
    assert agent.exists()  # it was changed
