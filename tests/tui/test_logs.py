"""The log pane under the keys: following, pausing, filtering, copying."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.demo_state import NOW, demo_state
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, staged
from workbench.client.client import LogLine
from workbench.tui.widgets.logs.store import CAPACITY


def line(n: int, text: str = "", level: str = "INFO", process_id: int = 1) -> LogLine:
    """The `n`th line of output."""
    return LogLine(n, NOW, process_id, 41200 + process_id, 7, None, level, "bot", text or f"line {n}")


def lines(first: int, count: int) -> list[LogLine]:
    """A run of lines."""
    return [line(n) for n in range(first, first + count)]


def shown(stage: Stage) -> list[str]:
    """The texts on screen, top down."""
    rows = stage.of("#log-view").split("\n")
    return [row[19:].rstrip(" ▁▂▃▄▅▆▇█") for row in rows if row.strip()]


def source(count: int = 100) -> FakeSource:
    """A worker that has logged `count` lines."""
    return FakeSource(demo_state(), lines(0, count))


async def until_held(stage: Stage, count: int) -> None:
    """Until the store holds so many lines."""
    await stage.until(lambda: len(stage.logs.store) == count, f"{count} lines are held")
    await stage.settle()


async def test_while_following_the_newest_line_is_the_last_on_screen() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        assert shown(stage)[-1] == "line 99"
        await stage.log(*lines(100, 500))
        assert shown(stage)[-1] == "line 599"
        await stage.sees("▼ following")


@pytest.mark.parametrize("key", ["k", "f", "b", "g", "ctrl+u", "up", "pageup"])
async def test_any_way_up_pauses_and_nothing_moves_after_it(key: str) -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", key)
        before = shown(stage)
        for first in (100, 137, 1000):
            await stage.log(*lines(first, 37))
            assert shown(stage) == before
        await stage.sees("PAUSED +111 new")


async def test_the_wheel_pauses_too() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        stage.logs.scroll_up(animate=False)
        await stage.settle()
        before = shown(stage)
        await stage.log(*lines(100, 10))
        assert shown(stage) == before
        await stage.sees("PAUSED +10 new")


@pytest.mark.parametrize("key", ["f", "G", "end"])
async def test_following_again_goes_to_the_end_and_forgets_the_count(key: str) -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", "k")
        await stage.log(*lines(100, 10))
        await stage.press(key)
        assert shown(stage)[-1] == "line 109"
        assert "new" not in stage.of("#logs").split("\n")[0]


async def test_what_is_read_stays_even_when_the_oldest_lines_are_forgotten() -> None:
    async with staged(source(0)) as stage:
        await stage.log(*lines(0, CAPACITY))
        await stage.press("2", "k")
        before = shown(stage)
        await stage.log(*lines(CAPACITY, 3000))
        assert shown(stage) == before
        assert len(stage.logs.store) == CAPACITY


async def test_only_new_lines_that_the_filter_shows_are_counted() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", "slash")
        await stage.type("line")
        await stage.press("enter", "k")
        await stage.log(line(100, "other"), line(101), line(102, "other"))
        await stage.sees("PAUSED +1 new")


async def test_the_count_of_new_lines_follows_a_filter_that_is_set_later() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", "k")
        await stage.log(line(100, "other"), line(101), line(102, "other"))
        await stage.press("slash")
        await stage.type("other")
        await stage.sees("PAUSED +2 new")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("cat", ["a cat", "A CAT", "cat and dog"]),
        ("CAT", ["A CAT"]),
        ("!cat", ["a dog"]),
        ("re:^a ", ["a cat", "a dog"]),
        ("!re:^a ", ["A CAT", "cat and dog"]),
        ("re:[", ["a cat", "a dog", "A CAT", "cat and dog"]),
        ("!", ["a cat", "a dog", "A CAT", "cat and dog"]),
    ],
)
async def test_the_filter_holds_while_one_types(typed: str, kept: list[str]) -> None:
    said = ["a cat", "a dog", "A CAT", "cat and dog"]
    async with staged(FakeSource(demo_state(), [line(n, text) for n, text in enumerate(said)])) as stage:
        await until_held(stage, 4)
        await stage.press("slash")
        await stage.type(typed)
        assert shown(stage) == kept
        if typed == "re:[":
            await stage.sees("not a regular expression")
        await stage.press("escape")
        assert shown(stage) == said


async def test_enter_keeps_the_filter_and_escape_clears_it() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("slash")
        await stage.type("line 7")
        await stage.press("enter")
        assert shown(stage) == ["line 7", *(f"line {n}" for n in range(70, 80))]
        await stage.sees("11 of 100")
        await stage.press("escape")
        await stage.sees("100 lines")


async def test_L_hides_less_severe_lines_step_by_step_and_round_again() -> None:
    levels = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    said = [line(n, level.lower(), level) for n, level in enumerate(levels)]
    async with staged(FakeSource(demo_state(), said)) as stage:
        await until_held(stage, 5)
        await stage.press("2")
        for hidden in (1, 2, 3, 0):
            await stage.press("L")
            assert shown(stage) == [level.lower() for level in levels[hidden:]]


async def test_l_shows_the_lines_of_the_selected_process_and_again_all() -> None:
    said = [line(n, process_id=n % 4) for n in range(20)]
    async with staged(FakeSource(demo_state(), said)) as stage:
        await until_held(stage, 20)
        await stage.press("j", "l")
        assert shown(stage) == [f"line {n}" for n in range(20) if n % 4 == 1]
        await stage.sees("process #1")
        await stage.press("l")
        assert len(shown(stage)) == 20


async def test_a_filter_that_hides_all_says_so() -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("slash")
        await stage.type("nothing has this")
        await stage.sees("no line of 100 passes the filter; Esc clears it")


async def test_dropped_lines_are_told_where_they_are_missing() -> None:
    async with staged(source(1)) as stage:
        await until_held(stage, 1)
        await stage.log(line(5000), dropped=4321)
        assert shown(stage) == ["line 0", "4,321 lines were dropped here: too many to carry", "line 5000"]


async def test_long_lines_can_be_read_to_their_end() -> None:
    text = "start " + "x" * 300 + " end"
    async with staged(FakeSource(demo_state(), [line(0, text)])) as stage:
        await until_held(stage, 1)
        await stage.press("2", *["right"] * 40)
        await stage.sees(" end")
        await stage.press(*["left"] * 40)
        await stage.sees("start xxx")


@pytest.mark.parametrize(("key", "text", "what"), [("y", "line 98", "1 line"), ("Y", None, "100 lines")])
async def test_what_is_copied_is_what_is_shown_and_it_is_said_how(
    key: str, text: str | None, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.tui.clipboard.native_tool", lambda: None)
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", "k", key)
        await stage.tells(f"sent {what} to the terminal's clipboard (OSC 52); not every terminal takes it")
        assert stage.app.clipboard == (text or "\n".join(f"line {n}" for n in range(100)))


Step = tuple[str, Any]
STEPS = st.one_of(
    st.tuples(st.just("log"), st.integers(1, 60)),
    st.tuples(st.just("key"), st.sampled_from(["j", "ctrl+d", "space", "y"])),
)


@settings(max_examples=8, deadline=None)
@given(steps=st.lists(STEPS, max_size=8))
async def test_while_paused_only_keys_move_the_view(steps: list[Step]) -> None:
    async with staged(source()) as stage:
        await until_held(stage, 100)
        await stage.press("2", "g")
        first = 100
        for kind, what in steps:
            before = shown(stage)
            if kind == "key":
                await stage.press(what)
                continue
            await stage.log(*lines(first, what))
            first += what
            assert shown(stage) == before or stage.logs.following
