"""The tuning pane on a real terminal over a real worker: what is applied has its effect, what is saved is a file."""

from collections.abc import Callable

import pytest

from tests.tui.terminal import Terminal

pytestmark = pytest.mark.timeout(180)


def test_a_value_is_tried_applied_and_saved(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("bot.py", "--port=0", "--load-threshold=inf", files={"workbench.toml": "# shop\n"})
    terminal.sees("● READY", "this is Freewheel")
    terminal.type("T")
    terminal.sees("+ Up")
    terminal.type("/")
    terminal.sees("esc Leave")
    terminal.type("max_proc\r")
    terminal.sees("1 of 24", "5 processes", "+ Up")
    terminal.type("\r")
    terminal.sees("esc Leave")
    terminal.type("1\r")
    terminal.sees("5 → 1 process ", "◇ 1 pending")
    terminal.type("a")
    terminal.sees("✓ applied: max_processes 1; u undoes", "1 process ")
    terminal.type("n")
    terminal.sees("of max_processes 1")  # its own job is the one
    terminal.type("w")
    terminal.sees("wrote max_processes = 1 to")
    assert (terminal.folder / "workbench.toml").read_text() == "# shop\nmax_processes = 1\n"
    terminal.type("u")
    terminal.sees("✓ undone: max_processes", "5 processes")
    terminal.type("q")
    assert terminal.ended() == 0
