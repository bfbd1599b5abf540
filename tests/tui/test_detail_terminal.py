"""The detail of a process on a real terminal, over a real worker."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.tui.terminal import Terminal

pytestmark = pytest.mark.timeout(180)
SECRET = "sesame-open-0815"


def block_line(folder: Path) -> int:
    """Where the sample stands still."""
    lines = (folder / "stuck.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if "time.sleep(seconds)  #" in line)


def test_a_stalled_process_is_named_dumped_and_opened_in_the_editor(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    editor = tmp_path / "vim"
    editor.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/edited\n')
    os.chmod(editor, os.stat(editor).st_mode | stat.S_IXUSR)
    terminal = open_terminal(
        "stuck.py", "--port=0", "--ping-timeout=0", size=(80, 24), VISUAL=str(editor), AAA_API_KEY=SECRET
    )
    terminal.sees("Say block or busy")
    number = block_line(terminal.folder)
    terminal.type("3")
    terminal.sees("esc Leave")
    terminal.type("block 60\r")
    terminal.sees(f"stuck.py:{number} in block")
    terminal.type("\x1b")
    terminal.sees("q Quit")
    terminal.type("1")
    terminal.sees("▌1 Processes")
    terminal.type("\r")
    terminal.sees("▲ stalled", "1 Process ", "zygote: nothing stands against forking")
    terminal.type("s")
    terminal.sees("4 Stack", f"stuck.py:{number} in block", "in entrypoint", "y copies")
    terminal.type("o")
    wait_until(lambda: (tmp_path / "edited").exists(), "the editor was called")
    terminal.sees("4 Stack")
    terminal.type("e")
    terminal.sees("AAA_API_KEY=********")
    terminal.type("\x1b")
    terminal.sees("1 Processes")
    terminal.type("q")
    assert terminal.ended() == 0
    file, plus = reversed((tmp_path / "edited").read_text().split())
    assert (plus, file) == (f"+{number}", str(terminal.folder / "stuck.py"))
    assert SECRET.encode() not in bytes(terminal.raw)
