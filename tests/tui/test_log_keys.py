"""The keys of the log pane: searching, folding, wrapping, marks, errors and filters."""

import dataclasses

import pytest

from tests.tui.demo_state import NOW, demo_state
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, staged
from tests.tui.test_log_rows import TRACEBACK
from workbench.client.client import LogLine

FOLDED = "▸ Traceback, 3 frames: ValueError: boom at bot.py:38 in entrypoint"


def said(
    *texts: str, process_id: int = 1, level: str = "INFO", logger: str = "stdout", first: int = 0
) -> list[LogLine]:
    """Lines of output, each with its own time."""
    job, pid = f"job-{process_id}", 41200 + process_id
    return [LogLine(first + n, NOW + n, process_id, pid, 7, job, level, logger, text) for n, text in enumerate(texts)]


def source(*texts: str) -> FakeSource:
    """A worker that has printed these lines."""
    return FakeSource(demo_state(), said(*texts))


def shown(stage: Stage) -> list[str]:
    """The texts on screen, top down."""
    return [row[19:].rstrip(" ▁▂▃▄▅▆▇█") for row in stage.of("#log-view").split("\n") if row.strip(" ▁▂▃▄▅▆▇█")]


def bar(stage: Stage) -> str:
    """The bar of the pane."""
    return stage.of("#logs").split("\n")[0]


def under_cursor(stage: Stage) -> str:
    """The text in the row of the cursor."""
    row = stage.logs.here
    return str(stage.logs.store.rows.text(row.head, row.piece))


# --- searching --------------------------------------------------------------------------------------


async def test_a_search_hides_nothing_and_goes_from_match_to_match() -> None:
    async with staged(source("a cat", "dog", "CAT", "dog", "cat")) as stage:
        await stage.sees("5 lines")
        await stage.press("ctrl+f")
        await stage.type("cat")
        assert len(shown(stage)) == 5
        await stage.press("enter")
        await stage.sees("match 3 of 3")
        assert under_cursor(stage) == "cat"
        await stage.press("N")
        await stage.sees("match 2 of 3")
        await stage.press("N", "N")  # round
        await stage.sees("match 3 of 3")
        await stage.press("n")
        await stage.sees("match 1 of 3")
        assert under_cursor(stage) == "a cat"
        await stage.press("escape")
        assert "match" not in bar(stage)


async def test_n_means_the_next_match_only_while_there_is_a_search() -> None:
    async with staged(source("a cat", "dog")) as stage:
        await stage.press("2", "n")
        await stage.asked("dispatch")
        await stage.press("ctrl+f")
        await stage.type("cat")
        await stage.press("enter", "n")
        assert stage.source.asked == [("dispatch",)]
        assert "n" in stage.offered
        await stage.press("escape", "n")
        await stage.until(lambda: stage.source.asked == [("dispatch",)] * 2, "a job is started again")


async def test_escape_ends_the_search_first_and_then_the_filter() -> None:
    async with staged(source("a cat", "dog")) as stage:
        await stage.press("slash")
        await stage.type("cat")
        await stage.press("enter", "ctrl+f")
        await stage.type("a")
        await stage.press("enter")
        await stage.sees("match 1 of 1")
        await stage.press("escape")
        await stage.sees("1 of 2")
        await stage.press("escape")
        await stage.sees("2 lines")


async def test_what_is_found_is_lit_also_in_a_long_line_that_is_broken() -> None:
    async with staged(source("x" * 70 + " needle " + "y" * 40)) as stage:
        await stage.press("2", "w", "ctrl+f")
        await stage.type("needle")
        await stage.settle()
        lit = [
            segment.text
            for y in range(3)
            for segment in stage.logs.render_line(y)
            if segment.style is not None and segment.style.reverse
        ]
        assert "".join(lit) == "needle"


async def test_a_pattern_that_is_none_is_told_and_finds_nothing() -> None:
    async with staged(source("a")) as stage:
        await stage.press("ctrl+f")
        await stage.type("re:(")
        await stage.sees("not a regular expression")
        await stage.press("enter")
        assert not stage.logs.check_action("match", ())


async def test_going_to_a_match_within_a_traceback_opens_it() -> None:
    async with staged(source("before", *TRACEBACK, "after")) as stage:
        await stage.press("ctrl+f")
        await stage.type("in deep")
        await stage.press("enter")
        assert under_cursor(stage) == '  File "/usr/lib/python3.11/asyncio/x.py", line 6, in deep'
        await stage.sees("match 1 of 1")


# --- folding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["z", "enter"])
async def test_a_traceback_is_one_row_until_it_is_opened_step_by_step(key: str) -> None:
    async with staged(source("before", *TRACEBACK)) as stage:
        await stage.sees("10 lines")
        assert shown(stage) == ["before", FOLDED[:54]]
        await stage.press("2", key)
        assert shown(stage)[2:] == [*TRACEBACK[:3], "  2 library frames hidden, Enter shows them", "ValueError: boom"]
        await stage.press(key)
        assert shown(stage)[2:] == [text[:54].rstrip() for text in TRACEBACK]
        await stage.press(key)
        assert shown(stage) == ["before", FOLDED[:54]]
        assert not stage.app.board_screen.zoomed


async def test_where_nothing_folds_z_zooms() -> None:
    async with staged(source(*TRACEBACK, "after")) as stage:
        await stage.press("2", "z")
        assert stage.app.board_screen.zoomed
        await stage.press("k", "z")
        assert stage.app.board_screen.zoomed
        assert len(shown(stage)) == 7


async def test_what_is_opened_at_the_bottom_comes_into_sight() -> None:
    async with staged(source(*(f"line {n}" for n in range(60)), *TRACEBACK)) as stage:
        await stage.press("2", "enter")
        assert shown(stage)[-1] == "ValueError: boom"
        assert under_cursor(stage).startswith("▾ Traceback")


async def test_repeats_are_one_row_with_their_number_and_open() -> None:
    async with staged(source("a", *["tick"] * 14)) as stage:
        await stage.sees("15 lines")
        assert shown(stage) == ["a", "▸ x14 tick"]
        await stage.log(*said("tick", first=15))
        assert shown(stage) == ["a", "▸ x15 tick"]
        await stage.press("2", "enter")
        assert shown(stage) == ["a", "▾ x15 tick", *["tick"] * 15]


async def test_lines_that_fold_above_do_not_move_what_is_read() -> None:
    async with staged(source(*(f"line {n}" for n in range(60)))) as stage:
        await stage.press("2", "k")
        before = shown(stage)
        await stage.log(*said(*["tick"] * 50, *TRACEBACK, first=60))
        assert shown(stage) == before
        await stage.sees("PAUSED +59 new")


async def test_a_traceback_in_a_log_record_folds_as_one_that_was_printed() -> None:
    record = [dataclasses.replace(line, at=NOW) for line in said("it broke", *TRACEBACK, level="ERROR", logger="bot")]
    async with staged(FakeSource(demo_state(), record)) as stage:
        await stage.sees("10 lines")
        assert shown(stage) == ["it broke", FOLDED[:54]]


# --- wrapping, marks, errors ------------------------------------------------------------------------


async def test_w_breaks_long_lines_and_the_cursor_and_the_top_stay() -> None:
    long = "    " + " ".join(f"word{n}" for n in range(40))
    async with staged(source(*(f"{n} {long}" if n % 3 else f"line {n}" for n in range(90)))) as stage:
        await stage.press("2", "g", *["ctrl+d"] * 3, "k")
        top, cursor = shown(stage)[0], under_cursor(stage)
        await stage.press("w")
        assert shown(stage)[0].split()[0] == top.split()[0]
        assert any(row.strip().startswith("word3") for row in shown(stage))
        await stage.press("w")
        assert (shown(stage)[0], under_cursor(stage)) == (top, cursor)


async def test_while_wrapped_the_newest_row_is_the_last_on_screen_and_keys_go_line_by_line() -> None:
    async with staged(source("first", " ".join(f"word{n}" for n in range(40)) + " end")) as stage:
        await stage.press("2", "w")
        assert shown(stage)[-1].endswith("end")
        await stage.log(*said("x " * 100 + "last", first=2))
        assert shown(stage)[-1].endswith("last")
        await stage.press("k", "k")
        assert under_cursor(stage) == "first"
        await stage.press("j")
        assert under_cursor(stage).startswith("word0")


async def test_marks_stand_through_every_filter_and_are_found_again() -> None:
    async with staged(source("a")) as stage:
        await stage.press("2", "apostrophe")
        await stage.tells("there is no mark; m sets one")
        await stage.press("m")
        await stage.log(*said("b", first=1))
        await stage.press("m")
        await stage.log(*said(*(f"line {n}" for n in range(60)), first=2))
        await stage.sees("62 lines")
        await stage.press("slash")
        await stage.type("line")
        await stage.press("enter", "apostrophe")
        assert under_cursor(stage) == "mark 2"
        await stage.press("apostrophe")
        assert under_cursor(stage) == "mark 1"
        assert shown(stage)[0].startswith(" ───")
        assert stage.of("#log-view").split("\n")[0].split()[2:4] == ["mark", "1"]
        await stage.press("apostrophe")
        assert under_cursor(stage) == "mark 2"
        await stage.sees("60 of 62")


async def test_e_goes_from_error_to_error_and_pauses() -> None:
    lines = said("a", *TRACEBACK, "b", "c")
    lines += [*said("bad", level="ERROR", first=12), *said(*(f"line {n}" for n in range(50)), first=13)]
    async with staged(FakeSource(demo_state(), lines)) as stage:
        await stage.press("2", "e")
        assert under_cursor(stage) == "bad"
        assert not stage.logs.following
        await stage.press("E")
        assert under_cursor(stage) == FOLDED
        await stage.press("E")
        await stage.tells("no error above this line")
        await stage.press("e", "e")
        await stage.tells("no error below this line")
        assert under_cursor(stage) == "bad"


# --- filters ----------------------------------------------------------------------------------------


async def test_J_and_c_show_the_job_and_the_code_of_the_line_under_the_cursor() -> None:
    lines = [*said("one"), *said("two", process_id=2, first=1)]
    lines += [dataclasses.replace(lines[0], n=2, generation=6, text="old"), *said("sup", process_id=0, first=3)]
    lines[3] = dataclasses.replace(lines[3], job_id=None, generation=0)
    async with staged(FakeSource(demo_state(), lines), size=(200, 60)) as stage:
        await stage.press("2", "J")
        await stage.tells("the line under the cursor belongs to no job")
        await stage.press("c")
        await stage.tells("the line under the cursor comes from no generation of the code")
        await stage.press("k", "J")
        assert [row.split()[1] for row in shown(stage)] == ["one", "old"]
        await stage.sees("J job-1")
        await stage.press("c")
        assert [row.split()[1] for row in shown(stage)] == ["old"]
        await stage.sees("c code g6")
        await stage.sees("Esc shows all")
        await stage.press("J", "c")
        assert len(shown(stage)) == 4


async def test_an_empty_log_names_the_filter_that_hides_all_and_escape_shows_it_again() -> None:
    async with staged(source("a", "b")) as stage:
        await stage.press("2", "L", "L")
        await stage.sees("no line of 2 passes the filter; Esc clears it")
        await stage.sees("≥WARNING hides all of them")
        await stage.press("escape")
        assert shown(stage) == ["a", "b"]
