"""Pictures of the detail of a process: healthy, stalled and dead."""

from tests.tui.demo_detail import dead, death, dump
from tests.tui.demo_state import OWN_ROOM
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.pictures import LOOKS, Look, Picture, picture
from tests.tui.stage import Stage
from tests.tui.test_detail import opened
from tests.tui.test_detail import source as bare

__all__ = ["picture"]


def source() -> FakeSource:
    """With a minute of measurements behind it."""
    found = bare()
    found.rooms[OWN_ROOM] = FakeRoom([])
    return found


@LOOKS
def test_a_healthy_process(picture: Picture, look: Look) -> None:
    async def open_it(stage: Stage) -> None:
        await opened(stage, 41201)

    picture(look, source(), open_it)


@LOOKS
def test_a_stalled_process(picture: Picture, look: Look) -> None:
    async def open_it(stage: Stage) -> None:
        stage.source.details[41202]["dump"] = dump()
        await opened(stage, 41202)

    picture(look, source(), open_it)


@LOOKS
def test_a_dead_process(picture: Picture, look: Look) -> None:
    async def open_it(stage: Stage) -> None:
        screen = await opened(stage, 41203)
        stage.source.details[41203] = dead({**stage.source.details[41203], "dump": None})
        await stage.happen(*death(3))
        await stage.until(lambda: screen.subject.finished, "its end is told")

    picture(look, source(), open_it)
