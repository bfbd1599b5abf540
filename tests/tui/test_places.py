"""Going from pane to pane, zooming, and the mouse."""

import pytest

from tests.tui.demo_state import NOW, demo_state, message
from tests.tui.fakes import FakeOwner, FakeRoom, FakeSource
from tests.tui.stage import Stage, staged

PLACES = {"1": "table", "2": "log-view", "3": "say", "4": "events-view"}


def focused(stage: Stage) -> str:
    """The id of what has the keys."""
    field = stage.app.focused
    return (field.id or "") if field is not None else ""


@pytest.mark.parametrize(("key", "place"), PLACES.items())
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (50, 20)])
async def test_digits_go_to_the_panes_and_what_has_the_focus_is_on_the_screen(
    key: str, place: str, size: tuple[int, int]
) -> None:
    async with staged(size=size) as stage:
        await stage.press(key)
        assert focused(stage) == place
        region = stage.app.screen.query_one(f"#{place}").region
        assert region.width > 0
        assert region.height > 0


async def test_tab_goes_round_the_panes_and_comes_back() -> None:
    async with staged() as stage:
        seen = [focused(stage)]
        while len(seen) < 2 or seen[-1] != seen[0]:
            await stage.press("tab")
            seen.append(focused(stage))
            assert len(seen) < 12
        assert {"table", "log-view", "say", "events-view"} <= set(seen)


async def test_z_shows_the_focused_pane_alone_and_z_or_escape_brings_the_others_back() -> None:
    async with staged() as stage:
        await stage.press("4", "z")
        assert stage.app.screen.query_one("#events").region.size == (120, 36)
        assert not stage.app.screen.query_one("#processes").region
        await stage.press("z")
        assert stage.app.screen.query_one("#processes").region
        await stage.press("z", "escape")
        assert stage.app.screen.query_one("#processes").region


async def test_while_zoomed_the_digits_change_the_pane_that_shows() -> None:
    async with staged() as stage:
        await stage.press("z", "2")
        assert stage.app.screen.query_one("#logs").region.width == 120
        await stage.press("3")
        assert stage.app.screen.query_one("#talk").region.width == 120
        assert not stage.app.screen.query_one("#logs").region


@pytest.mark.parametrize("key", ["2", "3", "4"])
async def test_escape_leads_back_to_the_processes_from_everywhere_and_never_quits(key: str) -> None:
    async with staged() as stage:
        await stage.press(key, "escape", "escape", "escape")
        assert focused(stage) == "table"
        assert not stage.app._exit


@pytest.mark.parametrize("key", ["1", "2", "3", "4"])
async def test_escape_leaves_the_zoom_of_every_pane(key: str) -> None:
    async with staged() as stage:
        await stage.press(key)
        if key == "3":
            await stage.press("escape")  # out of the field
        await stage.press("z", "escape", "escape")
        assert stage.app.screen.query_one("#processes").region


async def test_in_one_place_the_talk_shows_once_there_is_somebody_to_talk_to() -> None:
    source = FakeSource(demo_state())
    source.rooms["room-talk"] = FakeRoom([message("1", "agent", "Hello!", NOW)])
    async with staged(source, size=(80, 24)) as stage:
        await stage.sees("◆ Hello!")


async def test_in_one_place_a_chosen_pane_is_not_taken_away() -> None:
    async with staged(size=(80, 24)) as stage:
        await stage.press("4")
        stage.app.board_screen.offer_talk()
        await stage.settle()
        assert stage.app.screen.query_one("#events").region


async def test_a_click_on_a_tab_goes_to_its_pane() -> None:
    async with staged(size=(80, 24)) as stage:
        row = next(y for y, text in enumerate(stage.rows()) if "2 Logs" in text and "4 Events" in text)
        await stage.pilot.click(offset=(stage.rows()[row].index("4 Events") + 2, row))
        await stage.settle()
        assert focused(stage) == "events-view"


async def test_a_click_on_a_row_selects_its_process() -> None:
    async with staged() as stage:
        row = next(y for y, text in enumerate(stage.rows()) if "41203" in text)
        await stage.pilot.click(offset=(10, row))
        await stage.settle()
        assert stage.table.process.pid == 41203


@pytest.mark.parametrize(("words", "what"), [("r Reload", ("reload",)), ("n New", ("dispatch",))])
async def test_a_click_on_a_key_of_the_bottom_row_presses_it(words: str, what: tuple[str, ...]) -> None:
    async with staged() as stage:
        await stage.pilot.click("#keys", offset=(stage.of("#keys").index(words) + 2, 0))
        await stage.asked(*what)


async def test_a_click_on_quit_quits() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await stage.pilot.click("#keys", offset=(stage.of("#keys").index("q Quit"), 0))
        await stage.sees("What becomes of the worker?")


async def test_a_click_on_no_key_does_nothing() -> None:
    async with staged() as stage:
        await stage.pilot.click("#keys", offset=(119, 0))
        await stage.settle()
        assert stage.source.asked == []


async def test_the_palette_finds_a_command_by_name_and_runs_it() -> None:
    async with staged() as stage:
        await stage.press("ctrl+p")
        await stage.type("code: load")
        await stage.sees("load the agent's code again")
        await stage.press("enter")
        await stage.asked("reload")


async def test_the_palette_runs_the_commands_of_the_focused_pane() -> None:
    async with staged() as stage:
        await stage.press("2", "ctrl+p")
        await stage.type("hide lines below")
        await stage.until(lambda: stage.text().count("(key ") == 1, "only what was typed is offered")
        await stage.sees("hide lines below INFO, WARNING, ERROR")
        await stage.press("enter")
        await stage.until(lambda: stage.logs.store.filter.level == "INFO", "the level is one step stricter")
