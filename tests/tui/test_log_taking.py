"""Taking lines of the log elsewhere: copies, exports, the editor and the pager."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tui.demo_state import demo_state
from tests.tui.fakes import FakeSource
from tests.tui.stage import staged
from tests.tui.test_log_keys import bar, said, source
from tests.tui.test_log_rows import TRACEBACK
from workbench.model.text import clean_text
from workbench.tui.widgets.logs.tracebacks import Frame


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
