"""Pictures of the tuning pane."""

from tests.tui.demo_state import OWN_ROOM, chat, log_lines
from tests.tui.fakes import NOW, FakeRoom, FakeSource
from tests.tui.pictures import LOOKS, SMALL, Look, Picture, picture, talking
from tests.tui.stage import Stage
from tests.tui.test_tune import at, tuned

__all__ = ["picture"]


def rich() -> FakeSource:
    """A worker with everything going on, one option live, one for a time only."""
    source = tuned(num_idle_processes=2, job_timeout=(600.0, NOW + 581))
    source._lines = log_lines()
    source.rooms[OWN_ROOM] = FakeRoom(chat())
    return source


async def tried(stage: Stage) -> None:
    """Two values are pending, and one that needs a restart."""
    await talking(stage)
    await at(stage, "port")
    await stage.press("plus")
    await at(stage, "memory_limit_mb")
    await stage.press("minus", "minus", "minus")
    await at(stage, "load_threshold")
    await stage.press("minus", "minus", "minus")


async def refused(stage: Stage) -> None:
    """A value that cannot be was typed."""
    await talking(stage)
    await at(stage, "max_processes")
    await stage.press("enter")
    await stage.type("lots")
    await stage.press("enter")


@LOOKS
def test_values_that_are_tried(picture: Picture, look: Look) -> None:
    picture(look, rich(), tried)


def test_a_value_that_cannot_be(picture: Picture) -> None:
    picture(SMALL, rich(), refused)
