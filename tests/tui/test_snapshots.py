"""Pictures of the board, compared with the committed ones; `--snapshot-update` makes them again."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual._context import message_hook
from textual.pilot import Pilot
from textual.theme import Theme

from tests.tui.demo_state import OWN_ROOM, broken, chat, demo_state, log_lines, reloads, taken_back
from tests.tui.fakes import FakeOwner, FakeRoom, FakeSource
from tests.tui.stage import Stage, fresh_state, make_app
from tests.tui.test_log_keys import said
from tests.tui.test_log_rows import TRACEBACK
from workbench.client.load.plan import Plan
from workbench.client.load.run import LoadRun
from workbench.client.owner import Ended
from workbench.tui import feed
from workbench.tui.preferences import Preferences
from workbench.tui.theme import LIGHT, SAFE

Act = Callable[[Stage], Awaitable[Any]]
Picture = Callable[..., None]
LAST_LINES = ["the worker serves generation 7", "MemoryError", "a bug of ours: MemoryError()"]


@pytest.fixture(autouse=True)
def no_countdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try to connect is never so far away that a picture would depend on the moment."""
    monkeypatch.setattr(feed, "LONGEST_RETRY_S", feed.FIRST_RETRY_S)


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Picture:
    """Run the app over a source, act on it and compare what it looks like then."""

    def compare(
        size: tuple[int, int],
        source: FakeSource,
        act: Act,
        connected: bool = True,
        preferences: Preferences | None = None,
    ) -> None:
        owner = FakeOwner()
        app = make_app(source, owner, history=bool(source.rooms), preferences=preferences)
        stage = Stage(app, source, owner)

        async def before(pilot: Pilot[Any]) -> None:
            await stage.begin(pilot, connected)
            await act(stage)
            await stage.settle()

        token = message_hook.set(stage.heard)
        try:
            assert snap_compare(stage.app, terminal_size=size, run_before=before)
        finally:
            message_hook.reset(token)

    return compare


def rich() -> FakeSource:
    """A worker with everything going on, its logs, and a conversation with its own job."""
    source = FakeSource(demo_state(), log_lines())
    source.rooms[OWN_ROOM] = FakeRoom(chat())
    return source


async def talking(stage: Stage) -> None:
    """Until everything of the conversation and the logs is there."""
    await stage.until(lambda: len(stage.talk.view.transcript.entries) == len(chat()), "the conversation")
    await stage.until(lambda: len(stage.logs.store) == 120, "the logs")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (50, 20)], ids="{0[0]}x{0[1]}".format)
def test_the_board(picture: Picture, size: tuple[int, int]) -> None:
    picture(size, rich(), talking)


@pytest.mark.parametrize("theme", [LIGHT, SAFE], ids=lambda theme: theme.name)
def test_the_board_in_another_theme(picture: Picture, theme: Theme) -> None:
    picture((120, 40), rich(), talking, preferences=Preferences(theme.name))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_the_board_without_colour(picture: Picture, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    picture(size, rich(), talking)


def test_the_board_in_plain_signs(picture: Picture) -> None:
    picture((80, 24), rich(), talking, preferences=Preferences(ascii=True))


def test_before_the_first_frame(picture: Picture) -> None:
    async def nothing(stage: Stage) -> None:
        await stage.sees("connecting")

    source = FakeSource()
    source.silent = True
    picture((80, 24), source, nothing, connected=False)


def test_nobody_answers(picture: Picture) -> None:
    async def refused(stage: Stage) -> None:
        await stage.sees("no supervisor answers")

    source = FakeSource()
    source.reachable = False
    picture((80, 24), source, refused, connected=False)


def test_a_worker_that_has_just_come_up(picture: Picture) -> None:
    async def nothing(stage: Stage) -> None:
        await stage.sees("no job is running")

    picture((120, 40), FakeSource(fresh_state()), nothing)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
def test_a_save_that_cannot_be_loaded(picture: Picture, size: tuple[int, int]) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.happen(*broken())

    picture(size, rich(), save)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
def test_code_that_waits_and_code_that_costs_more(picture: Picture, size: tuple[int, int]) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.press("j")
        await stage.happen(*reloads())

    picture(size, rich(), save)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
def test_code_that_was_taken_back(picture: Picture, size: tuple[int, int]) -> None:
    async def save(stage: Stage) -> None:
        await talking(stage)
        await stage.happen(*taken_back())

    picture(size, rich(), save)


def test_the_supervisor_has_ended(picture: Picture) -> None:
    async def end(stage: Stage) -> None:
        await talking(stage)
        stage.source.cut(reachable=False)
        await stage.until(lambda: stage.app.board.stale_why == "nobody listens", "the link is lost for good")
        stage.owner.end(Ended(None, "SIGKILL", LAST_LINES))
        await stage.sees("The supervisor has ended")

    picture((80, 24), rich(), end)


def test_the_link_is_lost(picture: Picture) -> None:
    async def cut(stage: Stage) -> None:
        await talking(stage)
        stage.source.cut(reachable=False)
        await stage.sees("nobody listens")

    picture((120, 40), rich(), cut)


def test_the_logs_are_paused_and_filtered(picture: Picture) -> None:
    async def pause(stage: Stage) -> None:
        await talking(stage)
        await stage.press("2", "k", "k")
        await stage.log(*log_lines(137)[120:])
        await stage.press("L", "slash")
        await stage.type("process")

    picture((120, 40), rich(), pause)


def test_the_talk_fills_the_screen(picture: Picture) -> None:
    async def zoom(stage: Stage) -> None:
        await talking(stage)
        await stage.press("3", "escape", "z")

    picture((80, 24), rich(), zoom)


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


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)
def test_jobs_are_poured_in(picture: Picture, size: tuple[int, int]) -> None:
    async def pour(stage: Stage) -> None:
        await talking(stage)
        stage.app.board.load_run = poured(stage.source)
        await stage.press("6")
        await stage.sees("125 of 200")
        stage.app._show()

    picture(size, rich(), pour)


def test_before_jobs_are_poured_in(picture: Picture) -> None:
    async def look(stage: Stage) -> None:
        await talking(stage)
        await stage.press("6")
        await stage.sees("g Pour")
        stage.app._show()

    picture((80, 24), rich(), look)


def test_the_question_before_leaving(picture: Picture) -> None:
    async def leave(stage: Stage) -> None:
        await talking(stage)
        await stage.press("q")

    picture((80, 24), rich(), leave)


def test_the_screen_while_it_stops(picture: Picture) -> None:
    async def stop(stage: Stage) -> None:
        await talking(stage)
        await stage.press("q", "s")

    picture((80, 24), rich(), stop)


def test_the_help(picture: Picture) -> None:
    async def ask(stage: Stage) -> None:
        await stage.press("question_mark")

    picture((100, 60), FakeSource(fresh_state()), ask)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_the_logs_with_a_traceback_opened_and_a_search(picture: Picture, size: tuple[int, int]) -> None:
    async def searching(stage: Stage) -> None:
        await stage.press("2", "m")
        await stage.log(*said("retry", "retry", "retry", *TRACEBACK, *TRACEBACK, "an error on its way", first=1000))
        await stage.press("k", "enter", "ctrl+f")
        await stage.type("error")
        await stage.press("enter")

    picture(size, rich(), searching)
