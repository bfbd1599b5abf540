"""Several rooms: each keeps its conversation, its line and what was typed; one of them is shown."""

import pytest

from tests.tui.demo_state import NOW, OWN_ROOM, demo_state, ended, job, message, process
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import Stage, staged
from workbench.model import events as ev
from workbench.model.state import State
from workbench.tui.widgets.talk.rooms import MOST, Conversations, Recall

OTHER, STALLED = "job-88a0", "job-8857"


def source() -> FakeSource:
    """Three jobs whose rooms can be joined."""
    made = FakeSource(demo_state())
    for room in (OWN_ROOM, OTHER, STALLED):
        made.rooms[room] = FakeRoom([message("1.1", "agent", f"this is {room}", NOW)])
    return made


async def open_all(stage: Stage) -> None:
    """Join the rooms of two other jobs beside the own one; the last one is shown."""
    await stage.sees(f"this is {OWN_ROOM}")
    for row, room in ((3, OTHER), (2, STALLED)):
        await stage.press("escape", "1", "g", *"j" * row, "t")
        await stage.sees(f"this is {room}")
    await stage.until(lambda: all(talk.joined for talk in stage.talk.rooms.all), "all are joined")
    await stage.press("escape")


async def test_brackets_go_round_the_rooms_and_each_keeps_its_conversation() -> None:
    async with staged(source()) as stage:
        await open_all(stage)
        assert [word for word in stage.of("#rooms").split() if word not in ("●", "▌●")] == [OWN_ROOM, OTHER, STALLED]
        for key, room in (("]", OWN_ROOM), ("]", OTHER), ("[", OWN_ROOM), ("[", STALLED)):
            await stage.type(key)
            assert f"this is {room}" in stage.of("#talk-view")
            assert f"▌● {room}" in stage.of("#rooms")


@pytest.mark.parametrize(("key", "room"), [("alt+right", OWN_ROOM), ("alt+left", OTHER)])
async def test_in_the_field_the_same_goes_with_alt(key: str, room: str) -> None:
    async with staged(source()) as stage:
        await open_all(stage)
        await stage.press("3", key)
        assert f"this is {room}" in stage.of("#talk-view")
        assert stage.talk.field.has_focus
        assert "alt+→" in stage.offered
        assert "]" not in stage.offered  # here it is a letter


async def test_what_is_said_in_a_room_that_is_not_shown_is_counted_until_it_is_looked_at() -> None:
    made = source()
    async with staged(made) as stage:
        await open_all(stage)
        made.rooms[OTHER].tell(message("1.2", "agent", "one", NOW, partial=True))
        made.rooms[OTHER].tell(message("1.2", "agent", "one more", NOW))
        made.rooms[OTHER].tell(message("m1", "user", "and mine", NOW))
        made.rooms[OTHER].tell(message("1.3", "agent", "two", NOW))
        await stage.sees(f"{OTHER} +2")
        made.rooms[OTHER].hang_up()
        await stage.sees(f"◌ {OTHER}")
        for item in (message("1.2", "agent", "one more", NOW), message("1.4", "agent", "three", NOW)):
            made.rooms[OTHER].tell(item)
        await stage.sees(f"● {OTHER} +3")
        await stage.type("[")
        assert stage.of("#talk-view").count("one more") == 1
        assert "three" in stage.of("#talk-view")
        assert "+" not in stage.of("#rooms")


async def test_a_click_on_a_name_shows_that_room() -> None:
    async with staged(source()) as stage:
        await open_all(stage)
        bar = stage.of("#rooms")
        await stage.pilot.click("#rooms", offset=(bar.index(OTHER) + 2, 0))
        await stage.settle()
        assert f"this is {OTHER}" in stage.of("#talk-view")


async def test_what_is_typed_goes_to_the_room_that_is_shown_and_a_draft_waits_in_its_own() -> None:
    made = source()
    async with staged(made) as stage:
        await open_all(stage)
        await stage.press("3")
        await stage.type("half a th")
        await stage.press("alt+right")
        assert stage.talk.field.value == ""
        await stage.type("hello")
        await stage.press("enter")
        await stage.until(lambda: made.rooms[OWN_ROOM].said == ["hello"], "it is said there")
        await stage.press("alt+left")
        assert stage.talk.field.value == "half a th"
        await stage.type("ought")
        await stage.press("enter")
        await stage.until(lambda: made.rooms[STALLED].said == ["half a thought"], "it is said here")
        assert made.rooms[OTHER].said == []


async def test_w_leaves_a_room_and_t_joins_it_again() -> None:
    made = source()
    async with staged(made) as stage:
        await open_all(stage)
        await stage.press("w")
        await stage.tells(f"left room {STALLED}; its job runs on")
        await stage.until(lambda: STALLED not in stage.of("#rooms"), "it is not listed")
        assert f"this is {OTHER}" in stage.of("#talk-view")
        made.rooms[STALLED] = FakeRoom([message("1.1", "agent", "once more", NOW)])
        await stage.press("1", "g", "j", "j", "t")
        await stage.sees("once more")


async def test_the_own_room_that_was_left_is_not_joined_again_by_itself() -> None:
    async with staged(source()) as stage:
        await stage.sees(f"this is {OWN_ROOM}")
        await stage.press("3", "escape", "w")
        await stage.until(lambda: not stage.talk.rooms.all, "no room is open")
        await stage.happen(*process(9, 41999, 7, NOW), *job("job-b", 9, NOW))
        assert stage.talk.rooms.all == []
        await stage.press("3")
        await stage.type("hello")
        await stage.press("enter")
        await stage.tells("no room is joined")


async def test_an_ended_room_is_marked_and_can_still_be_read() -> None:
    made = source()
    async with staged(made) as stage:
        await open_all(stage)
        made.rooms[OTHER].tell({"type": "ended", "reason": "returned"})
        await stage.happen(ended(OTHER, NOW))
        await stage.sees(f"■ {OTHER}")
        await stage.type("[")
        await stage.sees("the room has ended: returned")


async def test_what_the_job_reports_stands_below_the_bar_clean_and_cut() -> None:
    made = source()
    async with staged(made) as stage:
        await stage.sees("turn 14  topic refund")
        await stage.happen(ev.JobReported(at=NOW, id="job-own", fields={"turn": 15, "topic": "\x1b[2Jx" * 100}))
        await stage.sees("turn 15")
        assert "\x1b" not in stage.text()
        assert len(stage.of("#report").splitlines()) == 1


async def test_up_and_down_recall_what_was_said() -> None:
    made = source()
    async with staged(made) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        for words in ("one", "two"):
            await stage.type(words)
            await stage.press("enter")
        await stage.type("thr")
        seen = []
        for key in ("up", "up", "up", "down", "down", "down"):
            await stage.press(key)
            seen.append(stage.talk.field.value)
        assert seen == ["two", "one", "one", "two", "thr", "thr"]


def test_the_same_words_twice_in_a_row_are_recalled_once() -> None:
    recall = Recall()
    for words in ("a", "b", "b"):
        recall.add(words)
    assert recall.said == ["a", "b"]


def test_ended_rooms_are_the_first_to_go_and_the_shown_one_stays() -> None:
    rooms, state = Conversations(), State()
    for n in range(MOST + 2):
        for event in job(f"job-{n}", 1, NOW):
            if not hasattr(event, "process_id"):
                state.apply(event)
    for n in range(MOST):
        assert rooms.open(state.jobs[f"job-{n}"], state) == []
    state.apply(ended("job-3", NOW))
    rooms.show(rooms.all[0])
    assert [talk.job.id for talk in rooms.open(state.jobs[f"job-{MOST}"], state)] == ["job-3"]
    assert [talk.job.id for talk in rooms.open(state.jobs[f"job-{MOST + 1}"], state)] == ["job-1"]
    assert len(rooms.all) == MOST
    assert rooms.all[0].job.id == "job-0"
