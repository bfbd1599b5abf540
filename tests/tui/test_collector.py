"""What keeps a key waiting: whole collections of garbage come while nobody types, and a paint comes soon."""

import subprocess
import sys

import pytest

from tests.conftest import WAIT_S, child_environment
from tests.defences import defence
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


@defence(("workbench/cli/tui.py", 'os.environ.setdefault("TEXTUAL_FPS", "240")', "pass"))
@defence(("workbench/cli/tui.py", 'os.environ.setdefault("TEXTUAL_FPS", "240")', 'os.environ["TEXTUAL_FPS"] = "240"'))
@pytest.mark.parametrize(("own", "used"), [(None, 240), ("30", 30)])
def test_textual_ticks_often_enough_for_a_key_unless_the_user_says_how_often(own: str | None, used: int) -> None:
    program = "from workbench.cli import tui; tui._prepare(); from textual.constants import MAX_FPS; print(MAX_FPS)"
    environment = child_environment(**({"TEXTUAL_FPS": own} if own else {}))
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=WAIT_S
    )
    assert int(run.stdout) == used
