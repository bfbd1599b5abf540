"""The way out: what becomes of the worker when its terminal closes."""

from typing import Any

import pytest

from tests.tui.demo_state import NOW, SOCKET, demo_state, ended, job, process
from tests.tui.fakes import FakeOwner, FakeSource
from tests.tui.stage import Stage, fresh_state, staged
from workbench.client.owner import Ended
from workbench.model import events as ev
from workbench.tui.screens.choice import ChoiceScreen

GONE = Ended(0, None, [])


def only_own() -> FakeSource:
    """A worker in which nothing runs but the workbench's own job."""
    source = FakeSource(fresh_state())
    for event in [*process(1, 501, 6, NOW), *job("job-own", 1, NOW, own=True)]:
        source.state.apply(event)
    return source


async def until_watched(stage: Stage) -> None:
    """Until the app waits for the end of its supervisor."""
    await stage.until(lambda: stage.owner._gone is not None, "the owner is watched")


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_without_jobs_of_others_all_ends_at_once(key: str) -> None:
    async with staged(only_own(), FakeOwner()) as stage:
        await until_watched(stage)
        await stage.press(key)
        assert stage.owner.orders == ["stop"]
        await stage.sees("Stopping")
        await stage.sees("1 job, 1 process left")
        stage.owner.end(GONE)
        assert (await stage.left()).exit_code == 0
    assert stage.owner.orders == ["stop", "close"]


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_with_jobs_of_others_it_asks_with_counts(key: str) -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.press(key)
        await stage.sees("3 jobs run besides the workbench's own.")
        await stage.sees("Stop now: ask 4 jobs to end, kill after 5 s")
        assert stage.owner.orders == []


@pytest.mark.parametrize("key", ["escape", "c", "enter"])
async def test_the_harmless_answers_change_nothing(key: str) -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.press("q", key)
        assert stage.app.screen is stage.app.board_screen
        assert stage.owner.orders == []
        assert not stage.app._exit


async def test_s_stops_and_the_screen_waits_for_the_end() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        await stage.press("q", "s")
        assert stage.owner.orders == ["stop"]
        await stage.sees("4 jobs, 5 processes left")
        await stage.happen(ended("job-88a0", NOW))
        await stage.sees("3 jobs, 5 processes left")
        await stage.press("q", "ctrl+c", "escape")
        assert not stage.app._exit
        assert stage.owner.orders == ["stop"]
        stage.owner.end(GONE)
        assert (await stage.left()).reason == "stopped"


async def test_the_screen_says_how_long_the_jobs_have_until_they_are_killed() -> None:
    now = NOW
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        stage.app.board.clock = lambda: now
        await stage.press("q", "s")
        await stage.sees("killed in 5s")
        now += 3.5
        await stage.sees("killed in 2s")
        now += 2
        await stage.sees("being killed")
        stage.owner.end(GONE)
        await stage.left()


async def test_K_while_it_stops_kills_everything() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        await stage.press("q", "s", "K")
        assert stage.owner.orders == ["stop", "kill"]
        stage.owner.end(Ended(None, "SIGKILL", []))
        await stage.left()


async def test_d_drains_stays_usable_and_leaves_with_the_last_job() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        await stage.press("q", "d")
        assert stage.owner.orders == ["drain"]
        assert stage.app.screen is stage.app.board_screen
        await stage.tells("this closes when the last job has ended")
        await stage.happen(ev.DrainStarted(at=NOW, why="the workbench was closed", deadline_at=NOW + 3600))
        assert "this closes when the last job has ended" in stage.of("#drain")
        await stage.press("q")
        await stage.sees("Stop now")
        assert "Drain: take no new jobs" not in stage.text()
        await stage.press("escape")
        stage.owner.end(GONE)
        assert (await stage.left()).exit_code == 0


async def test_l_lets_it_run_on_and_prints_how_to_come_back() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.press("q", "l")
        report = await stage.left()
        assert stage.owner.orders[0] == "release"
        assert report.lines == ["the worker runs on with 4 jobs (pid 4120)", f"workbench attach {SOCKET}"]
        assert report.exit_code == 0


async def test_who_only_looks_leaves_without_a_question_and_without_an_order() -> None:
    async with staged() as stage:
        await stage.press("q")
        assert (await stage.left()).reason == "detached"
        assert stage.source.asked == []


@pytest.mark.parametrize("keys", [("q", "ctrl+c"), ("ctrl+c", "ctrl+c"), ("ctrl+c", "ctrl+q")])
async def test_asking_to_leave_twice_asks_one_question(keys: tuple[str, ...]) -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.press(*keys)
        assert sum(isinstance(screen, ChoiceScreen) for screen in stage.app.screen_stack) == 1


async def test_the_question_goes_when_the_supervisor_has_ended_meanwhile() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        await stage.press("q")
        stage.owner.end(Ended(1, None, ["out of memory"]))
        await stage.until(lambda: stage.app.leaving.gone is not None, "the end is known")
        await stage.press("s")
        assert stage.owner.orders == []
        await stage.sees("The supervisor has ended: exit code 1")


@pytest.mark.parametrize("how", [{"exit_code": 7, "signal": None}, {"exit_code": None, "signal": "SIGKILL"}])
async def test_after_an_end_that_nobody_wanted_q_leaves_with_its_code(how: dict[str, Any]) -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_watched(stage)
        stage.owner.end(Ended(last_lines=["its last words"], **how))
        await stage.sees("The supervisor has ended")
        await stage.press("q")
        report = await stage.left()
        assert report.exit_code == (how["exit_code"] or 1)
        assert report.lines[-1] == "its last words"


async def test_ctrl_c_is_heard_in_a_text_field_and_over_the_help() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.press("3", "ctrl+c")
        await stage.sees("What becomes of the worker?")
        await stage.press("escape", "escape", "escape", "question_mark", "ctrl+c")
        await stage.sees("What becomes of the worker?")
