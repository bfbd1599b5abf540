"""The real program hands its terminal to an editor, and takes it back."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.terminal import Terminal, modes_left

pytestmark = pytest.mark.timeout(180)

EDITOR = """
import sys
kept = sys.argv[1]
try:
    print("EDITOR", *sys.argv[2:], sys.stdin.isatty(), flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
    sys.stdin.readline()
open(kept, "w").write(chr(10).join(sys.argv[2:]))
"""


def test_o_lends_the_terminal_to_the_editor_and_a_ctrl_c_in_there_is_not_for_us(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    editor, kept = tmp_path / "my editor.py", tmp_path / "kept"
    editor.write_text(EDITOR)
    agent = (
        "async def entrypoint(ctx):\n"
        "    await ctx.connect()\n"
        "    print('see talk.py:1', flush=True)\n"
        "    await ctx.run_until_shutdown()\n"
    )
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(editor))} {kept}"
    files = {"agent.py": agent, "talk.py": "x = 1\n"}
    terminal = open_terminal("agent.py", "--port=0", "--start-job", files=files, EDITOR=command)
    terminal.sees("● READY")
    terminal.type("2")
    terminal.sees("talk.py:1")
    terminal.type("/")
    terminal.sees("!text hides it", "esc Leave")
    terminal.type("see")
    terminal.sees("/see")
    terminal.type("\r")
    terminal.sees("1 of ", "q Quit")
    terminal.type("o")
    terminal.sees(f"EDITOR +1 {terminal.folder}/talk.py"[:60])
    terminal.type("\x03")
    terminal.sees("INTERRUPTED")
    terminal.type("\r")
    terminal.sees("talk.py:1 was opened", "q Quit")
    assert kept.read_text() == f"+1\n{terminal.folder}/talk.py"
    terminal.type("q")
    assert terminal.ended() == 0
    assert modes_left(bytes(terminal.raw)) == {}
    assert terminal.after == terminal.before


def test_an_editor_that_cannot_be_run_gives_the_terminal_back(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("bot.py", "--port=0", PAGER="/nowhere/pager", EDITOR="", VISUAL="")
    terminal.sees("● READY", "this is Freewheel")
    terminal.type("2o")
    terminal.sees("/nowhere/pager cannot be run", "q Quit")
    terminal.type("q")
    assert terminal.ended() == 0
    assert modes_left(bytes(terminal.raw)) == {}
    assert terminal.after == terminal.before
