"""Handing the terminal to an editor or a pager."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal

from textual.app import SuspendNotSupported

from workbench.model.paths import absolute
from workbench.tui.editor import editor_command
from workbench.tui.widgets.logs.tracebacks import Frame

Words = tuple[str, Literal["information", "warning", "error"]]
Suspend = Callable[[], AbstractContextManager[None]]


def open_outside(
    place: Frame | None, lines: Sequence[str], suspend: Suspend, environ: Mapping[str, str] = os.environ
) -> Words:
    """Open `place` in $VISUAL or $EDITOR, else `lines` in $PAGER, and wait for its end; the words for the user."""
    editor, pager = (environ.get("VISUAL") or environ.get("EDITOR") or "").strip(), environ.get("PAGER", "").strip()
    if place is not None and editor:
        path = absolute(os.path.expanduser(place.file))
        if not os.path.isfile(path):
            return f"{place.file} is not here", "warning"
        command = partial(editor_command, environ, path, place.line)
        return _run(editor, command, None, f"{place.words()} was opened", suspend)
    lacking = f"EDITOR is not set: {place.words()} cannot be opened" if place is not None else ""
    if pager and lines:
        shown = f"the lines were shown in {pager}"
        text = "".join(f"{line}\n" for line in lines)
        return _run(pager, lambda: shlex.split(pager), text, f"{lacking}; {shown}" if lacking else shown, suspend)
    if lacking:
        return f"{lacking}; nor is PAGER, for the lines shown" if lines else lacking, "warning"
    return "PAGER is not set: it would show the lines; EDITOR opens the file of a line that names one", "warning"


def _run(what: str, command: Callable[[], list[str]], text: str | None, done: str, suspend: Suspend) -> Words:
    try:
        argv = command()
    except ValueError as error:
        return f"{what!r} is no command line: {error}", "error"
    try:
        with suspend():  # which takes the terminal back only when nothing is raised in it
            ended = _wait(argv, text)
    except SuspendNotSupported:
        return "this terminal cannot be handed to another program", "error"
    if isinstance(ended, OSError):
        return f"{argv[0]} cannot be run: {ended.strerror or ended}", "error"
    return (f"{argv[0]} ended with exit code {ended}", "warning") if ended else (done, "information")


def _wait(argv: list[str], text: str | None) -> "int | OSError":
    """Run it to its end: its exit code, or why it cannot be run.

    Ctrl-C is sent to the whole terminal: it is heard by the program, and here by nobody.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(argv, input=None if text is None else text.encode("utf-8", "replace")).returncode
    except OSError as error:
        return error
    finally:
        signal.signal(signal.SIGINT, before)
