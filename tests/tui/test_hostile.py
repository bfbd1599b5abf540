"""Names and messages that try to take over the terminal: they are shown, and nothing else."""

import unicodedata
from typing import Any

import pytest

from tests.tui.demo_state import NOW, OWN_ROOM, beginning, job, message, process, sampled
from tests.tui.fakes import FakeOwner, FakeRoom, FakeSource
from tests.tui.stage import Stage, screen_strips, staged
from workbench.client.client import LogLine
from workbench.client.owner import Ended
from workbench.model import events as ev
from workbench.model.state import State

EVIL = (
    "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mred\x1b[2J\x1b]0;title\x07\x1b]52;c;QUJD\x1b\\ \x1b[?1049l"
    " \x9b31m \x85 \x7f \r\n\t \u202egnp.exe \u2066iso\u2069 \u200b\ufeff \ud83d \u2028 e\u0301\u0301 漢字 👍🏽"
)
UNSEEN = set(
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)


def evil_state() -> State:
    """A worker in which everything that can be named is named badly."""
    state = State()
    for event in [
        *beginning(),
        ev.WorkerStarted(
            at=NOW, agent_id=EVIL, worker_id="w", version="1", pid=1, target=EVIL, socket=EVIL, start_job=True
        ),
        ev.Listening(at=NOW, url=EVIL, note=EVIL, socket=EVIL),
        ev.AdmissionChanged(at=NOW, status="full", why=EVIL),
        ev.LinkChanged(at=NOW, state="waiting", why=EVIL, attempt=1, retry_at=NOW + 3),
        *process(1, 501, 6, NOW), *job(EVIL, 1, NOW, room=OWN_ROOM, own=True),
        ev.JobReported(at=NOW, id=EVIL, fields={EVIL: EVIL}),
        *process(2, 502, 6, NOW), *job("b" + EVIL, 2, NOW, room="b" + EVIL),
        *process(3, 503, 6, NOW), *job("c" + EVIL, 3, NOW),
        ev.JobEnded(at=NOW, id="c" + EVIL, status="failed", reason="raised", error=EVIL, exit_code=None, signal=None),
        ev.ProcessStopping(at=NOW, id=3, why=EVIL),
        ev.ProcessStalled(at=NOW, id=2, age_s=2.0, stack=EVIL),
        ev.PoolHeld(at=NOW, failures=3, until_at=NOW + 5, degraded=True, why=EVIL),
        ev.ReloadFailed(at=NOW, generation=7, problem={
            "kind": EVIL, "message": EVIL, "file": EVIL, "line": 1, "column": 5, "frame": EVIL,
            "source": [[1, EVIL], [2, EVIL]],
        }),
        sampled(NOW),
    ]:  # fmt: skip
        state.apply(event)
    state.worker.agent_id = EVIL
    return state


def evil_source() -> FakeSource:
    """That worker, with its output and a conversation."""
    lines = [LogLine(n, NOW, 1, 501, 6, EVIL, level, EVIL, EVIL) for n, level in enumerate(("INFO", EVIL, "ERROR"))]
    lines.append(LogLine(9, NOW, 1, 501, 6, None, "INFO", "bot", EVIL * 8000))
    source = FakeSource(evil_state(), lines)
    said = [message("1", "agent", EVIL, NOW), message("m", "user", EVIL, NOW), message("2", "agent", EVIL * 8000, NOW)]
    said[0]["message"]["sender"] = EVIL
    source.rooms[OWN_ROOM] = FakeRoom([*said, {"type": "ended", "reason": EVIL}])
    return source


def assert_harmless(stage: Stage) -> None:
    """Nothing on the screen acts on a terminal, and every row is as wide as the screen."""
    for strip in screen_strips(stage.app):
        for segment in strip:
            assert not segment.control
            assert segment.style is None or not segment.style.link
            bad = {letter for letter in segment.text if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")}
            assert not bad, repr(segment.text)
            assert not UNSEEN & set(segment.text), repr(segment.text)
        assert strip.cell_length == stage.app.size.width


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24), (50, 20)])
async def test_nothing_foreign_reaches_the_terminal(size: tuple[int, int]) -> None:
    async with staged(evil_source(), FakeOwner(), size=size) as stage:
        await stage.until(lambda: len(stage.talk.view.transcript.entries) == 4, "the conversation")
        await stage.until(lambda: len(stage.logs.store) == 4, "the logs")
        for key in ("1", "2", "3", "4"):
            await stage.press(key, "z")
            assert_harmless(stage)
            await stage.press("escape", "escape", "escape")
        assert_harmless(stage)


@pytest.mark.parametrize("keys", [("j", "x"), ("j", "K"), ("q",), ("q", "s"), ("question_mark",), ("ctrl+p",)])
async def test_nothing_foreign_reaches_it_in_a_dialog(keys: tuple[str, ...]) -> None:
    async with staged(evil_source(), FakeOwner()) as stage:
        await stage.press(*keys)
        assert_harmless(stage)


async def test_a_refusal_in_bad_words_is_shown_as_it_is() -> None:
    source = evil_source()
    source.refusal = EVIL
    async with staged(source) as stage:
        await stage.press("r")
        await stage.sees("[red]markup[/red]")
        assert_harmless(stage)


async def test_the_last_words_of_a_supervisor_are_harmless() -> None:
    async with staged(evil_source(), FakeOwner()) as stage:
        await stage.until(lambda: stage.owner._gone is not None, "the owner is watched")
        stage.owner.end(Ended(None, "SIGKILL", [EVIL, EVIL]))
        await stage.sees("The supervisor has ended")
        assert_harmless(stage)
        await stage.press("q")
        await stage.left()


async def test_what_is_pasted_is_cleaned_before_it_is_shown_or_said() -> None:
    source = FakeSource(evil_state())
    source.rooms[OWN_ROOM] = room = FakeRoom([])
    async with staged(source) as stage:
        await stage.until(lambda: stage.talk.joined, "the room is joined")
        await stage.press("3")
        stage.talk.field.insert_text_at_cursor(EVIL)
        await stage.settle()
        assert_harmless(stage)
        await stage.press("enter")
        await stage.until(lambda: room.said, "it is said")
        assert room.said[0].isprintable()


async def test_a_filter_in_bad_words_is_harmless() -> None:
    async with staged(evil_source()) as stage:
        await stage.press("slash")
        stage.app.focused.insert_text_at_cursor("re:(" + EVIL)  # type: ignore[union-attr]
        await stage.settle()
        assert_harmless(stage)


async def test_an_agent_cannot_press_keys_through_markup() -> None:
    async with staged(evil_source(), FakeOwner()) as stage:
        await stage.until(lambda: len(stage.talk.view.transcript.entries) == 4, "the conversation")
        for y, row in enumerate(stage.rows()):
            at = row.find("[@click")
            if at >= 0:
                await stage.pilot.click(offset=(at + 18, y))
        await stage.settle()
        assert stage.owner.orders == []
        assert not stage.app._exit


def test_the_words_are_bad_enough() -> None:
    found: set[Any] = {unicodedata.category(letter) for letter in EVIL}
    assert {"Cc", "Cf", "Cs", "Zl"} <= found
