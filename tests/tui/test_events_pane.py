"""The events pane, the status line and the header: what happened, what stands, and who this is."""

import dataclasses

import pytest

from tests.tui.demo_state import NOW, broken, demo_state, sampled
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, fresh_state, staged
from workbench.model import events as ev
from workbench.tui.board import Board
from workbench.tui.notes import Note
from workbench.tui.widgets.events_pane import note_rows
from workbench.tui.widgets.status_line import standing


def noted(number: int) -> ev.Noted:
    """Something worth a line."""
    return ev.Noted(at=NOW, level="INFO", text=f"note number {number}")


def shown(stage: Stage) -> list[str]:
    """The rows of the events pane."""
    return [row.strip() for row in stage.of("#events-view").split("\n") if row.strip()]


async def test_the_latest_event_stays_in_sight() -> None:
    async with staged() as stage:
        await stage.happen(*map(noted, range(60)))
        assert shown(stage)[-1].endswith("note number 59")


async def test_one_who_reads_back_is_not_moved_by_new_events() -> None:
    async with staged() as stage:
        await stage.happen(*map(noted, range(60)))
        await stage.press("4", *"k" * 20)
        before = shown(stage)
        await stage.happen(*map(noted, range(60, 70)))
        assert shown(stage) == before
        await stage.press("G")
        assert shown(stage)[-1].endswith("note number 69")


async def test_a_stall_comes_before_everything_else_in_the_status_line() -> None:
    async with staged() as stage:
        await stage.happen(ev.DrainStarted(at=NOW, why="asked", deadline_at=NOW + 61))
        assert "process 41202 stands still for 4.2s at stuck.py:21 in on_turn" in stage.of("#status")
        await stage.happen(ev.ProcessResumed(at=NOW, id=2))
        assert "stands still" not in stage.of("#status")


async def test_lines_that_the_supervisor_dropped_are_told() -> None:
    async with staged() as stage:
        await stage.happen(dataclasses.replace(sampled(NOW), log_lines_dropped=1234))
        assert "! 1,234 log lines dropped" in stage.of("#status")


@pytest.mark.parametrize("width", [80, 100, 120, 200])
async def test_the_header_always_tells_name_admission_and_generation(width: int) -> None:
    state = demo_state()
    state.worker.why = "load 0.91 of 0.75, and this is a long reason that goes on and on for quite a while"
    async with staged(FakeSource(state), size=(width, 40)) as stage:
        header = stage.of("#header")
        assert "support-agent" in header
        assert "● READY" in header
        assert "gen 7" in header


async def test_a_reload_shows_where_it_stands() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(
            ev.ReloadStarted(at=NOW - 3, generation=8, changed=["bot.py"]),
            ev.ReloadStep(at=NOW, generation=8, step="loading", detail="bot.py:3 import torch"),
        )
        assert "gen 6 → 8 loading 3s" in stage.of("#header")
        assert "loading generation 8 stands at bot.py:3 import torch" in stage.of("#status")


async def test_a_mended_save_is_not_told_as_broken_any_more() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(*broken())
        assert "cannot serve" in stage.of("#status")
        await stage.happen(ev.ReloadDone(at=NOW, generation=9, took_ms=1.0, start_method="zygote", start_method_why=""))
        assert "cannot serve" not in stage.of("#status")


async def test_a_lost_registry_shows_the_next_try() -> None:
    async with staged() as stage:
        await stage.happen(ev.LinkChanged(at=NOW, state="waiting", why="refused", attempt=3, retry_at=NOW + 4))
        assert "◐ waiting retry 3/16 in 4s" in stage.of("#header")


async def test_a_port_that_was_taken_is_told() -> None:
    async with staged() as stage:
        await stage.happen(
            ev.Listening(at=NOW, url="http://127.0.0.1:40001", note="port 8081 was taken", socket="/x.sock")
        )
        assert "! port 8081 was taken" in stage.of("#header")
        assert "http://127.0.0.1:40001" in stage.of("#header")


async def test_the_keys_stay_on_the_screen_whatever_card_comes_up() -> None:
    problem = {
        "kind": "SyntaxError", "message": "x" * 300, "file": "bot.py", "line": 3, "column": 2,
        "source": [[n, "code"] for n in range(1, 6)],
    }  # fmt: skip
    async with staged(FakeSource(fresh_state(max_processes=12)), size=(80, 24)) as stage:
        await stage.happen(ev.ReloadFailed(at=NOW, generation=7, problem=problem))
        await stage.sees("cannot serve")
        assert "q Quit" in stage.rows()[-1]
        assert stage.app.screen.max_scroll_y == 0


def test_a_board_without_trouble_has_nothing_standing() -> None:
    board = Board(lambda: NOW, state=fresh_state())
    assert standing(board) == []


def test_a_note_hangs_below_its_sign() -> None:
    rows = ["".join(text for text, _ in row) for row in note_rows(Note(NOW, "bad", "one two three four"), 24)]
    assert rows == [" 22:13:20 ✗ one two", "            three four"]
