"""What the keys of the board do, and when they are offered."""

import pytest

from tests.tui.demo_state import NOW, demo_state, ended, job, process
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import fresh_state, staged
from workbench.model import events as ev
from workbench.tui.screens.choice import ChoiceScreen
from workbench.tui.screens.help import HelpScreen

OWN, STALLED, OTHER, IDLE = 1, 2, 3, 4  # rows of the demo's table


async def test_n_starts_a_job_and_joins_its_room() -> None:
    source = FakeSource(fresh_state())
    source.rooms["room-new"] = FakeRoom([])
    async with staged(source) as stage:
        await stage.press("n")
        await stage.asked("dispatch")
        await stage.happen(*process(7, 41300, 6, NOW), *job("job-new", 7, NOW, room="room-new"))
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        await stage.type("hello")
        await stage.press("enter")
        await stage.until(lambda: source.rooms["room-new"].said == ["hello"], "it is heard in the room")


async def test_t_joins_the_room_of_the_selected_job_and_puts_the_cursor_into_its_field() -> None:
    source = FakeSource(demo_state())
    source.rooms["job-88a0"] = FakeRoom([])
    async with staged(source) as stage:
        await stage.press(*"j" * OTHER, "t")
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        assert stage.talk.job_id == "job-88a0"
        await stage.type("hi")
        await stage.press("enter")
        await stage.until(lambda: source.rooms["job-88a0"].said == ["hi"], "it is heard in the room")


async def test_x_asks_the_own_job_to_end_at_once_and_again_one_step_harder() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OWN, "x")
        await stage.asked("end_job", "job-own")
        await stage.happen(ev.JobEndAsked(at=NOW, id="job-own", rung="end", why=""))
        await stage.sees("told to end: end")
        await stage.press("x")
        await stage.until(lambda: stage.source.asked == [("end_job", "job-own")] * 2, "it is asked again")


async def test_x_asks_before_it_ends_the_job_of_another() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OTHER, "x")
        await stage.sees("End job job-88a0?")
        assert stage.source.asked == []
        await stage.press("escape")
        assert stage.source.asked == []
        await stage.press("x", "y")
        await stage.asked("end_job", "job-88a0")
        await stage.happen(ev.JobEndAsked(at=NOW, id="job-88a0", rung="end", why=""))
        await stage.press("x")  # it was asked already: no second question
        await stage.until(lambda: len(stage.source.asked) == 2, "one step harder")


async def test_the_question_of_x_is_about_the_job_that_was_selected_when_it_was_asked() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OTHER, "x")
        await stage.happen(ended("job-88a0", NOW), *job("job-later", 5, NOW))
        await stage.press("y")
        await stage.asked("end_job", "job-88a0")


async def test_K_names_what_is_lost_and_kills_after_a_yes() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OTHER, "K")
        await stage.sees("Kill process 41203 and everything it started?")
        await stage.sees("1 job fails with it: job-88a0")
        await stage.press("enter")  # the cursor stands on the harmless answer
        assert not isinstance(stage.app.screen, ChoiceScreen)
        assert stage.source.asked == []
        await stage.press("K", "y")
        await stage.asked("kill_process", 41203)


async def test_K_asks_nothing_where_no_job_runs() -> None:
    async with staged() as stage:
        await stage.press(*"j" * IDLE, "K")
        await stage.asked("kill_process", 41260)


async def test_r_asks_first_when_the_jobs_of_others_start_again_with_it() -> None:
    source = FakeSource(demo_state())
    source.state.reload.jobs = "restart"
    source.state.apply(ev.JobPinned(at=NOW, id="job-8857", pinned=True))
    async with staged(source) as stage:
        await stage.press("r")
        await stage.sees("2 jobs of others start again on it")
        assert source.asked == []
        await stage.press("y")
        await stage.asked("reload")


async def test_a_question_can_be_answered_with_arrows_and_enter() -> None:
    async with staged() as stage:
        await stage.press("K", "up", "enter")
        await stage.asked("kill_process", 40877)


async def test_r_loads_the_code_again() -> None:
    async with staged() as stage:
        await stage.press("r")
        await stage.asked("reload")


async def test_D_drains_and_U_admits_and_only_the_one_that_makes_sense_is_offered() -> None:
    async with staged() as stage:
        assert "D" in stage.offered
        assert "U" not in stage.offered
        await stage.press("U")
        await stage.press("D")
        await stage.asked("drain")
        await stage.tells("no new jobs are taken")
        await stage.happen(ev.DrainStarted(at=NOW, why="asked to", deadline_at=None))
        assert "U" in stage.offered
        assert "D" not in stage.offered
        await stage.press("D")
        await stage.press("U")
        await stage.asked("admit")
        assert stage.source.asked == [("drain",), ("admit",)]


@pytest.mark.parametrize("key", ["n", "r", "D"])
async def test_a_refusal_is_told_in_the_words_of_the_worker(key: str) -> None:
    source = FakeSource(demo_state())
    source.refusal = "6 of 6 jobs run; try later"
    async with staged(source) as stage:
        await stage.press(key)
        await stage.tells("6 of 6 jobs run; try later")
        await stage.sees("6 of 6 jobs run; try later")


@pytest.mark.parametrize("key", ["x", "K", "l"])
async def test_keys_about_a_process_are_not_offered_where_there_is_none(key: str) -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        assert key not in stage.offered


async def test_x_is_not_offered_for_a_process_without_a_job() -> None:
    async with staged() as stage:
        assert "x" in stage.offered
        await stage.press(*"j" * IDLE)
        assert "x" not in stage.offered
        assert "K" in stage.offered


async def test_K_is_not_offered_for_a_process_that_has_no_pid_yet() -> None:
    source = FakeSource(fresh_state())
    async with staged(source) as stage:
        await stage.happen(ev.ProcessSpawning(at=NOW, id=1, generation=6, start_method="zygote"))
        assert "K" not in stage.offered
        await stage.happen(ev.ProcessForked(at=NOW, id=1, pid=41999))
        assert "K" in stage.offered


async def test_what_is_offered_follows_the_worker_and_not_only_the_cursor() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OTHER)
        assert "x End" in stage.of("#keys")
        await stage.happen(ended("job-88a0", NOW), ev.ProcessStopping(at=NOW, id=3, why="its job is over"))
        await stage.happen(ev.ProcessExited(at=NOW, id=3, exit_code=0, signal=None, why="", unexpected=False))
        assert "x End" not in stage.of("#keys")
        assert "K Kill" not in stage.of("#keys")


async def test_x_is_not_offered_for_a_job_that_has_ended_while_its_process_still_leaves() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OTHER)
        await stage.happen(ended("job-88a0", NOW), ev.ProcessStopping(at=NOW, id=3, why="its job is over"))
        assert "x" not in stage.offered


async def test_letters_are_not_offered_while_one_types() -> None:
    async with staged() as stage:
        await stage.press("3")
        assert not {"n", "x", "q", "?", "/"} & set(stage.offered)
        await stage.type("nxq?")
        assert stage.talk.field.value == "nxq?"
        assert stage.source.asked == []


async def test_every_key_of_the_bottom_row_stands_in_the_help() -> None:
    async with staged(size=(120, 90)) as stage:
        offered = stage.offered
        await stage.press("question_mark")
        assert isinstance(stage.app.screen, HelpScreen)
        shown = {word for row in stage.rows() for word in row.split()}
        assert set(offered) <= shown
        await stage.press("escape")
        assert not isinstance(stage.app.screen, HelpScreen)


@pytest.mark.parametrize("key", ["escape", "q", "question_mark"])
async def test_the_help_closes_without_leaving(key: str) -> None:
    async with staged() as stage:
        await stage.press("question_mark", key)
        assert stage.app.screen is stage.app.board_screen
        assert not stage.app._exit


async def test_the_help_scrolls_where_it_is_longer_than_the_screen() -> None:
    async with staged(size=(80, 24)) as stage:
        await stage.press("question_mark")
        before = stage.text()
        await stage.press("space")
        assert stage.text() != before
