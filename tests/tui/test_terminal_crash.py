"""A bug of ours in the screen: the terminal is given back as it was, with what is needed to mend it."""

from collections.abc import Callable

import pytest

from tests.tui.terminal import Terminal
from tests.tui.test_terminal import GREETING, assert_restored

pytestmark = pytest.mark.timeout(180)

OpenTerminal = Callable[..., Terminal]
# The program in this very process, with a bug put into it that the key z brings out.
CRASHING = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from workbench.tui.screens.board import BoardScreen
from workbench.tui.widgets.talk.view import TalkView

def fail(*_):
    raise RuntimeError("a bug for the test")

def in_a_key(self):
    fail()

def in_drawing(self):
    TalkView.draw = fail
    self.talk.view.redraw()

def in_painting(self):
    TalkView.render_line = fail
    self.talk.view.refresh()

async def failing():
    fail()

def in_a_task(self):
    self.app.run_worker(failing())

BoardScreen.action_zoom = {where}
sys.argv[:] = ["workbench", *sys.argv[4:]]
runpy.run_module("workbench", run_name="__main__")
"""


@pytest.mark.parametrize("where", ["in_a_key", "in_drawing", "in_painting", "in_a_task"])
def test_a_crash_of_the_screen_restores_the_terminal_and_ends_the_worker(
    open_terminal: OpenTerminal, where: str
) -> None:
    terminal = open_terminal("bot.py", "--port=0", launch=CRASHING.replace("{where}", where))
    terminal.sees("● READY", GREETING)
    terminal.type("z")
    assert terminal.ended() == 1
    assert_restored(terminal, may_ring=True)
    printed = bytes(terminal.raw).rpartition(b"\x1b[?1049l")[2].decode()
    assert "a bug for the test" in printed
