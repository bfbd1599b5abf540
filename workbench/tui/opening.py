"""Handing the terminal to an editor or a pager."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from textual.app import SuspendNotSupported

from workbench.tui.widgets.logs.tracebacks import Frame

Words = tuple[str, Literal["information", "warning", "error"]]
Suspend = Callable[[], AbstractContextManager[None]]
GOTO = ("code", "code-insiders", "codium", "cursor", "windsurf")  # editors that take --goto FILE:LINE
COLON = ("hx", "helix", "subl", "zed")  # editors that take FILE:LINE; all others take +LINE FILE


def editor_command(editor: str, place: Frame) -> list[str]:
    """The command line that opens a place.

    Raises:
        ValueError: the editor's command line cannot be split into words.
    """
    words, file = shlex.split(editor), os.path.abspath(os.path.expanduser(place.file))
    name = os.path.basename(words[0]) if words else ""
    if name in GOTO:
        return [*words, "--goto", f"{file}:{place.line}"]
    return [*words, f"{file}:{place.line}"] if name in COLON else [*words, f"+{place.line}", file]


def open_outside(
    place: Frame | None, lines: Sequence[str], suspend: Suspend, environ: Mapping[str, str] = os.environ
) -> Words:
    """Open `place` in $EDITOR, else `lines` in $PAGER, and wait for its end; the words for the user."""
    editor, pager = environ.get("EDITOR", "").strip(), environ.get("PAGER", "").strip()
    if place is not None and editor:
        if not os.path.isfile(os.path.expanduser(place.file)):
            return f"{place.file} is not here", "warning"
        return _run(editor, lambda: editor_command(editor, place), None, f"{place.words()} was opened", suspend)
    lacking = f"EDITOR is not set: {place.words()} cannot be opened" if place is not None else ""
    if pager:
        shown = f"the lines were shown in {pager}"
        text = "".join(f"{line}\n" for line in lines)
        return _run(pager, lambda: shlex.split(pager), text, f"{lacking}; {shown}" if lacking else shown, suspend)
    if lacking:
        return f"{lacking}; nor is PAGER, for the lines shown", "warning"
    return "PAGER is not set: it would show the lines; EDITOR opens the file of a line that names one", "warning"


def _run(what: str, command: Callable[[], list[str]], text: str | None, done: str, suspend: Suspend) -> Words:
    try:
        argv = command()
    except ValueError as error:
        return f"{what!r} is no command line: {error}", "error"
    try:
        with suspend():
            code = _wait(argv, text)
    except SuspendNotSupported:
        return "this terminal cannot be handed to another program", "error"
    except OSError as error:
        return f"{argv[0]} cannot be run: {error.strerror or error}", "error"
    return (f"{argv[0]} ended with exit code {code}", "warning") if code else (done, "information")


def _wait(argv: list[str], text: str | None) -> int:
    """Run it to its end. Ctrl-C is sent to the whole terminal: it is heard by the program, and here by nobody."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(argv, input=None if text is None else text.encode("utf-8", "replace")).returncode
    finally:
        signal.signal(signal.SIGINT, before)
