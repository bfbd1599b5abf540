"""The folder that a worker was started in is gone: what would only tell of a file by its path goes on."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.defences import defence
from tests.tui.terminal import Terminal
from workbench.model.paths import absolute, current_folder, seen_from, shortest
from workbench.tui.widgets.logs.tracebacks import Frame

HERE = "workbench/model/paths.py"


@defence((HERE, "    except OSError:\n        return file", "    except ValueError:\n        return file"))
@defence((HERE, '    except OSError:\n        return ""', '    except ValueError:\n        return ""'))
def test_the_screen_lives_on_without_its_folder_and_new_code_that_is_not_there_is_told(
    open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    agent = (
        "import asyncio\n"
        "PLACE = 'File \"/else/where.py\", line 7, in there'\n"
        "TRACEBACK = f'Traceback (most recent call last):\\n  {PLACE}\\nValueError: boom'\n"
        "async def entrypoint(ctx):\n"
        "    await ctx.connect()\n"
        "    while True:\n"
        "        print(TRACEBACK, flush=True)\n"
        "        await asyncio.sleep(0.2)\n"
    )
    home = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    terminal = open_terminal("agent.py", "--port=0", "--start-job", files={"agent.py": agent}, **home)
    terminal.sees("● READY", "● busy")
    shutil.rmtree(terminal.folder)
    terminal.type("2r")
    terminal.sees(
        "cannot serve", "the folder it was in does not exist any more", "ValueError: boom at where.py:7 in there"
    )
    terminal.type("q")
    assert terminal.ended() == 0


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder does not exist any more."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        os.getcwd()


def test_paths_are_told_whole_where_there_is_no_folder_to_see_them_from(nowhere: None) -> None:
    assert current_folder() == ""
    assert seen_from("/project/bot.py") == "/project/bot.py"
    assert seen_from("/project/bot.py", "/project") == "bot.py"
    assert shortest("/project/bot.py") == "/project/bot.py"
    assert (shortest("bot.py"), absolute("bot.py")) == ("bot.py", "bot.py")


def test_paths_are_told_from_the_current_folder_where_they_lie_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shortest(str(tmp_path / "a" / "bot.py")) == "a/bot.py"
    assert shortest("/elsewhere/bot.py") == "/elsewhere/bot.py"
    assert (shortest("./bot.py"), shortest("../bot.py"), shortest("")) == ("bot.py", "../bot.py", "")
    assert [Frame(file, 7, "f").words() for file in ("./bot.py", "../bot.py", "/elsewhere/bot.py")] == [
        "bot.py:7 in f",
        "bot.py:7 in f",
        "bot.py:7 in f",
    ]
    assert absolute("a/../bot.py") == str(tmp_path / "bot.py")
