"""Copying, and saying truthfully how far it got."""

import sys
from pathlib import Path

import pytest

from workbench.tui import clipboard


def tool(folder: Path, script: str) -> list[str]:
    """A clipboard program of ours."""
    path = folder / "tool.py"
    path.write_text(script)
    return [sys.executable, str(path)]


def test_a_tool_gets_the_text_and_is_named(tmp_path: Path) -> None:
    sent: list[str] = []
    kept = tmp_path / "kept"
    command = tool(tmp_path, f"import sys; open({str(kept)!r}, 'w').write(sys.stdin.read())")
    words = clipboard.copy("héllo\nworld", "2 lines", sent.append, command)
    assert kept.read_text() == "héllo\nworld"
    assert words == f"copied 2 lines with {sys.executable}"
    assert sent == []


def test_a_tool_that_fails_is_told_and_the_terminal_gets_the_text(tmp_path: Path) -> None:
    sent: list[str] = []
    words = clipboard.copy("x", "1 line", sent.append, tool(tmp_path, "raise SystemExit(1)"))
    assert sent == ["x"]
    assert words.startswith(f"{sys.executable} failed (CalledProcessError); sent 1 line to the terminal")


def test_a_tool_that_hangs_is_left_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "TOOL_TIMEOUT_S", 0.2)
    sent: list[str] = []
    words = clipboard.copy("x", "1 line", sent.append, tool(tmp_path, "import time; time.sleep(600)"))
    assert sent == ["x"]
    assert "failed (TimeoutExpired)" in words


def test_a_tool_that_is_gone_is_told() -> None:
    assert "failed (FileNotFoundError)" in clipboard.copy("x", "1 line", lambda text: None, ["/nowhere/xclip"])


def test_without_a_tool_nothing_is_promised() -> None:
    words = clipboard.copy("x", "1 line", lambda text: None, None)
    assert words == "sent 1 line to the terminal's clipboard (OSC 52); not every terminal takes it"


@pytest.mark.parametrize(
    ("present", "desktop", "chosen"),
    [
        (["wl-copy", "xclip"], {"WAYLAND_DISPLAY": "w"}, "wl-copy"),
        (["wl-copy", "xclip"], {"DISPLAY": ":0"}, "xclip"),
        (["xsel"], {"DISPLAY": ":0"}, "xsel"),
        (["wl-copy", "xclip", "xsel"], {}, None),
        (["pbcopy"], {}, "pbcopy"),
        ([], {"DISPLAY": ":0", "WAYLAND_DISPLAY": "w"}, None),
    ],
)
def test_the_tool_is_the_one_of_the_desktop(
    tmp_path: Path, present: list[str], desktop: dict[str, str], chosen: str | None
) -> None:
    for name in present:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    found = clipboard.native_tool({"PATH": str(tmp_path), **desktop})
    assert (found[0] if found else None) == chosen
