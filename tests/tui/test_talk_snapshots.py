"""Pictures of the talk with several rooms, of what is said again, and of a drain."""

from tests.tui.demo_state import NOW, OWN_ROOM, chat, demo_state, log_lines, message
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.pictures import LOOKS, SIZES, Look, Picture, picture, talking
from tests.tui.stage import Stage
from workbench.model import events as ev

__all__ = ["picture"]

OTHER = "job-88a0"


def rich() -> FakeSource:
    """A worker with everything going on, a conversation with its own job, and one with another."""
    source = FakeSource(demo_state(), log_lines())
    source.rooms[OWN_ROOM] = FakeRoom(chat())
    source.rooms[OTHER] = FakeRoom(
        [
            message("1.1", "agent", "Good evening. Which order is it about?", NOW - 90),
            message("m1", "user", "how do I fix a flat?", NOW - 60),
            message("1.2", "agent", "Five steps. 1. Take the wheel out", NOW - 59.82, partial=True),
            message("1.2", "agent", "Five steps. 1. Take the wheel out and lift one side of the tyre.", NOW - 58.8),
        ]
    )
    return source


async def both(stage: Stage) -> None:
    """Both rooms are open, the other one is shown, and the own one says something more."""
    await talking(stage)
    await stage.press(*"j" * 3, "t")
    await stage.sees("first words 180ms, whole 1.2s")
    stage.source.rooms[OWN_ROOM].tell(message("2.2", "agent", "Is there anything else?", NOW))
    await stage.sees(f"{OWN_ROOM} +1")
    stage.talk.rooms.shown.spoken = True  # it was said from here


@LOOKS
def test_two_rooms_and_a_reply_that_was_streamed(picture: Picture, look: Look) -> None:
    picture(look, rich(), both)


@SIZES
def test_what_can_be_said_again(picture: Picture, look: Look) -> None:
    async def reloaded(stage: Stage) -> None:
        await both(stage)
        stage.source.rooms[OTHER].tell({"type": "attempt", "attempt": 2, "generation": 7})
        await stage.sees("Ctrl-r says this again")

    picture(look, rich(), reloaded)


@SIZES
def test_what_is_being_said_again(picture: Picture, look: Look) -> None:
    async def sending(stage: Stage) -> None:
        await both(stage)
        stage.source.rooms[OTHER].tell({"type": "attempt", "attempt": 2, "generation": 7})
        await stage.sees("Ctrl-r says this again")
        await stage.press("ctrl+r")
        await stage.sees("sending 1 of 1 again")
        stage.source.rooms[OTHER].tell(message("m2", "user", "how do I fix a flat?", NOW - 2))
        stage.source.rooms[OTHER].tell(message("2.1", "agent", "Bring it to us, ", NOW - 1.5, partial=True))
        await stage.sees("Bring it to us")

    picture(look, rich(), sending)


@LOOKS
def test_a_drain_with_a_deadline(picture: Picture, look: Look) -> None:
    async def drain(stage: Stage) -> None:
        await talking(stage)
        await stage.happen(ev.ProcessResumed(at=NOW, id=2))
        await stage.happen(ev.DrainStarted(at=NOW, why="SIGTERM received", deadline_at=NOW + 3552))
        await stage.sees("59:12 until they are cut")

    picture(look, rich(), drain)
