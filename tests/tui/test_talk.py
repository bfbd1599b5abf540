"""The talk pane: what is said, what is heard, and what becomes of it when something breaks."""

import asyncio

from tests.tui.demo_state import NOW, OWN_ROOM, broken, demo_state, ended, job, message, process
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import Stage, staged
from workbench.model import events as ev
from workbench.tui.widgets.talk.view import FEW_ROWS


def source() -> tuple[FakeSource, FakeRoom]:
    """A worker whose own job has greeted."""
    made, room = FakeSource(demo_state()), FakeRoom([message("1.1", "agent", "Hello!", NOW - 60)])
    made.rooms[OWN_ROOM] = room
    return made, room


def entries(stage: Stage) -> list[str]:
    """The conversation, as it is on the screen."""
    return [row.strip() for row in stage.of("#talk-view").split("\n") if row.strip()]


async def test_the_room_of_the_own_job_is_joined_by_itself() -> None:
    made, _ = source()
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        await stage.sees(f"● {OWN_ROOM}")


async def test_what_is_typed_is_said_and_the_field_is_empty_then() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        await stage.type("where is it?")
        await stage.press("enter")
        await stage.until(lambda: room.said == ["where is it?"], "it is said")
        await stage.until(lambda: not stage.talk.field.value, "the field is empty")


async def test_an_empty_field_says_nothing() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3", "enter", "space", "enter")
        assert room.said == []


async def test_a_partial_message_grows_in_its_place() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        for text in ("One", "One two", "One two three"):
            room.tell(message("1.2", "agent", text, NOW, partial=True))
            await stage.sees(f"◆ {text}▌")
        room.tell(message("1.2", "agent", "One two three four", NOW))
        await stage.until(lambda: entries(stage) == ["◆ Hello!", "◆ One two three four"], "one message, whole")


async def test_a_message_longer_than_the_pane_is_wrapped_and_its_end_stays_in_sight() -> None:
    made, room = source()
    async with staged(made) as stage:
        room.tell(message("1.2", "agent", " ".join(f"word{n}" for n in range(300)) + " END", NOW))
        await stage.sees("END")
        assert "Hello!" not in stage.of("#talk-view")


async def test_one_who_reads_back_is_not_moved_by_new_words() -> None:
    made, room = source()
    async with staged(made) as stage:
        for n in range(40):
            room.tell(message(f"2.{n}", "agent", f"message {n}", NOW))
        await stage.sees("message 39")
        await stage.press("3", "escape", *"k" * 10)
        before = entries(stage)
        room.tell(message("3.1", "agent", "one more, and long enough to be wrapped to several rows", NOW))
        await stage.until(lambda: len(stage.talk.view.transcript.entries) == 42, "it has come")
        await stage.settle()
        assert entries(stage) == before
        await stage.press("G")
        await stage.sees("one more")


async def test_new_code_leaves_a_mark_in_the_conversation() -> None:
    made, room = source()
    async with staged(made) as stage:
        room.tell({"type": "attempt", "attempt": 1, "generation": 7})
        room.tell({"type": "attempt", "attempt": 2, "generation": 8})
        await stage.sees("generation 8 from here")
        assert "generation 7 from here" not in stage.text()


async def test_the_end_of_the_room_is_told_and_nothing_can_be_said_any_more() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        room.tell({"type": "ended", "reason": "completed"})
        await stage.happen(ended("job-own", NOW))
        await stage.sees("the room has ended: completed")
        await stage.sees(f"■ {OWN_ROOM} ended")
        await stage.press("3")
        await stage.type("still there?")
        await stage.press("enter")
        await stage.tells("no room is joined")
        assert stage.talk.field.value == "still there?"


async def test_what_could_not_be_sent_stays_in_the_field() -> None:
    made, room = source()
    room.refusal = "the line is cut"
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        await stage.type("hello")
        await stage.press("enter")
        await stage.tells("the line is cut")
        assert stage.talk.field.value == "hello"


async def test_what_is_typed_while_the_last_words_are_still_on_their_way_is_kept() -> None:
    made, room = source()
    arrived = asyncio.Event()

    async def slow(text: str) -> None:
        await arrived.wait()
        room.said.append(text)

    room.send = slow  # type: ignore[method-assign]
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        await stage.type("one")
        await stage.press("enter")
        await stage.type(" two")
        arrived.set()
        await stage.until(lambda: room.said == ["one"], "the first words have arrived")
        await stage.settle()
        assert "two" in stage.talk.field.value


async def test_a_broken_line_is_joined_again_without_saying_anything_twice() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        room.hang_up()
        await stage.until(lambda: not stage.talk.joined, "the line is lost")
        room.tell(message("1.1", "agent", "Hello!", NOW - 60))  # the history, again
        room.tell(message("1.2", "agent", "Are you there?", NOW))
        await stage.until(lambda: stage.talk.joined, "the room is joined again")
        await stage.sees("Are you there?")
        assert entries(stage) == ["◆ Hello!", "◆ Are you there?"]


async def test_the_reply_tells_how_long_it_took() -> None:
    made, room = source()
    async with staged(made) as stage:
        room.tell(message("m1", "user", "where is it?", NOW - 2.0))
        room.tell(message("1.2", "agent", "Here.", NOW - 1.588))
        await stage.sees("answered in 412ms")


async def test_another_room_starts_with_its_own_conversation() -> None:
    made, _ = source()
    made.rooms["room-b"] = FakeRoom([message("1.1", "agent", "I am another", NOW)])
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        await stage.happen(*process(9, 41999, 7, NOW), *job("job-b", 9, NOW, room="room-b"))
        await stage.press("G", "t")
        await stage.sees("◆ I am another")
        assert "Hello!" not in stage.of("#talk-view")


async def test_words_of_a_room_one_has_left_do_not_appear_in_the_next() -> None:
    made, room = source()
    made.rooms["job-88a0"] = FakeRoom([])
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        await stage.press(*"j" * 3, "t")
        await stage.until(lambda: stage.talk.job_id == "job-88a0" and stage.talk.joined, "the other room")
        room.tell(message("9.9", "agent", "too late", NOW))
        made.rooms["job-88a0"].tell(message("9.9", "agent", "in time", NOW))
        await stage.sees("in time")
        assert "too late" not in stage.text()


async def test_a_room_that_cannot_be_joined_yet_is_tried_again() -> None:
    made = FakeSource(demo_state())
    async with staged(made) as stage:
        await stage.sees(f"◌ {OWN_ROOM}")
        made.rooms[OWN_ROOM] = FakeRoom([message("1.1", "agent", "Hello!", NOW)])
        await stage.sees("◆ Hello!")


async def test_a_job_on_new_code_keeps_its_room() -> None:
    made, room = source()
    async with staged(made) as stage:
        await stage.sees("◆ Hello!")
        await stage.happen(ev.JobRequeued(at=NOW, id="job-own", reason="reloaded"), *process(9, 41999, 8, NOW))
        await stage.happen(ev.JobStarting(at=NOW, id="job-own", process_id=9, warm=True))
        room.tell({"type": "attempt", "attempt": 2, "generation": 8})
        room.tell(message("2.1", "agent", "Hello again!", NOW))
        await stage.sees("◆ Hello again!")
        await stage.sees("◆ Hello!")


async def test_on_a_few_rows_words_come_before_how_long_they_took() -> None:
    made, room = source()
    async with staged(made, size=(80, 24)) as stage:
        await stage.happen(*broken())
        await stage.press("3")
        assert stage.app.board_screen.talk.view.size.height <= FEW_ROWS
        room.tell(message("m1", "user", "where is it?", NOW - 2.0))
        room.tell(message("1.2", "agent", "On its way.", NOW - 1.588))
        await stage.sees("◆ On its way.")
        assert entries(stage)[-2:] == ["› where is it?", "◆ On its way."]
        await stage.sees("median 412ms")
