"""Pictures of the detail of a process: healthy, stalled and dead."""

import pytest

from tests.tui.demo_detail import dead, death, dump
from tests.tui.demo_state import OWN_ROOM
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import Stage
from tests.tui.test_detail import opened
from tests.tui.test_detail import source as bare
from tests.tui.test_snapshots import Picture, picture

__all__ = ["picture"]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)


def source() -> FakeSource:
    """With a minute of measurements behind it."""
    found = bare()
    found.rooms[OWN_ROOM] = FakeRoom([])
    return found


@SIZES
def test_a_healthy_process(picture: Picture, size: tuple[int, int]) -> None:
    async def look(stage: Stage) -> None:
        await opened(stage, 41201)

    picture(size, source(), look)


@SIZES
def test_a_stalled_process(picture: Picture, size: tuple[int, int]) -> None:
    async def look(stage: Stage) -> None:
        stage.source.details[41202]["dump"] = dump()
        await opened(stage, 41202)

    picture(size, source(), look)


@SIZES
def test_a_dead_process(picture: Picture, size: tuple[int, int]) -> None:
    async def look(stage: Stage) -> None:
        screen = await opened(stage, 41203)
        stage.source.details[41203] = dead({**stage.source.details[41203], "dump": None})
        await stage.happen(*death(3))
        await stage.until(lambda: screen.subject.finished, "its end is told")

    picture(size, source(), look)
