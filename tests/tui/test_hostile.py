"""Names and messages that try to take over the terminal: they are shown, and nothing else."""

import unicodedata
from typing import Any

import pytest
from textual.app import ComposeResult

from tests.tui.demo_detail import detail, dump
from tests.tui.demo_state import NOW, OWN_ROOM, beginning, job, message, process, sampled
from tests.tui.fakes import FakeOwner, FakeRoom, FakeSource
from tests.tui.stage import Stage, screen_strips, staged
from workbench.client.client import LogLine
from workbench.client.owner import Ended
from workbench.model import events as ev
from workbench.model.settings import Layers
from workbench.model.state import State
from workbench.tui.board import Board
from workbench.tui.lines import Line
from workbench.tui.tones import TonedApp
from workbench.tui.widgets.detail.page import page
from workbench.tui.widgets.detail.stack import copied
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.tune.rows import detail as detail_of
from workbench.tui.widgets.tune.rows import row

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


def evil_table() -> dict[str, dict[str, Any]]:
    """Options as a worker would tell them that wants the terminal: names, defaults, effects, origins."""
    known = Layers(agent_stem="bot").settings().table()
    bad = {"value": EVIL, "origin": EVIL, "effect": EVIL, "unit": EVIL, "default": EVIL, "revert_at": NOW + 60}
    # Short ones, too: of a long one only the beginning is shown.
    named = {
        name: {**known["ping_timeout"], **bad}
        for name in (EVIL, "\x1b]0;x\x07", "\x1b[2J[@click=app.quit]q[/]", "[/ [")
    }
    short = {"default": "\x1b[2J\x07", "effect": "\x1b[2J\x9b1m", "below": {"value": "\x1b[2J", "origin": "\x07"}}
    return {**{name: {**item, **short} for name, item in known.items()}, **named}


async def test_the_palette_offers_badly_named_options_harmlessly() -> None:
    source = evil_source()
    source.state.apply(ev.OptionsChanged(at=NOW, options=evil_table()))
    async with staged(source, FakeOwner(), size=(120, 60)) as stage:
        await stage.press("ctrl+p", *"options change ")
        await stage.sees("Options: Change ping_timeout")
        assert_harmless(stage)
        for _ in range(3):
            await stage.press("pagedown")
            assert_harmless(stage)


@pytest.mark.parametrize("size", [(200, 60), (80, 24)])
async def test_the_detail_of_a_badly_told_process_is_harmless(size: tuple[int, int]) -> None:
    source = evil_source()
    source.state.processes[1].start_method = "\x1b[2J\x07"
    told = detail(source.state, 1)
    bad_line = f'  File "/srv/{EVIL}.py", line 7 in \x1b[2J'
    source.details[501] = {
        **told, "start_method": "\x1b[2J\x07", "start_method_why": EVIL,
        "environment": None if size[0] == 80 else {EVIL: EVIL}, "environment_why": EVIL,
        "history": [{"state": EVIL, "at": NOW, "why": EVIL}], "last_lines": [[NOW, EVIL, EVIL]],
        "memory": {name: {"mb": 1.0, "metric": EVIL} for name in told["memory"]},
        "dump": {**dump(), "file": EVIL, "name": EVIL, "lines": [bad_line, EVIL], "tasks": [bad_line],
                 "mine": [bad_line]},
    }  # fmt: skip
    async with staged(source, FakeOwner(), size=size) as stage:
        await stage.press("1", "g", "enter")
        await stage.sees("generation 6")
        await stage.press("e")
        for key in ("g", *["ctrl+d"] * 6):
            await stage.press(key)
            assert_harmless(stage)
        about = page(stage.app.screen.subject, 100, 60, True).lines  # type: ignore[attr-defined]
        assert all(text.isprintable() for line in about for text, _ in line)


@pytest.mark.parametrize("size", [(200, 60), (80, 24)])
async def test_options_told_badly_are_harmless_where_they_are_tuned(size: tuple[int, int]) -> None:
    source = evil_source()
    source.state.apply(ev.OptionsChanged(at=NOW, options=evil_table()))
    async with staged(source, FakeOwner(), size=size) as stage:
        await stage.press("T", "z")
        for key in ("g", *["j"] * 3, *["ctrl+d"] * 6, "G"):
            await stage.press(key)
            assert_harmless(stage)
        board = stage.app.board
        for name in board.state.options:
            for line in (row(name, board, (" ", ""), 150), *detail_of(name, board, 150, 9)):
                assert all(text.isprintable() for text, _ in line), line


def test_a_copied_stack_dump_does_nothing_where_it_is_pasted() -> None:
    lines = copied({**dump(), "lines": [f'  File "/srv/{EVIL}.py", line 7 in f'], "tasks": [EVIL]}).split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith('.py", line 7 in f')  # nothing is left out
    whole = {**dump(), "tasks": ["Task 'a'"]}
    assert copied(whole).split("\n") == [*whole["lines"], "Task 'a'"]


async def test_what_was_not_cleaned_is_cleaned_where_it_is_painted() -> None:
    class Careless(LineWidget):
        def draw(self, board: Board, width: int, height: int) -> list[Line]:
            return [[("a\x1b[2Jb\x07", "plain"), ("\x1b]0;title\x07\r\n\t漢\u202e", "bad"), ("●", "good")]]

    class Shown(TonedApp[None]):
        def compose(self) -> ComposeResult:
            yield Careless()

    async with Shown().run_test() as pilot:
        widget = pilot.app.query_one(Careless)
        strip = widget.strip(widget.draw(None, 0, 0)[0])  # type: ignore[arg-type]
        assert strip.text.isprintable()
        assert "ab" in strip.text
        assert "●" in strip.text
        assert strip.cell_length == widget.content_size.width


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
