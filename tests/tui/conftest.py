"""The zone of all pictures, and the promise that a test of the screen leaves nothing behind."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual.css.stylesheet import Stylesheet

from tests.conftest import tagged
from tests.tui.terminal import Terminal

SAMPLES = Path(__file__).parents[2] / "sample_agents"


@pytest.fixture(autouse=True, scope="session")
def pinned_zone() -> Iterator[None]:
    """Times of day are the same on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        for name in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME", "TEXTUAL_ANIMATIONS", "COLORTERM"):
            patch.delenv(name, raising=False)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True, scope="session")
def sheets_parsed_once() -> Iterator[None]:
    """Each app parses the same sheet with the same colours, twice; nobody changes rules once they are parsed."""
    parse, known = Stylesheet._parse_rules, {}

    def parse_once(sheet: Stylesheet, *given: Any, **more: Any) -> Any:
        key = (frozenset(sheet._variables.items()), given, frozenset(more.items()))
        if key not in known:
            known[key] = parse(sheet, *given, **more)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


def open_files() -> dict[str, str]:
    """Every descriptor of this process, and what it stands for."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the one that listed the folder
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No descriptor and no child process may outlive the test; tasks are the stage's to check."""
    before = open_files()
    yield
    new = {fd: what for fd, what in open_files().items() if before.get(fd) != what}
    assert not new, f"descriptors are left: {new}"
    assert not psutil.Process().children(recursive=True)


@pytest.fixture
def open_terminal(tmp_path: Path, nothing_left: None) -> Iterator[Callable[..., Terminal]]:
    """Run `workbench` on real terminals; afterwards no process of theirs may be left."""
    opened: list[Terminal] = []

    def run(*arguments: str, files: dict[str, str] | None = None, program: str = "", **how: Any) -> Terminal:
        folder = tmp_path / f"t{len(opened)}"
        folder.mkdir()
        for sample in SAMPLES.glob("*.py"):
            shutil.copy(sample, folder)
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        start = ["-c", program] if program else ["-m", "workbench"]
        opened.append(Terminal([*start, *arguments], folder, uuid.uuid4().hex, **how))
        return opened[-1]

    yield run
    left = {terminal.tag: tagged(terminal.tag) for terminal in opened}
    for terminal in opened:
        terminal.close()
    assert not any(left.values()), f"processes are left: {left}"
