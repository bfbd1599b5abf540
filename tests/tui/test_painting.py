"""What was painted bit by bit is what one whole paint would show."""

import dataclasses
from typing import Any

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual._compositor import CompositorUpdate
from textual.screen import ModalScreen

from tests.tui.demo_state import (
    NOW,
    OWN_ROOM,
    broken,
    chat,
    demo_state,
    ended,
    job,
    log_lines,
    message,
    process,
    sampled,
)
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import Stage, staged
from workbench.model import events as ev

SIZE = (120, 40)
KEYS = [*"jkgGltxzfL1234", "escape", "tab", "up", "down", "question_mark", "slash", "ctrl+u", "y"]
KEYS += [*"wmeEvJc", "ctrl+f", "enter", "apostrophe"]


class Painted:
    """A terminal that gets every update the app paints."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self.screen = stage, pyte.Screen(*SIZE)
        self._stream = pyte.Stream(self.screen)
        stage.app._display = self._take  # type: ignore[method-assign,assignment]

    def _take(self, screen: Any, update: Any) -> None:
        if screen is self._stage.app.screen and isinstance(update, CompositorUpdate):
            self._stream.feed(update.render_segments(self._stage.app.console))

    def cells(self) -> list[list[Any]]:
        """Every cell with its colours, row by row."""
        return [[self.screen.buffer[y][x] for x in range(SIZE[0])] for y in range(SIZE[1])]


async def repainted(stage: Stage, painted: Painted) -> list[list[Any]]:
    """The cells after one whole paint."""
    painted.screen.reset()
    stage.app.screen.refresh()
    await stage.settle()
    return painted.cells()


def source() -> FakeSource:
    """The demo, with logs and a conversation."""
    made = FakeSource(demo_state(), log_lines())
    made.rooms[OWN_ROOM] = FakeRoom(chat())
    return made


HAPPENINGS: list[list[ev.Event]] = [
    [sampled(NOW, 3)],
    [sampled(NOW, 44)],
    broken(),
    [
        ev.ReloadDone(
            at=NOW, generation=8, took_ms=9.0, start_method="zygote", start_method_why="", needs_restart=["port"]
        )
    ],
    [ev.ReloadPending(at=NOW, changed=["bot.py", "shop.py"])],
    [ev.ReloadSuspended(at=NOW, files={"漢字.txt": "the agent writes it"})],
    [ev.ReloadIdle(at=NOW, mode="auto", watched=5, polling="nfs at /mnt/x")],
    [ev.JobPinned(at=NOW, id="job-own", pinned=True)],
    [ev.DrainStarted(at=NOW, why="asked", deadline_at=NOW + 60)],
    [ev.AdmissionChanged(at=NOW, status="over_load", why="load 0.91 of 0.75 漢字 in the reason")],
    [ev.ProcessResumed(at=NOW, id=2)],
    [ev.JobReported(at=NOW, id="job-own", fields={"turn": 15, "note": "x" * 90})],
    [*process(9, 41999, 7, NOW), *job("job-9", 9, NOW)],
    [ended("job-88a0", NOW), ev.ProcessStopping(at=NOW, id=3, why="its job is over")],
    [ev.Noted(at=NOW, level="WARNING", text="a note that is long enough to be wrapped to a second row or a third")],
]
STEPS = st.one_of(
    st.tuples(st.just("key"), st.sampled_from(KEYS)),
    st.tuples(st.just("happen"), st.integers(0, len(HAPPENINGS) - 1)),
    st.tuples(st.just("log"), st.integers(1, 50)),
    st.tuples(st.just("say"), st.text(st.sampled_from("ab 漢👍\n"), max_size=80)),
)


async def take(stage: Stage, kind: str, what: Any, once: set[Any]) -> None:
    """One step; what can happen only once in the worker happens only once."""
    if kind == "key":
        await stage.press(what)
    elif kind == "log":
        first = 1000 + 100 * len(once)
        await stage.log(*(dataclasses.replace(line, n=first + n) for n, line in enumerate(log_lines(what))))
        once.add(("log", first))
    elif kind == "say":
        stage.source.rooms[OWN_ROOM].tell(message("9.9", "agent", what, NOW, partial=True))
        await stage.settle()
    elif what not in once:
        once.add(what)
        await stage.happen(*HAPPENINGS[what])


@pytest.mark.timeout(300)
@settings(max_examples=8, deadline=None)
@given(steps=st.lists(STEPS, max_size=14))
async def test_bit_by_bit_and_at_once_look_the_same(steps: list[tuple[str, Any]]) -> None:
    once: set[Any] = set()
    async with staged(source(), size=SIZE) as stage:
        await stage.until(lambda: len(stage.talk.view.transcript.entries) == len(chat()), "the conversation")
        painted = Painted(stage)
        await repainted(stage, painted)
        for kind, what in steps:
            await take(stage, kind, what, once)
        while isinstance(stage.app.screen, ModalScreen):  # what is behind a dialog is painted when it has gone
            await stage.press("escape")
        before = painted.cells()
        after = await repainted(stage, painted)
        wrong = [(y, x) for y in range(SIZE[1]) for x in range(SIZE[0]) if before[y][x] != after[y][x]]
        assert not wrong, [(place, before[place[0]][place[1]], after[place[0]][place[1]]) for place in wrong[:8]]


async def test_figures_that_change_lay_nothing_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with more processes than the table has rows: a layout costs as much as ten paints."""
    watched = source()
    for number in range(30):
        for event in process(300 + number, 50_000 + number, 7, NOW):
            watched.state.apply(event)
    async with staged(watched, size=SIZE) as stage:
        laid_out = []
        screen = stage.app.board_screen
        refresh = screen._refresh_layout
        monkeypatch.setattr(screen, "_refresh_layout", lambda *a, **k: laid_out.append(a) or refresh(*a, **k))
        for step in range(5):
            await stage.happen(sampled(NOW, step))
        assert laid_out == []
        await stage.press("escape", "z")
        assert laid_out
