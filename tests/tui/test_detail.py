"""The detail of a process: opened from the table, fetched while it is shown, and what its keys do."""

import asyncio
from typing import Any

import pytest

from tests.tui.demo_detail import SECRET, dead, death, detail, dump
from tests.tui.demo_state import NOW, demo_state, job, process
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, screen_rows, staged
from workbench.model import events as ev
from workbench.tui.editor import editor_command
from workbench.tui.screens import detail as detail_module
from workbench.tui.screens.detail import DetailScreen
from workbench.tui.widgets.detail.cause import end_words
from workbench.tui.widgets.detail.charts import chart
from workbench.tui.widgets.slots.attention import in_order


def source() -> FakeSource:
    """The demo worker, which also answers about its processes."""
    found = FakeSource(demo_state())
    for id in (1, 2, 3, 4, 5):
        found.details[found.state.processes[id].pid] = detail(found.state, id)
    found.dump = dump()
    return found


def row_of(stage: Stage, pid: int) -> int:
    return next(n for n, place in enumerate(stage.app.board.places.rows) if place.process and place.process.pid == pid)


async def opened(stage: Stage, pid: int, key: str = "enter") -> DetailScreen:
    """The detail of a process, with its first answer."""
    await stage.press("g", *["j"] * row_of(stage, pid), key)
    screen = stage.app.screen
    assert isinstance(screen, DetailScreen)
    await stage.until(lambda: screen.subject.told is not None, "the answer")
    await stage.settle()
    return screen


# --- opening and fetching -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["enter", "i"])
async def test_a_key_opens_the_process_under_the_cursor_and_esc_leads_back(key: str) -> None:
    async with staged(source()) as stage:
        screen = await opened(stage, 41203, key)
        assert set(stage.source.asked) == {("process", 41203)}  # again every second, where that takes so long
        assert screen.subject.last.pid == 41203
        await stage.press("escape")
        assert stage.app.screen is stage.app.board_screen


async def test_the_first_lines_tell_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(source(), size=(80, 24)) as stage:
        await opened(stage, 41202)
        assert stage.rows()[0].strip().startswith("▲ stalled 4s at stuck.py:21 in on_turn")
        await stage.press("escape")
        await opened(stage, 41203)
        assert stage.rows()[0].strip().startswith("● busy, over 500 MB: holds 620 MB")
        text = stage.text()
        for words in ("generation 7", "up 5:00", "zygote: nothing stands against forking", "job-88a0", "4 threads"):
            assert words in text, words


async def test_it_is_fetched_again_while_shown_and_never_when_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail_module, "ASK_EVERY_S", 0.01)
    async with staged(source()) as stage:
        await opened(stage, 41201)
        await stage.until(lambda: len(stage.source.asked) > 3, "it is asked again")
        await stage.press("K")  # a question on top: nobody reads below
        asked = len(stage.source.asked)
        await asyncio.sleep(0.1)
        assert len(stage.source.asked) <= asked + 1  # one may have been on its way
        await stage.press("escape")
        await stage.until(lambda: len(stage.source.asked) > asked + 2, "it is asked again")
        await stage.press("escape")
        asked = len(stage.source.asked)
        await asyncio.sleep(0.1)
        assert len(stage.source.asked) <= asked + 1


async def test_below_it_the_board_is_not_drawn_and_is_of_now_again_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(source()) as stage:
        await opened(stage, 41201)
        drawn: list[str] = []
        table = stage.table
        redraw = table.redraw
        monkeypatch.setattr(table, "redraw", lambda: (drawn.append("table"), redraw()))
        await stage.happen(ev.ProcessResumed(at=NOW, id=2))
        assert drawn == []
        await stage.press("escape")
        assert drawn
        assert "stalled" not in stage.of("#table")


async def test_what_is_old_is_dated() -> None:
    async with staged(source()) as stage:
        await opened(stage, 41201)
        assert "as of" not in stage.rows()[0]
        stage.source.cut(reachable=False)
        await stage.until(lambda: stage.app.board.stale_since is not None, "the link is lost")
        await stage.sees("as of 22:13:20")


async def test_nothing_foreign_reaches_the_terminal() -> None:
    bad = "\x1b]0;owned\x07\x1b[2Jx"
    evil = source()
    evil.details[41201] |= {
        "environment": {bad: bad}, "start_method_why": bad, "last_lines": [[NOW, bad, bad]],
        "children": [{"pid": 1, "name": bad, "command": bad, "memory_mb": 1.0}],
        "history": [{"state": bad, "at": NOW, "why": bad}],
        "dump": {**dump(), "file": bad, "name": bad, "tasks": [bad], "lines": [bad, f'  File "{bad}"']},
    }  # fmt: skip
    async with staged(evil, size=(200, 60)) as stage:
        await opened(stage, 41201)
        await stage.press("e")
        assert "\x1b" not in stage.text()
        assert "owned" not in stage.text()


async def test_it_says_why_it_has_not_the_environment() -> None:
    found, why = source(), "only over the worker's socket, or with its control token"
    found.details[41203].update(environment=None, environment_why=why)
    async with staged(found, size=(80, 24)) as stage:
        await opened(stage, 41203)
        await stage.press("e")
        await stage.sees(why)


async def test_the_environment_is_folded_and_masked() -> None:
    async with staged(source(), size=(80, 24)) as stage:
        screen = await opened(stage, 41201)
        assert "4 variables, secrets hidden" in "".join(t for line in screen.view.lines for t, _ in line)
        await stage.press("e")
        await stage.sees("API_KEY=********")
        assert SECRET not in stage.text()
        await stage.press("e")
        assert "API_KEY" not in stage.text()


# --- one that has ended -------------------------------------------------------------------------------


async def test_what_just_died_is_told_with_its_cause() -> None:
    async with staged(source()) as stage:
        screen = await opened(stage, 41203)
        stage.source.details[41203] = dead(stage.source.details[41203])
        await stage.happen(*death(3))
        await stage.until(lambda: screen.subject.finished, "its end is told")
        await stage.settle()
        assert stage.rows()[0].strip().startswith("✗ dead: over 800 MB: killed at 812 MB")
        asked = len(stage.source.asked)
        await stage.press("escape", "enter")  # the place is empty: the last one of it
        assert stage.rows()[0].strip().startswith("✗ dead: over 800 MB: killed at 812 MB")
        await stage.until(lambda: len(stage.source.asked) > asked, "it is asked about once more")


async def test_the_process_before_is_reached_although_another_took_its_place() -> None:
    async with staged(source()) as stage:
        told = stage.source.details[41203]
        await stage.press("g", *["j"] * row_of(stage, 41203))
        await stage.happen(*death(3), *process(9, 41400, 7, NOW))
        stage.source.details[41203] = dead(told)
        stage.source.details[41400] = detail(stage.source.state, 9)
        await stage.press("enter")
        await stage.sees("process 41400")
        await stage.press("[")
        await stage.sees("process 41203")
        await stage.sees("over 800 MB: killed at 812 MB")
        await stage.press("]")
        await stage.sees("process 41400")


async def test_an_end_without_fault_looks_like_none() -> None:
    async with staged(source()) as stage:
        screen = await opened(stage, 41260)
        told = stage.source.details[41260]
        end = {"at": NOW - 1, "exit_code": 0, "signal": None, "why": "", "unexpected": False}
        history = [*told["history"], {"state": "stopping", "at": NOW - 1, "why": "not needed"}]
        stage.source.details[41260] = {**told, "state": "dead", "ended": end, "history": history}
        await stage.happen(
            ev.ProcessStopping(at=NOW - 1, id=5, why="not needed"),
            ev.ProcessExited(at=NOW - 1, id=5, exit_code=0, signal=None, why="", unexpected=False),
        )
        await stage.until(lambda: screen.subject.finished, "its end is told")
        await stage.settle()
        assert stage.rows()[0].strip().startswith("■ ended: not needed, exited 0")


async def test_another_workers_process_of_the_same_number_is_another() -> None:
    async with staged(source()) as stage:
        screen = await opened(stage, 41203)
        stage.app.board.worker_id = "w-2"
        assert screen.subject.process is None
        assert stage.app.check_action("kill", ()) is False


async def test_a_place_that_nothing_was_in_opens_nothing() -> None:
    async with staged(source()) as stage:
        await stage.press("G", "enter")
        await stage.tells("no process has been in this place yet")
        assert stage.app.screen is stage.app.board_screen


# --- keys ---------------------------------------------------------------------------------------------


async def test_s_dumps_the_stack_and_shows_it_with_the_users_frame() -> None:
    async with staged(source(), size=(80, 24)) as stage:
        screen = await opened(stage, 41202)
        await stage.press("s")
        await stage.until(lambda: screen.subject.get("dump") is not None, "the dump")
        assert ("stack", 41202) in stage.source.asked
        await stage.settle()
        top = "\n".join(stage.rows()[1:9])
        assert "4 Stack" in stage.rows()[1]
        assert "agents/stuck.py:21 in on_turn" in top
        assert "▸ agents/stuck.py:21 in on_turn" in top
        copied: list[str] = []
        stage.app.copy_to_clipboard = copied.append  # type: ignore[method-assign]
        await stage.press("y")
        await stage.until(lambda: copied or stage.told, "something was copied")
        assert copied == ["\n".join(stage.source.dump["lines"])]


async def test_a_dump_that_does_not_come_is_told() -> None:
    async with staged(source()) as stage:
        await opened(stage, 41202)
        stage.source.refusal = "no stack dump came within 2 s"
        await stage.press("s")
        await stage.tells("no stack dump came within 2 s")


async def test_o_opens_the_line_in_the_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(source()) as stage:
        stage.source.details[41202]["dump"] = dump()
        await opened(stage, 41202)
        for name in ("EDITOR", "VISUAL"):
            monkeypatch.delenv(name, raising=False)
        await stage.press("o")
        await stage.tells("EDITOR is not set: stuck.py:21 cannot be opened")


@pytest.mark.parametrize(
    ("editor", "command"),
    [
        ("vim", ["vim", "+21", "/a b.py"]),
        ("emacsclient -nw", ["emacsclient", "-nw", "+21", "/a b.py"]),
        ("'/opt/my code/code' --wait", ["/opt/my code/code", "--wait", "--goto", "/a b.py:21"]),
        ("hx", ["hx", "/a b.py:21"]),
        ("ed", ["ed", "+21", "/a b.py"]),
        ("", []),
    ],
)
def test_how_editors_are_called(editor: str, command: list[str]) -> None:
    assert editor_command({"EDITOR": editor}, "/a b.py", 21) == command


def test_visual_comes_first_and_a_bad_quote_is_an_error() -> None:
    assert editor_command({"EDITOR": "vi", "VISUAL": "nano"}, "x", 1) == ["nano", "+1", "x"]
    assert editor_command({"EDITOR": "vi"}, "x", 0) == ["vi", "x"]
    with pytest.raises(ValueError, match="quot"):
        editor_command({"EDITOR": "'vi"}, "x", 1)


async def test_kill_end_talk_and_logs_act_on_the_process_shown() -> None:
    async with staged(source()) as stage:
        await opened(stage, 41203)
        await stage.happen(*process(9, 41400, 7, NOW))  # whatever happens below
        await stage.press("K")
        await stage.sees("Kill process 41203")
        await stage.press("y")
        await stage.until(lambda: ("kill_process", 41203) in stage.source.asked, "it is killed")
        await stage.press("x")
        await stage.sees("End job job-88a0?")
        await stage.press("y")
        await stage.until(lambda: ("end_job", "job-88a0") in stage.source.asked, "its job is asked to end")
        await stage.press("l")
        assert stage.app.screen is stage.app.board_screen
        assert stage.logs.store.filter.process_id == 3
        await opened(stage, 41203)
        await stage.press("t")
        assert stage.app.screen is stage.app.board_screen
        assert stage.talk.job_id == "job-88a0"


async def test_the_help_tells_the_keys_of_the_detail() -> None:
    async with staged(source()) as stage:
        await opened(stage, 41203)
        await stage.press("?")
        await stage.sees("Process detail")
        await stage.sees("Dump the stack of all threads and tasks now")


async def test_it_scrolls_and_sections_have_keys() -> None:
    async with staged(source(), size=(80, 24)) as stage:
        screen = await opened(stage, 41203)
        for number, (name, _) in enumerate(detail_module.SECTIONS, 1):
            await stage.press(str(number))
            assert f"{number} {name}" in stage.text()
        await stage.press("g")
        assert screen.view.scroll_y == 0
        await stage.press("j", "j", "k")
        assert screen.view.scroll_y == 1
        await stage.press("tab")
        assert round(screen.view.scroll_y) == screen.view.starts[2]
        await stage.press("shift+tab")
        assert screen.view.scroll_y == 0
        await stage.press("G")
        assert round(screen.view.scroll_y) == screen.view.max_scroll_y > 0


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24), (112, 30), (200, 60)])
async def test_it_fits_every_size(size: tuple[int, int]) -> None:
    async with staged(source(), size=size) as stage:
        stage.source.details[41202]["dump"] = dump()
        screen = await opened(stage, 41202)
        assert all(len(row) == size[0] for row in screen_rows(stage.app))
        assert sorted(screen.view.starts) == list(range(1, 10))


def test_a_chart_fills_columns_from_below() -> None:
    lines = chart([0.0, 0.5, 1.0], 4, 2, 1.0, lambda value: "bad" if value > 0.6 else "good")
    assert ["".join(text for text, _ in line) for line in lines] == ["   █", " ▁██"]
    assert lines[1][-1] == ("█", "bad")


def test_ends_in_words() -> None:
    def end(code: int | None, signal: str | None, why: str = "") -> dict[str, Any]:
        return {"exit_code": code, "signal": signal, "why": why}

    assert end_words(end(3, None)) == "exited 3"
    assert end_words(end(None, "SIGSEGV")) == "killed by SIGSEGV"
    assert end_words(end(None, "SIGKILL", "killed by the operator")) == "killed by the operator (killed by SIGKILL)"
    assert end_words(end(None, None, "its zygote died")) == "its zygote died (never came to be)"
    over = "held 312 MB, over 300 MB (memory_limit_mb)"
    assert end_words(end(None, "SIGKILL", over)) == "over 300 MB: killed at 312 MB"


# --- the order of the table ---------------------------------------------------------------------------


def pids(stage: Stage) -> list[str]:
    """The pids of the table, from top to bottom."""
    words = [row.split() for row in stage.of("#table").splitlines()[1:]]
    return [next((word for word in row if word.isdecimal()), "") for row in words]


async def test_S_shows_the_sick_first_and_the_cursor_stays_on_its_process() -> None:
    async with staged(source()) as stage:
        before = pids(stage)
        await stage.press("g", *["j"] * row_of(stage, 41201))
        await stage.press("S")
        assert pids(stage)[:2] == ["41202", "41203"]  # stalled, over memory
        assert pids(stage)[2:] == [pid for pid in before if pid not in ("41202", "41203")]
        assert stage.table.process.pid == 41201
        assert "sick first" in stage.of("#processes")
        await stage.press("g", "j")
        assert stage.table.process.pid == 41203
        await stage.happen(ev.ProcessResumed(at=NOW, id=2))  # it is well: the row moves, the cursor with its own
        assert pids(stage)[0] == "41203"
        assert stage.table.process.pid == 41203
        await stage.press("S")
        assert pids(stage) == before
        assert stage.table.process.pid == 41203
        assert "sick first" not in stage.of("#processes")


async def test_a_place_whose_process_died_comes_first_until_it_is_filled() -> None:
    async with staged(source()) as stage:
        row = row_of(stage, 41203)
        await stage.press("S")
        await stage.happen(*death(3))
        assert in_order(stage.app.board)[0] == row
        await stage.happen(*process(9, 41400, 7, NOW), *job("job-next", 9, NOW))
        assert in_order(stage.app.board)[0] == row_of(stage, 41202)
