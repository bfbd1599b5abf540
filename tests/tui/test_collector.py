"""What keeps a key waiting: whole collections of garbage come while nobody types, and a paint comes soon."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import WAIT_S, child_environment
from tests.defences import defence
from tests.tui.stage import staged
from tests.tui.terminal import Terminal
from workbench.tui.collector import AT_LAST_S, EVERY_S, QUIET_S, Collector

HERE = "workbench/tui/collector.py"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def collector() -> tuple[Collector, Clock, list[float]]:
    """One that began, without a hand on the interpreter's own."""
    clock = Clock()
    collected: list[float] = []
    made = Collector(lambda: collected.append(clock.now), clock)
    made._begun = True
    return made, clock, collected


@defence((HERE, "since >= EVERY_S and (", "("))
def test_it_collects_now_and_then_while_nobody_types() -> None:
    made, clock, collected = collector()
    began = clock.now
    for _ in range(int(3 * EVERY_S)):
        clock.now += 1.0
        made.tick()
    assert collected == [began + EVERY_S * n for n in (1, 2, 3)]


@defence((HERE, "now - self._key_at >= QUIET_S", "True"))
def test_a_collection_waits_for_the_end_of_the_typing() -> None:
    made, clock, collected = collector()
    for _ in range(int(2 * EVERY_S)):
        clock.now += 1.0
        made.key()
        made.tick()
    assert collected == []
    clock.now += QUIET_S
    made.tick()
    assert collected == [clock.now]


@defence((HERE, " or since >= AT_LAST_S", ""))
def test_who_types_without_end_waits_once_at_last() -> None:
    made, clock, collected = collector()
    began = clock.now
    while clock.now < began + AT_LAST_S + 10:
        clock.now += 1.0
        made.key()
        made.tick()
    assert collected == [began + AT_LAST_S]


@defence((HERE, "self._begun and ", ""))
def test_before_it_has_begun_it_collects_nothing() -> None:
    made, clock, collected = collector()
    made._begun = False
    clock.now += AT_LAST_S
    made.tick()
    assert collected == []


@defence(("workbench/tui/house.py", "            self._collector.key()\n", ""))
@defence(("workbench/tui/house.py", "        self._collector.tick()\n", ""))
async def test_the_app_tells_it_of_keys_and_of_time() -> None:
    async with staged() as stage:
        told: list[str] = []
        stage.app._collector = SimpleNamespace(key=lambda: told.append("key"), tick=lambda: told.append("tick"))
        await stage.press("j")
        stage.app._tick()
        assert told.count("key") == 1
        assert "tick" in told


PROGRAM = """
import gc, json, os, sys
from workbench.tui.house import HouseApp
painted = HouseApp._painted
def told(self):
    painted(self)
    with open("told", "w") as file:
        json.dump([gc.isenabled(), *gc.get_threshold()[2:], gc.get_freeze_count() > 10_000], file)
HouseApp._painted = told
from workbench.cli import main
sys.exit(main(sys.argv[1:]))
"""


@defence(("workbench/tui/house.py", "            self._collector.begin()\n", "            pass\n"))
def test_after_the_first_frame_only_the_young_are_collected_by_themselves(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = open_terminal("bot.py", "--port=0", program=PROGRAM)
    terminal.sees("● READY")
    assert json.loads((terminal.folder / "told").read_text()) == [True, 1_000_000, True]
    terminal.type("q")
    assert terminal.ended() == 0


FPS = """
import os
from workbench.cli import tui
tui._prepare()
from textual.constants import MAX_FPS
print(MAX_FPS, os.environ.get("TEXTUAL_FPS"))
"""


@defence(("workbench/cli/tui.py", 'os.environ["TEXTUAL_FPS"] = "240"', 'os.environ["TEXTUAL_FPS"] = "60"'))
@defence(("workbench/cli/tui.py", 'if "TEXTUAL_FPS" not in os.environ:', "if True:"))
@defence(("workbench/cli/tui.py", '        del os.environ["TEXTUAL_FPS"]', "        pass"))
@pytest.mark.parametrize(("own", "used"), [(None, "240 None"), ("30", "30 30")])
def test_textual_ticks_often_enough_for_a_key_unless_the_user_says_how_often(own: str | None, used: str) -> None:
    environment = child_environment(**({"TEXTUAL_FPS": own} if own else {}))
    run = subprocess.run(
        [sys.executable, "-c", FPS], capture_output=True, text=True, check=True, env=environment, timeout=WAIT_S
    )
    assert run.stdout.strip() == used
