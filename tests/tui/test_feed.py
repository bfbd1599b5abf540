"""The bridge from the stream to the screen: what it cannot carry is counted."""

import asyncio

from textual.message import Message

from tests.conftest import WAIT_S
from tests.defences import defence
from tests.tui.fakes import NOW, FakeSource
from workbench.client.client import Frame, LogLine
from workbench.model.state import State
from workbench.tui.board import Board
from workbench.tui.feed import PENDING_LINES, Feed
from workbench.tui.messages import BoardChanged

FOLLOWING = "workbench/tui/following.py"


@defence((FOLLOWING, "if wait_s <= 0:", "if True:"))
@defence((FOLLOWING, "        if self._timer is not None:\n            return\n", ""))
async def test_the_screen_is_told_at_once_and_then_only_as_often_as_it_can_be_painted() -> None:
    told: list[Message] = []
    feed = Feed(FakeSource(), Board(lambda: NOW), told.append, interval_s=0.3)
    feed.tell_soon()
    assert len(told) == 1
    for _ in range(100):
        feed.tell_soon()
    assert len(told) == 1
    async with asyncio.timeout(WAIT_S):
        while len(told) < 2:
            await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while loop.time() < begun + 0.6:
        await asyncio.sleep(0.001)
    assert len(told) == 2


async def test_lines_that_come_while_the_screen_stands_still_are_counted_where_they_are_missing() -> None:
    told: list[Message] = []
    feed = Feed(FakeSource(), Board(lambda: NOW), told.append, interval_s=60)
    count = PENDING_LINES + 2000
    lines = [LogLine(n, NOW, 1, 501, 1, None, "INFO", "bot", f"line {n}") for n in range(1 + count)]
    feed.take(Frame(State(), lines=lines[:1]))
    feed.tell()
    for start in range(1, 1 + count, 1000):
        feed.take(Frame(State(), lines=lines[start : start + 1000]))
    feed.tell()
    last = told[-1]
    assert isinstance(last, BoardChanged)
    assert "2,000 lines were dropped" in last.records[0].text
    assert [r.text for r in last.records[1:]] == [line.text for line in lines[-PENDING_LINES:]]
