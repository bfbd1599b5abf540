"""The keys of the log pane: searching, folding, wrapping, marks, errors, filters, and taking lines elsewhere."""

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.demo_state import NOW, demo_state
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, staged
from tests.tui.test_log_rows import TRACEBACK
from workbench.client.client import LogLine
from workbench.model.text import clean_text
from workbench.tui.widgets.logs.tracebacks import Frame

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


# --- taking elsewhere -------------------------------------------------------------------------------


async def test_y_copies_a_folded_traceback_whole_and_a_range_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.clipboard.native_tool", lambda: None)
    async with staged(source("a", "b", *TRACEBACK)) as stage:
        await stage.press("2", "y")
        await stage.tells("sent 9 lines")
        assert stage.app.clipboard == "\n".join(TRACEBACK)
        await stage.press("v", "k", "k")
        await stage.sees("range of 11 lines")
        await stage.press("y")
        await stage.tells("sent 11 lines")
        assert stage.app.clipboard == "\n".join(["a", "b", *TRACEBACK])
        assert "range" not in bar(stage)
        await stage.press("v", "escape")
        assert "range" not in bar(stage)


async def test_export_writes_what_is_shown_to_a_new_file_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with staged(source("keep a", "leave", *TRACEBACK, "keep b")) as stage:
        await stage.press("slash")
        await stage.type("!leave")
        await stage.press("enter", "ctrl+s")
        await stage.tells("wrote 11 lines to ")
        (path,) = tmp_path.iterdir()
        assert path.name.startswith("support-agent-20")
        assert any(str(path) in told for told in stage.told)
        texts = [line[37:] for line in path.read_text().splitlines()]
        assert texts == ["keep a", *TRACEBACK, "keep b"]
        await stage.press("ctrl+s")
        await stage.until(lambda: len(list(tmp_path.iterdir())) == 2, "a second file")
        assert path.read_text().count("\n") == 11


async def test_an_export_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setattr("workbench.tui.export.open", lambda *_, **__: _no_room(), raising=False)
    async with staged(source("a")) as stage:
        await stage.press("2", "ctrl+s")
        await stage.tells("cannot be written")
        await stage.tells("No space left on device")


def _no_room() -> None:
    raise OSError(28, "No space left on device")


def program(folder: Path, name: str, code: str) -> str:
    """A command line of ours, with a blank in the program's path."""
    path = folder / f"{name} it.py"
    path.write_text(code)
    return f"{sys.executable} {shlex.quote(str(path))} --flag"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Programs that write down what they were given; no terminal is needed to hand over."""
    kept = tmp_path / "kept"
    tell = f"import sys; open({str(kept)!r}, 'w').write(chr(10).join(sys.argv[1:]) + chr(10) + NOTE)"
    monkeypatch.setenv("EDITOR", program(tmp_path, "edit", tell.replace("NOTE", "'editor'")))
    monkeypatch.setenv("PAGER", program(tmp_path, "page", tell.replace("NOTE", "sys.stdin.read()")))
    return lambda: kept.read_text().splitlines() if kept.exists() else []


class _Suspended:
    """Stands in for the terminal's handing over, which needs one."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    "line", ['  File "FILE", line 3, in f', "see FILE:3: it is wrong", "ValueError: boom (FILE:3 in f)"]
)
async def test_o_opens_the_file_and_line_that_a_line_names(
    line: str, tmp_path: Path, outside: Callable[[], list[str]]
) -> None:
    file = tmp_path / "bot.py"
    file.write_text("x = 1\n")
    async with staged(source(line.replace("FILE", str(file)))) as stage:
        stage.app.suspend = _Suspended  # type: ignore[method-assign,assignment]
        await stage.press("2", "o")
        await stage.tells("was opened")
        assert outside() == ["--flag", "+3", str(file), "editor"]


async def test_o_on_a_folded_traceback_opens_the_users_own_frame(
    tmp_path: Path, outside: Callable[[], list[str]]
) -> None:
    file = tmp_path / "bot.py"
    file.write_text("x = 1\n")
    async with staged(source(*(text.replace("/home/u/bot.py", str(file)) for text in TRACEBACK))) as stage:
        stage.app.suspend = _Suspended  # type: ignore[method-assign,assignment]
        await stage.press("2", "o")
        await stage.tells("was opened")
        assert outside()[1:3] == ["+38", str(file)]


async def test_o_elsewhere_shows_the_lines_in_the_pager(outside: Callable[[], list[str]]) -> None:
    async with staged(source("a", "b")) as stage:
        stage.app.suspend = _Suspended  # type: ignore[method-assign,assignment]
        await stage.press("2", "o")
        await stage.tells("the lines were shown in")
        assert [line[-1] for line in outside()[1:]] == ["a", "b"]


@pytest.mark.parametrize(
    ("editor", "pager", "line", "told"),
    [
        ("", "", "a", "PAGER is not set"),
        ("", "", 'File "/etc/passwd", line 3', "EDITOR is not set: passwd:3 cannot be opened; nor is PAGER"),
        ("true", "", 'File "/nowhere/bot.py", line 3', "/nowhere/bot.py is not here"),
        ("'unbalanced", "", 'File "/etc/passwd", line 3', "is no command line: No closing quotation"),
        ("/nowhere/editor", "", 'File "/etc/passwd", line 3', "/nowhere/editor cannot be run: No such file"),
        ("false", "", 'File "/etc/passwd", line 3', "false ended with exit code 1"),
        ("true; touch /tmp/never", "", 'File "/etc/passwd", line 3', "true; cannot be run"),
    ],
)
async def test_what_is_missing_or_fails_is_told(
    editor: str, pager: str, line: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", editor)
    monkeypatch.setenv("PAGER", pager)
    async with staged(source(line)) as stage:
        stage.app.suspend = _Suspended  # type: ignore[method-assign,assignment]
        await stage.press("2", "o")
        await stage.tells(told)
    assert not os.path.exists("/tmp/never")


async def test_hostile_lines_reach_no_row_as_they_are() -> None:
    hostile = [
        "Traceback (most recent call last):",
        '  File "\x1b]52;c;x\x07.py", line 1, in \x1b[2J',
        "\x9bError: \x1b[",
    ]
    lines = said(*hostile, "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", level="\0mark")
    async with staged(FakeSource(demo_state(), lines)) as stage:
        await stage.press("2", "k", "enter", "enter")
        assert all(clean_text(row) == row for row in stage.of("#log-view").split("\n"))
        assert "▸ x2 red" in stage.of("#log-view")  # nobody but the user sets marks


def test_places_are_told_from_here() -> None:
    here = os.path.abspath("bot.py")
    assert Frame(here, 3, "f").words() == "bot.py:3 in f"
    assert Frame(os.path.abspath("a/bot.py"), 3, "<module>").words() == "a/bot.py:3"
    assert Frame("/elsewhere/bot.py", 3, "").words() == "bot.py:3"
