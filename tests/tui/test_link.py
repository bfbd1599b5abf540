"""A lost stream, a supervisor that is gone, and the ways back."""

import dataclasses

import pytest

from tests.tui.demo_state import NOW, demo_state, log_lines
from tests.tui.fakes import FakeOwner, FakeSource
from tests.tui.stage import Stage, fresh_state, screen_strips, staged
from workbench.client.address import Address
from workbench.client.client import Frame
from workbench.client.owner import Ended
from workbench.model import events as ev
from workbench.tui.board import Board
from workbench.tui.feed import Feed
from workbench.tui.widgets.header import admission

KILLED = Ended(None, "SIGKILL", ["its last words"])


async def until_gone(stage: Stage, how: Ended = KILLED) -> None:
    """The supervisor ends, the stream with it, and the screen says so."""
    await stage.until(lambda: stage.owner._gone is not None, "the owner is watched")
    stage.source.cut(reachable=False)
    stage.owner.end(how)
    await stage.sees("The supervisor has ended")
    await stage.settle()


def colour_of(stage: Stage, text: str) -> object:
    """The colour in which `text` stands on the screen."""
    found = [segment for strip in screen_strips(stage.app) for segment in strip if text in segment.text]
    assert found, text
    assert found[0].style is not None
    return found[0].style.color


async def test_a_lost_stream_is_told_and_taken_up_again() -> None:
    async with staged() as stage:
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await stage.sees("reconnecting")
        stage.source.reachable = True
        await stage.until(lambda: stage.source.connected == 2, "it connects again")
        await stage.sees("● READY")
        assert "stale" not in stage.text()


async def test_what_is_old_recedes() -> None:
    async with staged() as stage:
        fresh = {text: colour_of(stage, text) for text in ("41203", "620M!")}
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await stage.settle()
        assert colour_of(stage, "41203") != fresh["41203"]
        assert colour_of(stage, "620M!") != fresh["620M!"]


async def test_lines_that_were_seen_before_the_stream_was_lost_do_not_come_twice() -> None:
    async with staged(FakeSource(demo_state(), log_lines(20))) as stage:
        await stage.until(lambda: len(stage.logs.store) == 20, "the logs")
        stage.source.cut()
        await stage.until(lambda: stage.source.connected == 2 and not stage.app.board.stale_since, "connected again")
        await stage.settle()
        assert len(stage.logs.store) == 20


async def test_another_worker_behind_the_same_address_begins_anew() -> None:
    async with staged() as stage:
        await stage.sees("job-004d failed")
        stage.source.cut()
        stage.source.state = fresh_state()
        stage.source.state.worker.worker_id = "w-2"
        await stage.sees("0 of 6 jobs")
        await stage.until(lambda: "job-004d" not in stage.text(), "the old worker's notes are gone")
        assert "41203" not in stage.of("#table")


async def test_no_key_that_needs_a_worker_is_offered_without_one() -> None:
    async with staged() as stage:
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await stage.settle()
        assert not {"n", "x", "K", "r", "D", "U"} & set(stage.offered)


async def test_without_a_connection_a_key_says_so() -> None:
    async with staged() as stage:
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        stage.app.action_new_job()  # as from the palette, between two looks at what is offered
        await stage.tells("not connected")


async def test_the_end_of_the_supervisor_is_told_with_how_and_its_last_words() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_gone(stage)
        await stage.sees("killed by SIGKILL")
        await stage.sees("its last words")
        assert "R" in stage.offered
        assert not {"n", "x", "K", "r", "D", "U"} & set(stage.offered)
        assert stage.app.return_value is None


async def test_nothing_is_said_to_run_once_the_supervisor_is_gone() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_gone(stage)
        await stage.until(lambda: "READY" not in stage.text(), "it is not called ready")
        assert "reconnecting" not in stage.text()
        assert "process 41202 stands still" not in stage.text()


async def test_R_starts_it_again_and_follows_the_new_one() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_gone(stage)
        stage.source.reachable = True
        stage.source.state = fresh_state()
        stage.source.state.worker.worker_id = "w-2"
        await stage.press("R")
        await stage.until(lambda: stage.source.address == Address(path="/run/again.sock"), "the new address")
        await stage.sees("● READY")
        assert stage.owner.orders == ["start"]
        assert "The supervisor has ended" not in stage.text()
        assert "R" not in stage.offered
        assert "n" in stage.offered


async def test_a_second_end_is_told_too() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_gone(stage)
        stage.source.reachable = True
        await stage.press("R")
        await stage.sees("● READY")
        await stage.until(lambda: stage.owner._gone is not None and not stage.owner._gone.done(), "watched again")
        stage.owner.end(Ended(1, None, ["the second time"]))
        await stage.sees("exit code 1")
        await stage.sees("the second time")


async def test_a_start_that_is_refused_is_told_and_can_be_tried_again() -> None:
    async with staged(FakeSource(demo_state()), FakeOwner()) as stage:
        await until_gone(stage)
        stage.owner.refuses = "port 8081 is taken"
        await stage.press("R")
        await stage.tells("port 8081 is taken")
        await stage.sees("The supervisor has ended")
        await stage.until(lambda: "R" in stage.offered, "R is offered again")


async def test_who_only_looks_is_not_offered_to_start_anything() -> None:
    async with staged() as stage:
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await stage.press("R")
        assert "Start again" not in stage.text()
        assert stage.app.leaving.gone is None


async def test_R_tries_again_at_once_while_the_link_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "FIRST_RETRY_S", 1000.0)
    async with staged() as stage:
        assert "Try again" not in stage.text()
        stage.source.cut(reachable=False)
        await stage.until(lambda: stage.app.board.retry_at is not None, "it waits for the next try")
        await stage.sees("reconnecting in 16:40")
        await stage.sees("R Try again")
        stage.source.reachable = True
        await stage.press("R")
        await stage.sees("● READY")
        assert "Try again" not in stage.text()


def test_the_next_try_is_told_where_one_waits_for_it() -> None:
    board = Board(lambda: NOW)
    board.take(Frame(demo_state(), snapshot=True))
    board.lose("nobody listens")
    board.retry_at = NOW + 4.5
    assert admission(board)[0][1] == [("✗ stale 0s, reconnecting in 4s", "bad")]
    board.retry_at = NOW + 0.25
    assert admission(board)[0][1] == [("✗ stale 0s, reconnecting", "bad")]


def test_a_supervisor_that_says_nothing_any_more_is_silent_until_it_says_something() -> None:
    now = NOW
    board = Board(lambda: now)
    board.listen()
    assert board.stale_since is None  # nothing was heard yet
    board.take(Frame(demo_state(), snapshot=True))
    now += 4
    board.listen()
    assert board.stale_since is None
    now += 3
    board.listen()
    assert admission(board)[0][1] == [("✗ silent for 7s", "bad")]
    board.take(Frame(demo_state()))
    assert board.stale_since is None
    assert not board.silent


async def test_the_card_of_a_broken_save_comes_and_goes_by_itself() -> None:
    problem = {"kind": "SyntaxError", "message": "never closed", "file": "bot.py", "line": 3, "column": 1}
    async with staged() as stage:
        await stage.happen(
            ev.ReloadStarted(at=NOW, generation=8, changed=["bot.py"]),
            ev.ReloadFailed(at=NOW, generation=8, problem=problem),
        )
        await stage.sees("Generation 8 cannot serve; generation 7 still serves 4 jobs")
        await stage.sees("bot.py:3")
        await stage.happen(ev.ReloadDone(at=NOW, generation=9, took_ms=1.0, start_method="zygote", start_method_why=""))
        assert "cannot serve; generation" not in stage.text()


async def test_the_first_code_that_cannot_be_loaded_is_not_said_to_be_served() -> None:
    state = fresh_state()
    state.worker = dataclasses.replace(state.worker, generation=0)
    async with staged(FakeSource(state)) as stage:
        problem = {"kind": "NameError", "message": "name 'x' is not defined", "file": "bot.py", "line": 3}
        await stage.happen(ev.ReloadFailed(at=NOW, generation=1, problem=problem))
        await stage.sees("The agent cannot be loaded")
        assert "still serves" not in stage.text()
