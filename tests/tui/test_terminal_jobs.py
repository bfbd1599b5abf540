"""The real program on a real terminal: jobs that are killed, saves that break, output that attacks."""

import asyncio
import os
import signal
from typing import Any

import psutil
import pytest

from tests.conftest import tagged, wait_until
from tests.tui.conftest import SAMPLES
from tests.tui.terminal import Terminal
from tests.tui.test_terminal import GREETING, OpenTerminal, assert_restored, start
from workbench.client.address import Address
from workbench.client.client import Client

pytestmark = pytest.mark.timeout(180)

HOSTILE = r"""
import os
from workbench import JobContext, Options, WorkerJob
EVIL = "A\x1b[2J\x1b]0;pwned\x07\x1b]52;c;QUJD\x07\x1b[?1049l\x1b[?25h\x9b31m\x07\x0f\x0e\x7f\u202eZ"

async def entrypoint(ctx: JobContext) -> None:
    ctx.report(evil=EVIL)
    os.write(1, EVIL.encode() + b"\xff\xfe\x1bc\n")
    print("[red]" + EVIL, "x" * 100_000)
    await ctx.room.send(EVIL + "\x1b[6n")
    await ctx.room.send("all is said")
    async for message in ctx.room:
        raise ValueError(EVIL)

WorkerJob(entrypoint, options=Options(agent_id=EVIL[:1] + "gent")).start()
"""


def asked(terminal: Terminal, path: str, method: str = "GET") -> Any:
    """What the worker answers to a GET."""

    async def ask() -> Any:
        socket = terminal.folder / "workbench" / f".{terminal.supervisor().pid}.socket"
        async with Client(Address(path=str(socket))) as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def jobs(terminal: Terminal) -> list[dict[str, Any]]:
    """All jobs, newest first."""
    found: list[dict[str, Any]] = asked(terminal, "/jobs")["jobs"]
    return found


def leave(terminal: Terminal) -> None:
    """Quit with nobody else's job at risk, and look at what is left."""
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_a_job_that_is_killed_is_named_with_its_signal(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    terminal.type("n")
    terminal.sees("now 2")
    terminal.until(lambda: terminal.text().count("● busy") == 2, "two jobs run")
    job = wait_until(
        lambda: next((j for j in jobs(terminal) if j["started_at"] and not is_own(j, terminal)), None), "it"
    )
    process = psutil.Process(job["pid"])
    assert process.environ()["TEST_TAG"] == terminal.tag
    os.kill(job["pid"], signal.SIGKILL)
    terminal.sees("signalled SIGKILL")
    wait_until(lambda: not process.is_running(), "it is gone from the process table")
    (ended,) = [found for found in jobs(terminal) if found["id"] == job["id"]]
    assert (ended["status"], ended["reason"], ended["signal"]) == ("failed", "signalled", "SIGKILL")
    leave(terminal)


def is_own(job: dict[str, Any], terminal: Terminal) -> bool:
    """Whether the workbench itself started the job: it is the oldest."""
    return bool(job["id"] == jobs(terminal)[-1]["id"])


def test_a_broken_save_shows_its_line_while_the_old_code_answers_and_a_mended_one_takes_over(
    open_terminal: OpenTerminal,
) -> None:
    terminal = start(open_terminal, size=(100, 44))  # below the card there is room for an answer to stay
    agent = terminal.folder / "bot.py"
    good = agent.read_text()
    line = next(n for n, text in enumerate(good.splitlines(), 1) if text.startswith("GREETING = "))
    room = jobs(terminal)[0]["room_id"]
    agent.write_text(good.replace("GREETING = ", "GREETING = (", 1))
    terminal.sees(
        "Generation 2 cannot serve; generation 1 still serves 1 job", "'(' was never closed", f"bot.py:{line}"
    )
    terminal.type("3")
    terminal.sees("esc Leave")
    terminal.type("who am I?\r")
    terminal.sees("I know you as stranger.")
    agent.write_text(good.replace(GREETING, "this is the mended shop"))
    terminal.sees("this is the mended shop", "from here")
    terminal.until(lambda: "Generation 2 cannot serve" not in terminal.text(), "the card is gone")
    (job,) = jobs(terminal)
    assert (job["room_id"], job["attempt"]) == (room, 2)
    terminal.type("who am I?\r")
    terminal.until(lambda: terminal.text().count("I know you as stranger.") == 2, "the new code answers")
    terminal.type("\x1b")
    terminal.sees("q Quit")
    leave(terminal)


def test_an_agent_that_cannot_be_loaded_opens_the_screen_and_waits_for_a_save(open_terminal: OpenTerminal) -> None:
    good = (SAMPLES / "bot.py").read_text()
    terminal = open_terminal("mine.py", "--port=0", files={"mine.py": good.replace("import re\n", "import rex\n")})
    terminal.sees("The agent cannot be loaded", "No module named 'rex'")
    (terminal.folder / "mine.py").write_text(good)
    terminal.sees("● READY", GREETING)
    terminal.until(lambda: "cannot be loaded" not in terminal.text(), "the card is gone")
    leave(terminal)


def test_hostile_output_reaches_the_terminal_only_as_text(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("hostile.py", "--port=0", files={"hostile.py": HOSTILE})
    terminal.sees("all is said", "A·31m␇␏␎␡·Z")
    terminal.type("2")
    terminal.sees("f Follow")
    terminal.type("3")
    terminal.sees("esc Leave")
    terminal.type("go\r")
    terminal.sees("failed / raised")
    terminal.type("\x1b")
    terminal.sees("q Quit")
    leave(terminal)
    assert b"pwned" not in terminal.raw


def test_with_another_job_q_asks_and_leaving_it_running_keeps_it_running(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    terminal.type("n")
    terminal.until(lambda: terminal.text().count("● busy") == 2, "two jobs run")
    supervisor = terminal.supervisor()
    pids = {job["pid"] for job in jobs(terminal)}
    terminal.type("q")
    terminal.sees("1 job runs besides the workbench's own.", "Leave it running")
    terminal.type("l")
    assert terminal.ended() == 0
    printed = terminal.raw.decode().rpartition("\x1b[?1049l")[2]
    assert f"(pid {supervisor.pid})" in printed
    assert "workbench attach /" in printed
    assert all(psutil.pid_exists(pid) for pid in pids)
    back = open_terminal("attach", printed.split("workbench attach ")[1].split()[0])
    back.until(lambda: back.text().count("● busy") == 2, "both jobs are still there")
    back.type("q")
    assert back.ended() == 0
    assert supervisor.is_running()
    supervisor.send_signal(signal.SIGTERM)
    supervisor.send_signal(signal.SIGINT)
    wait_until(lambda: not tagged(terminal.tag), "everything ends when it is told to")
