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
    words = clipboard.copy("x", "1 line", lambda text: None, None, {})
    assert words == "sent 1 line to the terminal's clipboard (OSC 52); not every terminal takes it"


@pytest.mark.parametrize(
    ("text", "environ", "why"),
    [
        ("é" * 40_000, {}, "80,000 bytes are more than a terminal takes"),
        ("x", {"TERM_PROGRAM": "Apple_Terminal"}, "Terminal.app does not take it"),
    ],
)
def test_what_the_terminal_would_not_take_goes_into_a_file_that_is_named(
    text: str, environ: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sent: list[str] = []
    words = clipboard.copy(text, "3 lines", sent.append, None, environ)
    (path,) = tmp_path.iterdir()
    assert words == f"3 lines not in the clipboard: {why}; they are in {path}"
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert sent == []


def test_a_text_that_just_fits_is_sent_and_a_tool_takes_any(tmp_path: Path) -> None:
    sent: list[str] = []
    assert "OSC 52" in clipboard.copy("x" * clipboard.MOST_BYTES, "1 line", sent.append, None, {})
    assert len(sent) == 1
    kept = tmp_path / "kept"
    command = tool(tmp_path, f"import sys; open({str(kept)!r}, 'w').write(sys.stdin.read())")
    assert "copied" in clipboard.copy("x" * 100_000, "1 line", sent.append, command, {})
    assert kept.stat().st_size == 100_000


def test_when_no_file_can_be_written_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    words = clipboard.copy("x" * 80_000, "1 line", lambda text: None, None, {})
    assert words.endswith("and no file can be written (No such file or directory)")


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
