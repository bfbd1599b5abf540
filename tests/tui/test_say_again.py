"""What was said to the code before, said again to the code that answers now."""

from collections.abc import Iterator

import pytest

from tests.tui.demo_state import NOW, OWN_ROOM, demo_state, ended, job, message, process
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import Stage, fresh_state, staged
from workbench.model import events as ev
from workbench.tui import say_again

NEWER = {"type": "attempt", "attempt": 2, "generation": 8}


@pytest.fixture(autouse=True)
def short_waits() -> Iterator[None]:
    """Only an agent that never answers is waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(say_again, "SETTLED_S", 0.05)
        patch.setattr(say_again, "GREETING_S", 0.05)
        yield


class EchoRoom(FakeRoom):
    """A room that hears what is said; the agent's answers are the test's, or come at once."""

    def __init__(self, name: str, at_once: bool = True) -> None:
        super().__init__([])
        self.name, self.at_once = name, at_once

    async def send(self, text: str) -> None:
        await super().send(text)
        n = len(self.said)
        self.tell(message(f"{self.name}.m{n}", "user", text, NOW))
        if self.at_once:
            self.answer()

    def answer(self, partial: bool = False) -> None:
        n = len(self.said)
        self.tell(message(f"{self.name}.{n}", "agent", f"{self.name} {n}", NOW + 0.2, partial=partial))


def source(room: EchoRoom) -> FakeSource:
    """A worker whose own job is talked to."""
    made = FakeSource(demo_state())
    made.rooms[OWN_ROOM] = room
    return made


async def say(stage: Stage, *texts: str) -> None:
    """Say things and hear the answers."""
    await stage.press("3")
    for text in texts:
        await stage.type(text)
        await stage.press("enter")
    await stage.until(lambda: stage.talk.view.transcript.answered, "all is answered")


def words(stage: Stage) -> list[str]:
    """What was said and marked, in order."""
    return [entry.lines[0] for entry in stage.talk.view.transcript.entries]


async def test_after_a_reload_ctrl_r_says_it_again_below_a_mark() -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        assert "Ctrl-r" not in stage.text()
        await stage.press("ctrl+r")  # nothing to compare with: it does nothing
        room.tell(NEWER)
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.until(lambda: room.said == ["one", "two"] * 2, "both are said again")
        await stage.until(lambda: stage.talk.again is None, "it is over")
        assert words(stage) == [
            "one", "a 1", "two", "a 2", "generation 8 from here", "2 messages said again from here",
            "one", "a 3", "two", "a 4",
        ]  # fmt: skip
        await stage.settle()
        assert "Ctrl-r" not in stage.of("#talk")


async def test_each_waits_for_the_end_of_the_reply_before() -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.at_once = False
        room.tell(NEWER)
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.sees("sending 1 of 2 again")
        await stage.until(lambda: len(room.said) == 3, "the first is said")
        room.answer(partial=True)
        await stage.sees("a 3▌")
        assert len(room.said) == 3
        room.answer()
        await stage.sees("sending 2 of 2 again")
        await stage.until(lambda: len(room.said) == 4, "the second is said")
        room.answer()
        await stage.until(lambda: stage.talk.again is None, "it is over")


@pytest.mark.parametrize("keys", [("escape",), ("3", "escape")], ids=["in the view", "in the field"])
async def test_esc_stops_it(keys: tuple[str, ...]) -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.at_once = False
        room.tell(NEWER)
        await stage.press("escape")
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.sees("sending 1 of 2 again   Esc stops")
        await stage.press(*keys)
        await stage.until(lambda: stage.talk.again is None, "it is stopped")
        room.answer()
        await stage.settle()
        assert "sending" not in stage.of("#talk")
        assert len(room.said) == 3
        room.tell({**NEWER, "attempt": 3})
        await stage.sees("Ctrl-r says these 2 again")  # both, although one was left out


async def test_leaving_the_room_stops_it_too() -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.at_once = False
        room.tell(NEWER)
        await stage.press("escape")
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.until(lambda: len(room.said) == 3, "the first is said")
        await stage.press("w")
        await stage.until(lambda: stage.talk.again is None, "it is stopped")
        assert stage.talk.rooms.all == []


async def test_an_agent_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say_again, "SILENT_S", 0.1)
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.at_once = False
        room.tell(NEWER)
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.until(lambda: room.said == ["one", "two"] * 2, "both are said again")


async def test_newer_code_in_the_middle_stops_it_and_it_is_offered_again() -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.at_once = False
        room.tell(NEWER)
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.until(lambda: len(room.said) == 3, "the first is said")
        room.tell({**NEWER, "attempt": 3})
        await stage.tells("newer code answers from here: 1 of 2 were said again")
        await stage.sees("Ctrl-r says these 2 again")


async def test_after_the_end_of_its_job_it_is_said_to_a_new_one() -> None:
    room, next_room = EchoRoom("a"), EchoRoom("b")
    made = source(room)
    made.rooms["room-new"] = next_room
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        room.tell({"type": "ended", "reason": "raised"})
        await stage.happen(ended("job-own", NOW, "raised"))
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.asked("dispatch")
        await stage.happen(*process(9, 41999, 7, NOW), *job("job-new", 9, NOW, room="room-new"))
        await stage.until(lambda: next_room.said == ["one", "two"], "both are said there")
        await stage.until(lambda: stage.talk.again is None, "it is over")
        assert words(stage) == ["2 messages said again from here", "one", "b 1", "two", "b 2"]
        await stage.type("[")
        assert stage.talk.field.value == "["  # in the field it is a letter like any other
        await stage.press("backspace", "alt+left")
        assert words(stage)[:2] == ["one", "a 1"]


async def test_a_job_that_ends_on_older_code_is_left_to_it_and_a_new_one_hears_it() -> None:
    room, next_room = EchoRoom("a"), EchoRoom("b")
    made = source(EchoRoom("own"))
    made.rooms["job-88a0"], made.rooms["room-new"] = room, next_room
    async with staged(made) as stage:
        await stage.press(*"j" * 3, "t")
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("escape")
        await say(stage, "one", "two")
        assert "Ctrl-r" not in stage.text()
        served = ev.ReloadDone(at=NOW, generation=8, took_ms=1.0, start_method="zygote", start_method_why="")
        await stage.happen(served)
        await stage.sees("Ctrl-r says these 2 again to a new job")
        await stage.press("ctrl+r")
        await stage.asked("dispatch")
        await stage.happen(*process(9, 41999, 8, NOW), *job("job-new", 9, NOW, room="room-new"))
        await stage.until(lambda: next_room.said == ["one", "two"], "both are said there")
        assert room.said == ["one", "two"]


async def test_what_was_said_in_a_strangers_room_is_not_offered() -> None:
    made = source(EchoRoom("own"))
    made.rooms["job-88a0"] = EchoRoom("a")
    made.rooms["job-88a0"].tell(message("m1", "user", "a stranger's words", NOW))
    async with staged(made) as stage:
        await stage.press(*"j" * 3, "t")
        await stage.sees("a stranger's words")
        made.rooms["job-88a0"].tell(NEWER)
        await stage.sees("generation 8 from here")
        assert "Ctrl-r" not in stage.text()
        await stage.happen(ended("job-88a0", NOW))
        await stage.press("ctrl+r")
        assert "Ctrl-r" not in stage.of("#talk")
        assert made.asked == []


async def test_a_job_that_took_the_place_of_the_one_that_failed_is_offered_the_same() -> None:
    room, next_room = EchoRoom("a"), EchoRoom("b")
    made = source(room)
    made.rooms["room-b"] = next_room
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one")
        await stage.happen(ended("job-own", NOW, "raised"))
        await stage.happen(*process(9, 41999, 7, NOW), *job("job-b", 9, NOW, room="room-b", own=True))
        await stage.until(lambda: stage.talk.job_id == "job-b" and stage.talk.joined, "the new own job's room")
        await stage.sees("Ctrl-r says this again")
        await stage.press("ctrl+r")
        await stage.until(lambda: next_room.said == ["one"], "it is said there")


async def test_after_another_worker_took_over_its_own_job_is_offered_the_same() -> None:
    room, next_room = EchoRoom("a"), EchoRoom("b")
    made = source(room)
    made.rooms["room-b"] = next_room
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one", "two")
        made.state = fresh_state()
        made.state.worker.worker_id = "w-2"
        for event in [*process(9, 41999, 6, NOW), *job("job-b", 9, NOW, room="room-b", own=True)]:
            made.state.apply(event)
        made.cut()
        await stage.until(lambda: stage.talk.job_id == "job-b" and stage.talk.joined, "the new own job's room")
        await stage.sees("Ctrl-r says these 2 again")
        await stage.press("ctrl+r")
        await stage.until(lambda: next_room.said == ["one", "two"], "both are said there")


async def test_a_worker_that_takes_no_jobs_is_offered_nothing_for_a_job_that_has_ended() -> None:
    room = EchoRoom("a")
    async with staged(source(room)) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one")
        await stage.happen(ended("job-own", NOW))
        assert "Ctrl-r" in stage.of("#talk")
        await stage.happen(ev.DrainStarted(at=NOW, why="asked", deadline_at=None))
        assert "Ctrl-r" not in stage.of("#talk")


async def test_a_refused_job_is_told_and_nothing_is_said() -> None:
    room = EchoRoom("a")
    made = source(room)
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await say(stage, "one")
        await stage.happen(ended("job-own", NOW))
        made.refusal = "6 of 6 jobs run"
        await stage.press("ctrl+r")
        await stage.tells("6 of 6 jobs run")
        await stage.until(lambda: stage.talk.again is None, "it is over")
        assert room.said == ["one"]


async def test_nothing_is_offered_where_nothing_was_said() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.press("3", "ctrl+r")
        assert "Ctrl-r" not in stage.text()
        assert stage.source.asked == []
