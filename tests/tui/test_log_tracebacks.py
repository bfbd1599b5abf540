"""Which lines are one traceback, as Python itself prints them, and what they say in one line."""

import asyncio
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tui.test_log_rows import TRACEBACK, record
from tests.workers import log_lines, run, until_ready
from workbench.tui.widgets.logs.store import LogRecord, LogStore
from workbench.tui.widgets.logs.tracebacks import is_library, place_in

PROGRAM = {
    "plain": "def f():\n    raise ValueError('boom')\nf()",
    "in a library": "import json\njson.loads('{x')",
    "caused": "try:\n    {}['x']\nexcept KeyError as e:\n    raise RuntimeError('outer') from e",
    "while handling": "try:\n    {}['x']\nexcept KeyError:\n    raise RuntimeError('outer')",
    "deep": "def f(n):\n    f(n + 1)\nf(0)",
    "syntax": "compile('x = (', 'some.py', 'exec')",
    "no message": "class Odd(Exception): pass\nraise Odd",
    "grouped": "raise ExceptionGroup('both', [ValueError('a'), TypeError('b')])",
}
WORDS = {
    "plain": "Traceback, 2 frames: ValueError: boom at agent.py:2 in f",
    "in a library": "Traceback, 4 frames: json.decoder.JSONDecodeError: Expecting property name enclosed in",
    "caused": "Traceback, 2 frames: RuntimeError: outer at agent.py:4, after KeyError: 'x'",
    "while handling": "Traceback, 2 frames: RuntimeError: outer at agent.py:4, after KeyError: 'x'",
    "deep": "Traceback, 4 frames: RecursionError: maximum recursion depth exceeded at agent.py:2 in f",
    "syntax": "Traceback, 2 frames: SyntaxError: '(' was never closed at some.py:1",
    "no message": "Traceback, 1 frame: Odd at agent.py:2",
    "grouped": "Traceback, 1 frame: ExceptionGroup: both (2 sub-exceptions) at agent.py:1",
}


def printed(folder: Path, program: str) -> list[str]:
    """What Python prints when a program fails."""
    file = folder / "agent.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    return done.stderr.splitlines()


@pytest.mark.parametrize("name", PROGRAM)
def test_what_python_prints_is_one_row_and_what_comes_before_and_after_is_not_in_it(name: str, tmp_path: Path) -> None:
    lines = printed(tmp_path, PROGRAM[name])
    store = LogStore()
    store.add(map(record, ["before", *lines, "after, with words"]))
    assert len(store.rows) == 3
    (_, head, _) = store.rows.heads
    trace = store.rows.trace(head)
    assert trace is not None
    assert trace.words().startswith(WORDS[name])
    assert len(trace.members) == len(lines)


def test_a_record_ends_with_its_last_line_whatever_that_is() -> None:
    store = LogStore()
    texts = ["it broke", *TRACEBACK[:-1], "ValueError: boom", "a second line of it", "a third: one", "", "  x"]
    store.add(record(text, raw=False, at=5.0) for text in texts)
    store.add([record("the next record", raw=False, at=6.0)])
    assert [store.rows.text(head, store.rows.at(n).piece)[:11] for n, head in enumerate(store.rows.heads)] == [
        "it broke", "▸ Traceback", "the next re",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["and then", "  ", "", "Traceback (most recent call last):", "two words: no error"])
def test_a_traceback_that_was_cut_ends_where_something_else_begins(text: str) -> None:
    store = LogStore()
    store.add(map(record, [*TRACEBACK[:3], text, "more"]))
    first = store.rows.trace(0)
    assert first is not None
    assert len(first.members) == 3
    assert first.words() == "Traceback, 1 frame: without an end so far at bot.py:38 in entrypoint"


def test_whose_file_it_is() -> None:
    mine = ["/home/u/bot.py", "/srv/app/lib/tools.py", "bot.py", "/home/u/workbench-agents/a.py"]
    others = [
        "/x/.venv/lib/python3.12/site-packages/aiohttp/a.py", "/usr/lib/python3/dist-packages/a.py", os.__file__,
        "/opt/lib/python3.11/asyncio/tasks.py", "<frozen importlib._bootstrap>", "<string>",
        LogRecord.of.__code__.co_filename,
    ]  # fmt: skip
    assert [is_library(file) for file in mine] == [False] * 4
    assert all(is_library(file) for file in others)


@pytest.mark.parametrize(
    ("text", "file", "line"),
    [
        ('  File "/a b/bot.py", line 3, in f', "/a b/bot.py", 3), ("boom (bot.py:38 in f)", "bot.py", 38),
        ("~/x/bot.py:7: warning", "~/x/bot.py", 7),
    ],
)  # fmt: skip
def test_the_place_that_a_line_names(text: str, file: str, line: int) -> None:
    found = place_in(text)
    assert found is not None
    assert (found.file, found.line) == (file, line)


@pytest.mark.parametrize("text", ["at 12:04:31", "http://localhost:8081", "nothing", "10.0.0.1:80"])
def test_what_looks_like_a_place_and_is_none(text: str) -> None:
    assert place_in(text) is None


async def test_a_real_agent_that_raises_is_one_row_in_the_log(start_worker: Callable[..., Any]) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "raise")
        assert job["reason"] == "raised"
        lines = await log_lines(client)
    store = LogStore()
    store.add(map(LogRecord.of, lines))
    traces = [trace for head in store.rows.heads if (trace := store.rows.trace(head)) is not None]
    assert len(traces) == 1
    assert "ledger.py:" in traces[0].words()
    assert not any("File " in store.record(head).text for head in store.rows.heads)


def test_a_task_group_that_fails_is_one_row() -> None:
    async def bad(number: int) -> None:
        raise ValueError(f"bad {number}")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad(1))
            group.create_task(bad(2))

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(main())
    store = LogStore()
    store.add(map(record, "".join(traceback.format_exception(raised.value)).splitlines()))
    store.add([record("after it")])
    assert len(store.rows) == 2
