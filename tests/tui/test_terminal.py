"""The real program on a real terminal: how it comes up, and how it leaves everything as it was."""

import json
import os
import signal
import subprocess
import sys
import termios
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import child_environment, tagged, wait_until
from tests.defences import defence
from tests.tui.conftest import SAMPLES
from tests.tui.terminal import LAUNCH, SHELL, WAIT_S, Terminal, control_bytes, modes_left, sequences

pytestmark = pytest.mark.timeout(180)

OpenTerminal = Callable[..., Terminal]
GREETING = "this is Freewheel"
NOTE = "no terminal here: running headless, as with --no-tui"
# As some programs hand over a terminal: it is nobody's controlling one, so its end sends no signal.
NOT_CONTROLLING = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
# What Textual paints and asks with: colours, the cursor's place, private modes, keyboard and mode queries.
OWN = {"m", "H", "?h", "?l", "?$p", ">u", "<u", "?u", "\x1b]22;default\x07"}


def assert_restored(terminal: Terminal, may_ring: bool = False) -> None:
    """The terminal is as it was before: own screen, cursor, modes, line discipline; and nothing is left running."""
    raw = bytes(terminal.raw)
    assert terminal.after == terminal.before
    assert modes_left(raw) == {}
    assert raw.rindex(b"\x1b[?1049l") > raw.rindex(b"\x1b[?1049h")
    assert raw.rindex(b"\x1b[?25h") > raw.rindex(b"\x1b[?25l")
    assert raw.count(b"\x1b[>") == raw.count(b"\x1b[<")
    assert control_bytes(raw) <= {b"\r", b"\n"} | ({b"\x07"} if may_ring else set())
    assert sequences(raw) <= OWN, sequences(raw) - OWN
    wait_until(lambda: not tagged(terminal.tag), "nothing of it is left")


def start(open_terminal: OpenTerminal, *flags: str, agent: str = "bot.py", **how: Any) -> Terminal:
    """The workbench over a sample, up to the bot's greeting."""
    terminal = open_terminal(agent, "--port=0", *flags, **how)
    terminal.sees("● READY", GREETING)
    return terminal


def test_the_bot_greets_and_answers_and_q_leaves_everything_as_it_was(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    terminal.type("3")
    terminal.sees("esc Leave")
    terminal.type("My name is Ada. Where is order 1042?\r")
    terminal.sees("Nice to meet you, Ada.", "answered in")
    terminal.type("\x1b")
    terminal.sees("q Quit")
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


@defence(("workbench/cli/tui.py", "os.environ.pop(name, None)", "pass"))
def test_it_follows_the_size_of_the_terminal_and_not_of_the_environment(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("bot.py", "--port=0", COLUMNS="80", LINES="24")
    terminal.sees("● READY", GREETING)
    for columns, rows in ((120, 40), (80, 24), (50, 20), (200, 60), (20, 5), (100, 30)):
        terminal.resize(columns, rows)
        terminal.until(partial(keys_fill_the_last_row, terminal, columns), f"the keys in row {rows}")
    terminal.sees("1 Processes", "2 Logs", GREETING)
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


def keys_fill_the_last_row(terminal: Terminal, columns: int) -> bool:
    """Whether the bottom row shows the keys, in a screen that is painted at this size."""
    rows = terminal.rows()
    return "q Quit" in rows[-1] and bool(rows[0].strip()) and len(rows[0]) == columns


def test_ctrl_c_leaves_like_q(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    terminal.type("\x03")
    assert terminal.ended() == 0
    assert_restored(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_and_ends_everything(
    open_terminal: OpenTerminal, number: signal.Signals
) -> None:
    terminal = start(open_terminal)
    os.kill(terminal.process.pid, number)
    assert terminal.ended() == 128 + number
    assert_restored(terminal)


@defence(("workbench/tui/house.py", "self._hung_up() if terminal_gone() else None", "None"))
@pytest.mark.parametrize("launch", [LAUNCH, NOT_CONTROLLING], ids=["with SIGHUP", "without a signal"])
def test_a_closed_window_ends_everything(open_terminal: OpenTerminal, launch: str) -> None:
    terminal = open_terminal("bot.py", "--port=0", launch=launch)
    terminal.sees("● READY", GREETING)
    terminal.hang_up()
    assert terminal.ended() == 128 + signal.SIGHUP
    wait_until(lambda: not tagged(terminal.tag), "nothing of it is left")


def test_ctrl_z_suspends_the_screen_only_and_fg_brings_it_back(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("bot.py", "--port=0", launch=SHELL)
    terminal.sees("● READY", GREETING)
    (screen,) = psutil.Process(terminal.process.pid).children()
    (supervisor,) = [child for child in screen.children() if "--no-tui" in child.cmdline()]
    terminal.type("\x1a")
    terminal.until(lambda: b"suspended" in terminal.raw, "the shell has the terminal")
    assert modes_left(bytes(terminal.raw)) == {}
    assert termios.tcgetattr(terminal.slave) == terminal.before
    assert screen.status() == psutil.STATUS_STOPPED
    assert {child.status() for child in supervisor.children(recursive=True)}.isdisjoint({psutil.STATUS_STOPPED})
    terminal.type("fg\n")
    terminal.sees("● READY", GREETING, "q Quit")
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_a_killed_screen_takes_its_supervisor_along(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    supervisor = terminal.supervisor()
    os.kill(terminal.process.pid, signal.SIGKILL)
    assert terminal.ended() == -signal.SIGKILL
    wait_until(lambda: not supervisor.is_running(), "the supervisor stops by itself")
    wait_until(lambda: not tagged(terminal.tag), "nothing of it is left")


def test_a_killed_supervisor_is_named_and_can_be_started_again(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    killed = terminal.supervisor()
    killed.kill()
    terminal.sees("The supervisor has ended: killed by SIGKILL", "R Start again")
    wait_until(lambda: tagged(terminal.tag) == [terminal.process.pid], "its jobs went with it")
    terminal.type("R")
    terminal.until(lambda: "The supervisor has ended" not in terminal.text(), "the card is gone")
    terminal.sees("● READY", GREETING)
    assert terminal.supervisor().pid != killed.pid
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)


def test_starting_again_leaves_no_descriptor_behind(open_terminal: OpenTerminal) -> None:
    terminal = start(open_terminal)
    screen = psutil.Process(terminal.process.pid)
    before = screen.num_fds()
    for _ in range(3):
        terminal.supervisor().kill()
        terminal.sees("The supervisor has ended", "R Start again")
        terminal.type("R")
        terminal.until(lambda: "The supervisor has ended" not in terminal.text(), "the card is gone")
        terminal.sees("● READY", GREETING)
    wait_until(lambda: screen.num_fds() <= before, f"no more than the {before} descriptors it had")
    terminal.type("q")
    assert terminal.ended() == 0


def test_on_a_dumb_terminal_it_runs_headless_and_says_so(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("bot.py", "--port=0", TERM="dumb")
    terminal.until(lambda: NOTE in terminal.raw.decode(), "the note")
    terminal.until(lambda: b"the worker runs" in terminal.raw, "the worker")
    terminal.type("\x03")
    assert terminal.ended() == 0
    assert b"\x1b[?1049h" not in terminal.raw
    assert terminal.raw.decode().count(NOTE) == 1
    wait_until(lambda: not tagged(terminal.tag), "nothing of it is left")


def test_without_a_terminal_it_runs_headless_and_says_so_in_one_line(tmp_path: Path) -> None:
    tag, errors = uuid.uuid4().hex, tmp_path / "stderr"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", str(SAMPLES / "bot.py"), "--port=0"], cwd=tmp_path,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
            env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=tag),
        )  # fmt: skip
    try:
        wait_until(lambda: '"started"' in errors.read_text(), "the worker has started")
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0
    records = [json.loads(line) for line in errors.read_text().splitlines()]
    assert sum(NOTE in record["message"] for record in records) == 1
    wait_until(lambda: not tagged(tag), "nothing of it is left")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.py"], 3, "nowhere.py"),
        (["bot.py", "--max-procs=3"], 2, "--max-processes"),
        (["bot.py", "--max-processes=many"], 2, "max_processes"),
    ],
)
def test_what_cannot_be_used_is_told_before_the_screen_opens(
    open_terminal: OpenTerminal, arguments: list[str], code: int, words: str
) -> None:
    terminal = open_terminal(*arguments)
    assert terminal.ended() == code
    assert words in terminal.raw.decode()
    assert b"\x1b[" not in terminal.raw


def test_with_ascii_every_byte_of_the_screen_is_plain(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("bot.py", "--port=0", "--ascii", "--theme", "light", COLORTERM="truecolor")
    terminal.sees("* READY", GREETING, "* busy")
    assert bytes(terminal.raw).isascii()
    assert b"48;2;250;248;243" in terminal.raw  # the light theme's ground
    terminal.type("q")
    assert terminal.ended() == 0
    assert_restored(terminal)
    assert not list(terminal.folder.glob("workbench/screen.json"))  # a flag is for this time only


def test_looks_without_a_screen_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("async def entrypoint(ctx): ...\n")
    command = [sys.executable, "-m", "workbench", "bot.py", "--no-tui", "--theme", "light"]
    run = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "--theme and --ascii are about the screen" in run.stderr
