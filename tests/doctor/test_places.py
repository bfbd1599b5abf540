"""Folders, saves, the terminal, the clock and the program, where all is well, and where it is not."""

import importlib.metadata
import os
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.defences import defence
from tests.doctor.trying import by_name, examined, tree
from workbench.cli.doctor import clock, places, program, saves, terminal
from workbench.cli.doctor.finding import MISSING, NOTE, OK
from workbench.cli.doctor.trial import in_a_fork
from workbench.model.options import Options
from workbench.model.settings import Settings

# --- places ------------------------------------------------------------------------------------------


@defence(
    (
        "workbench/cli/doctor/places.py",
        "        _try_socket(folder)\n        _try_file(folder)\n",
        "        folder.stat()\n",
    )
)
def test_a_run_folder_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "workbench").mkdir(mode=0o500)
    code, found = examined(tmp_path, before=kernels.as_any_user)
    assert (code, found["run folder"]["state"]) == (2, MISSING)
    assert "cannot be used: Permission denied" in found["run folder"]["found"]
    assert "Set XDG_RUNTIME_DIR" in found["run folder"]["follows"]


def test_a_run_folder_of_somebody_else_is_missing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "workbench").symlink_to(tmp_path / "elsewhere")
    code, found = examined(tmp_path)
    assert (code, found["run folder"]["state"]) == (2, MISSING)
    assert "is not owned by this user" in found["run folder"]["found"]


def test_a_run_folder_whose_path_is_too_long_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    code, found = examined(tmp_path, XDG_RUNTIME_DIR=str(folder))
    assert code == 2
    assert "too long for a socket" in found["run folder"]["found"]


def test_a_runtime_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, found = examined(tmp_path, XDG_RUNTIME_DIR="/nowhere", TMPDIR=str(tmp_path))
    assert (code, found["run folder"]["state"]) == (0, NOTE)
    assert "XDG_RUNTIME_DIR is /nowhere" in found["run folder"]["follows"]
    assert found["run folder"]["figures"]["path"].startswith(str(tmp_path))


def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(places, "LOW_MB", float("inf"))
    assert places.check_run_folder().state == NOTE


@defence(("workbench/cli/doctor/places.py", 'if settings.chosen("port"):', "if False:"))
def test_a_port_that_was_chosen_and_is_taken_is_missing_and_its_holder_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, found = examined(tmp_path, "--port", str(port))
        assert (code, found["port"]["state"]) == (2, MISSING)
        assert f"(pid {os.getpid()})" in found["port"]["found"]
        nobody_chose = Settings(Options.model_construct(host="127.0.0.1", port=port), {})
        by_default = places.check_port(nobody_chose)
    assert by_default.state == NOTE
    assert "The workbench takes a free one" in by_default.follows
    assert places.check_port(nobody_chose).state == OK


def test_a_host_that_is_not_here_is_missing(tmp_path: Path) -> None:
    code, found = examined(tmp_path, "--host", "192.0.2.1")
    assert (code, found["port"]["state"]) == (2, MISSING)
    assert "Choose others: host is set by --host" in found["port"]["follows"]


# --- hot reload --------------------------------------------------------------------------------------


@defence(("workbench/cli/doctor/saves.py", "            trial.unlink()\n", "            pass\n"))
def test_a_save_is_heard_of_and_the_folder_is_as_it_was(tmp_path: Path) -> None:
    found = by_name(saves.check_saves(tmp_path))["saves"]
    assert found.state == OK
    assert not list(tmp_path.iterdir())


def test_without_watches_saves_are_polled_for(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {"proc/sys/fs/inotify/max_user_watches": "0\n", "proc/sys/fs/inotify/max_user_instances": "128\n"},
    )
    found = by_name(saves.check_saves(tmp_path, root))["watches"]
    assert found.state == NOTE
    assert "twice a second" in found.follows
    assert by_name(saves.check_saves(tmp_path, tmp_path / "no"))["watches"].state == NOTE


def test_a_watch_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    def judged() -> dict[str, Any]:
        import watchfiles  # noqa: F401  # importing needs files, too

        top = max(int(name) for name in os.listdir("/proc/self/fd"))
        while os.dup(0) < top:
            continue
        resource.setrlimit(resource.RLIMIT_NOFILE, (top + 2, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return by_name(saves.check_saves(tmp_path))["saves"].to_json("")

    found = in_a_fork(judged)
    assert found["state"] == NOTE
    assert found["found"].startswith(f"The watch on {tmp_path} failed")
    assert "twice a second" in found["follows"]


def test_a_folder_where_nothing_can_be_saved_is_told() -> None:
    found = by_name(saves.check_saves(Path("/proc/self")))["saves"]
    assert found.state == NOTE
    assert found.found.startswith("Nothing can be written in /proc/self")


def test_a_save_that_is_not_told_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saves, "WAIT_S", 0.0)
    found = by_name(saves.check_saves(tmp_path))["saves"]
    assert found.state == NOTE
    assert "was not told within 0 s" in found.found


# --- terminal, clock, program ------------------------------------------------------------------------


def test_without_a_terminal_it_says_where_there_is_none_and_what_follows(tmp_path: Path) -> None:
    found = examined(tmp_path)[1]["terminal"]
    assert found["state"] == NOTE
    assert found["figures"]["not_a_terminal"] == ["stdin", "stdout", "stderr"]
    assert "runs headless" in found["found"]


def test_a_dumb_or_small_or_plain_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd=1: os.terminal_size((40, 10)))
    assert "TERM is dumb" in terminal.check_terminal({"TERM": "dumb"})[0].found
    found = by_name(terminal.check_terminal({"TERM": "xterm", "NO_COLOR": "1"}))
    assert found["size"].state == NOTE
    assert "needs 50 by 20" in found["size"].follows
    assert found["colours"].figures["no_color"] is True


def test_clocks_that_stand_or_lie_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"})
    found = by_name(clock.check_clock(root))
    assert {one.state for one in found.values()} == {OK}
    assert found["steady clock"].figures["source"] == "hpet"
    monkeypatch.setattr(clock, "SLOW_NS", 0)
    assert by_name(clock.check_clock(root))["steady clock"].state == NOTE
    monkeypatch.setattr(clock.time, "time", lambda: 1000.0)
    assert by_name(clock.check_clock(root))["wall clock"].state == NOTE
    monkeypatch.setattr(clock.time, "monotonic", lambda: 5.0)
    assert by_name(clock.check_clock(root))["steady clock"].state == MISSING


def test_libraries_that_are_missing_or_of_another_age_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["aiohttp<2", "pydantic>=2", "nosuchlibrary>=1", "textual>=99", "pytest>=1 ; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    found = by_name(program.check_libraries())
    assert found["libraries"].figures.keys() == {"pydantic"}
    assert (found["aiohttp"].state, found["textual"].state) == (NOTE, NOTE)
    assert found["nosuchlibrary"].state == MISSING
    assert "-m pip install 'nosuchlibrary>=1'" in found["nosuchlibrary"].follows
    assert "pytest" not in found


def test_a_python_that_is_too_old_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.check_python().state == OK
    monkeypatch.setattr(program.metadata, "metadata", lambda name: {"Requires-Python": ">=9.1"})
    assert program.check_python().state == MISSING


@pytest.mark.parametrize(
    ("versions", "version", "allowed"),
    [
        (">=8.2,<9", "8.10.1", True),
        (">=8.2,<9", "8.1.9", False),
        (">=8.2,<9", "9.0", False),
        ("==1.1.0", "1.1.0", True),
        (">=2.10", "2.9", False),
        ("", "1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(versions: str, version: str, allowed: bool) -> None:
    assert program.allows(versions, version) is allowed


@pytest.mark.parametrize(
    ("uid", "pid", "state", "words"), [(0, 1, NOTE, "process 1"), (54321, 7, OK, "without a name")]
)
def test_root_and_process_1_are_told(
    monkeypatch: pytest.MonkeyPatch, uid: int, pid: int, state: str, words: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    found = program.check_user()
    assert found.state == state
    assert words in found.found
