"""Rooms on a real terminal over real workers: several at once, said again, and a supervisor that stands still."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import child_environment, tagged, wait_until
from tests.tui.terminal import WAIT_S, Terminal
from tests.tui.test_terminal import OpenTerminal, assert_restored
from tests.tui.test_terminal_jobs import asked, jobs

pytestmark = pytest.mark.timeout(180)

# Each job writes down what it heard, and under which version of the code.
AGENT = """
import os
from workbench import JobContext

VERSION = "first"

async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.room.send(f"hello from {VERSION}")
    async for message in ctx.room:
        with open(f"heard-{ctx.room.id}", "a") as heard:
            print(VERSION, message.text, file=heard)
        if message.text == "stream":
            await ctx.room.send(pieces())
        else:
            await ctx.room.send(f"{VERSION}: {message.text}")

async def pieces():
    import asyncio
    for n in range(4):
        await asyncio.sleep(0.1)
        yield f"piece{n} "
"""


def start(open_terminal: OpenTerminal) -> Terminal:
    """The workbench over that agent."""
    terminal = open_terminal("talker.py", "--port=0", files={"talker.py": AGENT})
    terminal.sees("● READY", "hello from first")
    return terminal


def heard(terminal: Terminal, room: str) -> list[str]:
    """What the agent wrote down."""
    file = terminal.folder / f"heard-{room}"
    return file.read_text().splitlines() if file.exists() else []


def messages(terminal: Terminal, room: str) -> list[dict[str, Any]]:
    """The room's messages, as the supervisor has them."""
    found: list[dict[str, Any]] = asked(terminal, f"/rooms/{room}/messages")["messages"]
    return found


def leave(terminal: Terminal) -> None:
    """Stop everything."""
    terminal.type("q")
    terminal.sees("Stop now")
    terminal.type("s")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_two_rooms_are_talked_to_and_each_hears_only_its_own(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    (own,) = [job["room_id"] for job in jobs(terminal)]
    terminal.type("n")
    terminal.until(lambda: terminal.text().count("● room-") >= 3, "two rooms in the bar, one in the title")
    (other,) = [job["room_id"] for job in jobs(terminal) if job["room_id"] != own]
    terminal.type("3")
    terminal.sees("esc Leave")
    terminal.type("to the other\r")
    terminal.sees("first: to the other")
    terminal.type("\x1b[1;3D")  # Alt-Left
    terminal.until(lambda: "first: to the other" not in terminal.text(), "the own room is shown")
    terminal.type("stream\r")
    terminal.sees("piece3", "first words", "whole")
    assert heard(terminal, own) == ["first stream"]
    assert heard(terminal, other) == ["first to the other"]
    terminal.type("\x1b")
    terminal.sees("] Next room")
    terminal.type("]")
    terminal.sees("first: to the other")
    terminal.type("w")
    terminal.until(lambda: f"● {other}" not in terminal.text(), "the other room is not listed any more")
    assert {job["status"] for job in jobs(terminal)} == {"running"}
    leave(terminal)


def test_after_a_save_ctrl_r_says_it_again_and_the_new_code_answers(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    (own,) = [job["room_id"] for job in jobs(terminal)]
    terminal.type("3")
    terminal.sees("esc Leave")
    for text in ("stream", "two"):
        terminal.type(f"{text}\r")
        wait_until(lambda text=text: heard(terminal, own)[-1:] == [f"first {text}"], "it is heard")
    terminal.sees("first: two")
    (terminal.folder / "talker.py").write_text(AGENT.replace('"first"', '"second"'))
    terminal.sees("hello from second", "Ctrl-r says these 2 again")
    terminal.type("\x12")
    terminal.sees("second: two")
    assert heard(terminal, own) == ["first stream", "first two", "second stream", "second two"]
    said = [(message["role"], message["text"]) for message in messages(terminal, own)][-4:]
    assert said == [  # the second was said after the end of the reply to the first
        ("user", "stream"), ("agent", "piece0 piece1 piece2 piece3 "), ("user", "two"), ("agent", "second: two"),
    ]  # fmt: skip
    terminal.until(lambda: "sending" not in terminal.text(), "it is over")
    terminal.type("\x1b")
    terminal.sees("q Quit")
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_a_drain_lists_what_is_left_and_the_screen_leaves_with_the_last_job(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    terminal.type("n")
    terminal.until(lambda: terminal.text().count("● busy") == 2, "two jobs run")
    other, own = jobs(terminal)
    terminal.type("D")
    terminal.sees("◐ draining: 2 jobs left", f"{other['id']}  ", "U takes them again")
    assert asked(terminal, "/worker")["draining"] is True
    terminal.type("U")
    terminal.until(lambda: "draining: 2 jobs left" not in terminal.text(), "the card is gone")
    assert asked(terminal, "/worker")["draining"] is False
    terminal.type("q")
    terminal.sees("Drain: take no new jobs")
    terminal.type("d")
    terminal.sees("◐ draining: 1 job left, 59:", "this closes when the last job has ended")
    assert own["id"] not in [job["id"] for job in jobs(terminal) if job["status"] == "running"]
    asked(terminal, f"/jobs/{other['id']}", "DELETE")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_a_worker_that_stands_still_or_is_killed_under_attach_is_told(
    open_terminal: OpenTerminal, tmp_path: Path
) -> None:
    (tmp_path / "talker.py").write_text(AGENT)
    tag = uuid.uuid4().hex
    worker = subprocess.Popen(
        [sys.executable, "-m", "workbench", "talker.py", "--no-tui", "--port=0"], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=tag, WORKBENCH_LOAD_THRESHOLD="inf"),
    )  # fmt: skip
    try:
        socket = tmp_path / "workbench" / f".{worker.pid}.socket"
        wait_until(socket.exists, "the worker listens")
        terminal = open_terminal("attach", str(socket))
        terminal.sees("● READY")
        os.kill(worker.pid, signal.SIGSTOP)
        terminal.sees("✗ silent for", "the supervisor stands still")
        os.kill(worker.pid, signal.SIGCONT)
        terminal.sees("● READY")
        worker.kill()
        terminal.sees("✗ stale", "R Try again", "reconnecting in")
        terminal.type("R")
        terminal.sees("✗ stale")
        terminal.type("q")
        assert terminal.ended() == 0
        assert_restored(terminal)
    finally:
        worker.kill()
        worker.wait(WAIT_S)
        wait_until(lambda: not tagged(tag), "nothing of it is left")
