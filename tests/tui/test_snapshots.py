"""Pictures of the board and what opens over it."""

import pytest
from textual.command import CommandList
from textual.theme import Theme

from tests.tui.demo_state import broken, log_lines, reloads, taken_back
from tests.tui.fakes import FakeSource
from tests.tui.pictures import LARGE, LOOKS, MIDDLE, SIZES, SMALL, Look, Picture, picture, rich, talking
from tests.tui.stage import Stage, fresh_state
from tests.tui.test_log_keys import said
from tests.tui.test_log_rows import TRACEBACK
from workbench.client.load.plan import Plan
from workbench.client.load.run import LoadRun
from workbench.client.owner import Ended
from workbench.tui.preferences import Preferences
from workbench.tui.theme import LIGHT, SAFE

__all__ = ["picture"]
LAST_LINES = ["the worker serves generation 7", "MemoryError", "a bug of ours: MemoryError()"]


@pytest.mark.parametrize("look", [SMALL, MIDDLE, LARGE, Look(50, 20)], ids="{0.columns}x{0.rows}".format)
def test_the_board(picture: Picture, look: Look) -> None:
    picture(look, rich(), talking)


@pytest.mark.parametrize("theme", [LIGHT, SAFE], ids=lambda theme: theme.name)
def test_the_board_in_another_theme(picture: Picture, theme: Theme) -> None:
    picture(MIDDLE, rich(), talking, preferences=Preferences(theme.name))


@SIZES
def test_the_board_without_colour(picture: Picture, look: Look) -> None:
    picture(look._replace(colours=False), rich(), talking)


def test_the_board_in_plain_signs(picture: Picture) -> None:
    picture(SMALL, rich(), talking, preferences=Preferences(ascii=True))


def test_before_the_first_frame(picture: Picture) -> None:
    async def nothing(stage: Stage) -> None:
        await stage.sees("connecting")

    source = FakeSource()
    source.silent = True
    picture(SMALL, source, nothing, connected=False)


def test_nobody_answers(picture: Picture) -> None:
    async def refused(stage: Stage) -> None:
        await stage.sees("no supervisor answers")

    source = FakeSource()
    source.reachable = False
    picture(SMALL, source, refused, connected=False)


def test_a_worker_that_has_just_come_up(picture: Picture) -> None:
    async def nothing(stage: Stage) -> None:
        await stage.sees("no job is running")

    picture(MIDDLE, FakeSource(fresh_state()), nothing)


@SIZES
def test_a_save_that_cannot_be_loaded(picture: Picture, look: Look) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.happen(*broken())

    picture(look, rich(), save)


@SIZES
def test_code_that_waits_and_code_that_costs_more(picture: Picture, look: Look) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.press("j")
        await stage.happen(*reloads())

    picture(look, rich(), save)


@SIZES
def test_code_that_was_taken_back(picture: Picture, look: Look) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.happen(*taken_back())

    picture(look, rich(), save)


@LOOKS
def test_the_supervisor_has_ended(picture: Picture, look: Look) -> None:
    async def end(stage: Stage) -> None:
        await talking(stage)
        stage.source.cut(reachable=False)
        await stage.until(lambda: stage.app.board.stale_why == "nobody listens", "the link is lost for good")
        stage.owner.end(Ended(None, "SIGKILL", LAST_LINES))
        await stage.sees("The supervisor has ended")

    picture(look, rich(), end)


@LOOKS
def test_the_link_is_lost(picture: Picture, look: Look) -> None:
    async def cut(stage: Stage) -> None:
        await talking(stage)
        stage.source.cut(reachable=False)
        await stage.sees("nobody listens")

    picture(look, rich(), cut)


@LOOKS
def test_the_logs_are_paused_and_filtered(picture: Picture, look: Look) -> None:
    async def pause(stage: Stage) -> None:
        await talking(stage)
        await stage.press("2", "k", "k")
        await stage.log(*log_lines(137)[120:])
        await stage.press("L", "slash")
        await stage.type("process")

    picture(look, rich(), pause)


def test_the_talk_fills_the_screen(picture: Picture) -> None:
    async def zoom(stage: Stage) -> None:
        await talking(stage)
        await stage.press("3", "escape", "z")

    picture(SMALL, rich(), zoom)


def poured(source: FakeSource) -> LoadRun:
    """A run in the middle of it."""
    run = LoadRun(source, Plan(200, 20.0, say=("hello",)))
    result = run.result
    result.handed_in = result.answered = 131
    result.accepted, result.running, result.started, result.warm = 118, 6, 118, 97
    result.refused.update(full=11, over_load=2)
    result.ended.update({("completed", "returned"): 40, ("cancelled", "cancelled"): 70, ("failed", "raised"): 2})
    result.starts = [0.5 + n / 50 for n in range(118)]
    result.from_plan = [4 + n / 4 for n in range(118)]
    result.first_words = [20 + n / 2 for n in range(112)]
    result.turns = [180 + n * 3.0 for n in range(112)]
    result.peak_all_mb, result.peak_job_mb, result.peak_load = 412.0, 61.0, 0.87
    result.duration_s, result.first_s, result.last_s = 6.5, 0.0, 6.5
    return run


@LOOKS
def test_jobs_are_poured_in(picture: Picture, look: Look) -> None:
    async def pour(stage: Stage) -> None:
        await talking(stage)
        stage.app.board.load_run = poured(stage.source)
        await stage.press("6")
        await stage.sees("125 of 200")
        stage.app._show()

    picture(look, rich(), pour)


@LOOKS
def test_before_jobs_are_poured_in(picture: Picture, look: Look) -> None:
    async def open_it(stage: Stage) -> None:
        await talking(stage)
        await stage.press("6")
        await stage.sees("g Pour")
        stage.app._show()

    picture(look, rich(), open_it)


@LOOKS
def test_the_question_before_leaving(picture: Picture, look: Look) -> None:
    async def leave(stage: Stage) -> None:
        await talking(stage)
        await stage.press("q")

    picture(look, rich(), leave)


def test_the_screen_while_it_stops(picture: Picture) -> None:
    async def stop(stage: Stage) -> None:
        await talking(stage)
        await stage.press("q", "s")

    picture(SMALL, rich(), stop)


@LOOKS
def test_the_help(picture: Picture, look: Look) -> None:
    async def ask(stage: Stage) -> None:
        await stage.press("question_mark")

    picture(look, FakeSource(fresh_state()), ask)


@LOOKS
def test_the_palette(picture: Picture, look: Look) -> None:
    async def ask(stage: Stage) -> None:
        await talking(stage)
        await stage.press("ctrl+p")
        await stage.type("job:")
        await stage.until(lambda: stage.app.screen.query_one(CommandList).option_count == 3, "its three commands")

    picture(look, rich(), ask)


@LOOKS
def test_the_logs_with_a_traceback_opened_and_a_search(picture: Picture, look: Look) -> None:
    async def searching(stage: Stage) -> None:
        await stage.press("2", "m")
        await stage.log(*said("retry", "retry", "retry", *TRACEBACK, *TRACEBACK, "an error on its way", first=1000))
        await stage.press("k", "enter", "ctrl+f")
        await stage.type("error")
        await stage.press("enter")

    picture(look, rich(), searching)
