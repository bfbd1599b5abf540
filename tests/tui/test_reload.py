"""What the screen shows of hot reload: what waits, what runs on which code, and what a reload cost."""

import dataclasses
from typing import Any

import pytest

from tests.defences import defence
from tests.tui.demo_state import NOW, OWN_ROOM, broken, demo_state, job, log_lines, message, process
from tests.tui.fakes import FakeRoom, FakeSource
from tests.tui.stage import fresh_state, staged
from workbench.model import events as ev
from workbench.model.state import State
from workbench.supervisor.words import costs_more, listed, words_of
from workbench.tui.notes import note_of
from workbench.tui.widgets.logs.lines import NARROW, log_line
from workbench.tui.widgets.logs.store import LogRecord
from workbench.tui.words import pending_words, suspended_words

OLD, OWN, OTHER = 0, 1, 3  # rows of the demo's table
DIED = {"kind": "", "message": "its processes did not stay once it served: SIGSEGV, 3 times", "exit_code": 3}


def done(generation: int = 8, **more: Any) -> ev.ReloadDone:
    """New code serves."""
    return ev.ReloadDone(
        at=NOW, generation=generation, took_ms=152.4, start_method="zygote", start_method_why="", **more
    )


def started(*changed: str, generation: int = 8) -> ev.ReloadStarted:
    """New code is loading."""
    return ev.ReloadStarted(at=NOW, generation=generation, changed=list(changed))


def after(*events: ev.Event, state: State | None = None) -> State:
    """The demo's worker after that."""
    state = state or demo_state()
    for event in events:
        state.apply(event)
    return state


# --- what waits -------------------------------------------------------------------------------------


async def test_saves_that_wait_in_manual_mode_are_named_until_they_are_loaded() -> None:
    async with staged() as stage:
        await stage.happen(
            ev.ReloadIdle(at=NOW, mode="manual", watched=5), ev.ReloadPending(at=NOW, changed=["bot.py"])
        )
        assert "bot.py changed, r loads it" in stage.of("#header")
        assert "reload manual, 5 files watched" in stage.of("#processes")
        await stage.happen(ev.ReloadPending(at=NOW, changed=["a.py", "b.py", "bot.py"]))
        assert "3 files changed, r loads them" in stage.of("#header")
        await stage.press("r")
        await stage.asked("reload")
        await stage.happen(started("a.py", "b.py", "bot.py"))
        assert "changed" not in stage.of("#header")


async def test_polling_is_told_with_its_reason() -> None:
    async with staged() as stage:
        await stage.happen(ev.ReloadIdle(at=NOW, mode="auto", watched=5, polling="nfs at /mnt/x"))
        assert "reload auto, 5 files watched, polling (nfs at /mnt/x)" in stage.of("#processes")
        assert "polling" in stage.of("#header")
        await stage.happen(ev.ReloadIdle(at=NOW, mode="auto", watched=5))
        assert "polling" not in stage.text()


async def test_it_is_told_that_saves_restart_jobs() -> None:
    state = demo_state()
    state.reload.jobs = "restart"
    async with staged(FakeSource(state)) as stage:
        assert "reload auto, restarts jobs, 14 files watched" in stage.of("#processes")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_suspended_file_is_named_with_its_reason_and_the_key_that_takes_it_up(size: tuple[int, int]) -> None:
    state = after(ev.ProcessResumed(at=NOW, id=2))
    async with staged(FakeSource(state), size=size) as stage:
        await stage.happen(ev.ReloadSuspended(at=NOW, files={"log.txt": "the agent writes it"}))
        words = "! saves of log.txt load nothing, r takes it up again: the agent writes it"
        assert words in stage.of("#status")
        assert "! log.txt suspended" in stage.of("#header")
        await stage.happen(ev.ReloadSuspended(at=NOW, files={}))
        assert "suspended" not in stage.of("#header")
        assert "load nothing" not in stage.of("#status")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_options_that_need_a_restart_are_named_as_long_as_they_do(size: tuple[int, int]) -> None:
    async with staged(size=size) as stage:
        await stage.happen(done(needs_restart=["port", "host"]))
        assert "! needs restart: port, host" in stage.of("#header")
        await stage.happen(done(9))
        assert "needs restart" not in stage.of("#header")


def test_names_from_outside_are_harmless_and_bounded() -> None:
    assert pending_words(["\x1b[2Jbot.py"]) == "bot.py changed, r loads it"
    assert len(pending_words(["x" * 500])) < 60
    assert suspended_words({"a\nb.py": "w\x1b[31mhy", "c.py": ""}) == (
        "saves of a ⏎ b.py (and 1 more) load nothing, r takes them up again: why"
    )


# --- what it cost -----------------------------------------------------------------------------------


def test_a_reload_is_told_with_what_changed_and_what_it_costs_before_and_after() -> None:
    state = after(done(7, import_ms=38.2, memory_mb=22.7), started("bot.py", "prompts/a.md"))
    event = done(import_ms=41.4, memory_mb=23.1, needs_restart=[])
    facts = ": bot.py, prompts/a.md; import 41 ms (+3), process 23.1 MB (+0.4)"
    note = note_of(event, after(event, state=state))
    assert note is not None
    assert (note.tone, note.text) == ("good", f"generation 8 live in 152 ms{facts}; 4 jobs on older code")
    assert words_of(event, state) == ("INFO", f"generation 8 serves after 152 ms{facts}")


def test_options_that_need_a_restart_stand_in_note_and_log() -> None:
    event = done(needs_restart=["port"])
    state = after(started("bot.py"), event)
    note = note_of(event, state)
    assert note is not None
    assert (note.tone, note.text) == (
        "warn", "generation 8 live in 152 ms: bot.py; needs restart: port; 4 jobs on older code",
    )  # fmt: skip
    assert words_of(event, state) == ("WARNING", "generation 8 serves after 152 ms: bot.py; needs restart: port")


@defence(("workbench/supervisor/words.py", "now - before if now and before else 0.0", "now - (before or 0.0)"))
@pytest.mark.parametrize(
    ("before", "now", "warns"),
    [
        ((40.0, 100.0), (41.0, 119.0), False),  # (import_ms, memory_mb)
        ((40.0, 100.0), (41.0, 120.0), True),
        ((40.0, 20.0), (41.0, 24.9), False),
        ((40.0, 20.0), (41.0, 25.0), True),
        ((150.0, 20.0), (340.0, 20.0), False),
        ((150.0, 20.0), (350.0, 20.0), True),
        ((300.0, 20.0), (590.0, 20.0), False),
        ((0.0, 0.0), (900.0, 500.0), False),  # nobody measured it before
        ((40.0, 20.0), (0.0, 0.0), False),
        ((900.0, 500.0), (40.0, 20.0), False),
    ],
)
def test_code_that_costs_much_more_is_a_warning(
    before: tuple[float, float], now: tuple[float, float], warns: bool
) -> None:
    event = done(import_ms=now[0], memory_mb=now[1])
    state = after(done(7, import_ms=before[0], memory_mb=before[1]), event)
    note, words = note_of(event, state), words_of(event, state)
    assert note is not None
    assert words is not None
    assert costs_more(event, state) is warns
    assert (note.tone, words[0]) == (("warn", "WARNING") if warns else ("good", "INFO"))


def test_the_first_code_has_nothing_before_it() -> None:
    event = done(1, import_ms=41.4, memory_mb=23.1)
    assert words_of(event, after(event, state=State())) == (
        "INFO", "generation 1 serves after 152 ms; import 41 ms, process 23.1 MB",
    )  # fmt: skip


def test_what_became_no_more_is_no_minus_zero() -> None:
    event = done(import_ms=40.8, memory_mb=23.0)
    state = after(done(7, import_ms=41.0, memory_mb=23.02), event, state=State())
    assert words_of(event, state) == (
        "INFO",
        "generation 8 serves after 152 ms; import 41 ms (+0), process 23.0 MB (+0.0)",
    )


def test_many_names_are_counted() -> None:
    assert listed(["a.py", "b.py", "c.py"]) == "a.py, b.py, c.py"
    assert listed([f"{letter}.py" for letter in "abcdefg"]) == "a.py, b.py, c.py and 4 more"


def test_the_log_names_what_waits_once_and_nothing_when_it_waits_no_more() -> None:
    event = ev.ReloadPending(at=NOW, changed=["bot.py", "a.py"])
    assert words_of(event, State()) == ("INFO", "saved, and not loaded before somebody asks for it: bot.py, a.py")
    assert words_of(ev.ReloadPending(at=NOW, changed=[]), State()) is None


# --- what failed ------------------------------------------------------------------------------------


def test_the_log_of_a_failed_reload_names_the_change_and_what_still_serves() -> None:
    state, event = after(*broken()), broken()[1]
    words = words_of(event, state)
    assert words is not None
    level, text = words
    first, *source = text.split("\n")
    assert level == "ERROR"
    assert first == (
        "new code cannot serve: SyntaxError: '(' was never closed (bot.py:88)"
        "; changed: bot.py; generation 7 still serves 4 jobs"
    )
    assert "> " in source[2]
    assert "chat(context" in source[2]


async def test_the_card_of_code_that_was_taken_back_tells_why_and_goes_with_the_next() -> None:
    async with staged() as stage:
        await stage.happen(started("bot.py", "shop.py"), done())
        assert "gen 8" in stage.of("#header")
        await stage.happen(ev.ReloadFailed(at=NOW, generation=8, problem=DIED, serving=7))
        card = stage.of("#reload")
        assert "Generation 8 cannot serve; generation 7 still serves 4 jobs" in card
        assert "its processes did not stay once it served: SIGSEGV, 3 times" in card
        assert "saved: bot.py, shop.py" in card
        assert "gen 7 ✗ 8 broken" in stage.of("#header")
        await stage.happen(started("bot.py", generation=9), done(9))
        assert not stage.app.board_screen.query_one("#reload").display
        assert "cannot serve" not in stage.of("#status")


async def test_the_card_names_place_change_and_source_on_as_many_rows_as_before() -> None:
    async with staged() as stage:
        await stage.happen(*broken())
        card = stage.of("#reload")
        assert "bot.py:88:34   saved: bot.py" in card
        assert "▶   88 │     reply = await self.model.chat(context" in card
        assert "^" in card


# --- pins and older code ----------------------------------------------------------------------------


async def test_P_pins_the_own_job_and_lets_it_go_again() -> None:
    async with staged() as stage:
        await stage.press(*"j" * OWN, "P")
        await stage.asked("pin_job", "job-own", True)
        await stage.tells("job-own stays on generation 7")
        await stage.happen(ev.JobPinned(at=NOW, id="job-own", pinned=True))
        assert "g7=" in stage.of("#table")
        assert "gen 7 pinned  turn=14" in stage.of("#table")
        await stage.press("P")
        await stage.asked("pin_job", "job-own", False)
        await stage.happen(ev.JobPinned(at=NOW, id="job-own", pinned=False))
        assert "pinned" not in stage.of("#table")


@defence(("workbench/tui/board.py", "job.active and (job.own or job.pinned or self", "job.active or (self"))
async def test_P_asks_for_nothing_where_newer_code_takes_no_job() -> None:
    async with staged() as stage:
        for row in "jjjj":
            if stage.table.job is None or not stage.table.job.own:
                await stage.press("P")
            await stage.press(row)
        assert stage.source.asked == []


async def test_P_pins_any_job_where_saves_restart_all() -> None:
    state = demo_state()
    state.reload.jobs = "restart"
    async with staged(FakeSource(state)) as stage:
        await stage.press(*"j" * OTHER, "P")
        await stage.asked("pin_job", "job-88a0", True)
        await stage.press("j", "P")  # no job is there
        assert len(stage.source.asked) == 1


async def test_P_is_found_by_name_only_where_it_does_something() -> None:
    async with staged() as stage:
        names = [command.title for command in stage.app.get_system_commands(stage.app.screen)]
        assert "Job: Pin the selected job to its code" not in names
        await stage.press(*"j" * OWN)
        names = [command.title for command in stage.app.get_system_commands(stage.app.screen)]
        assert "Job: Pin the selected job to its code" in names


async def test_the_worker_refuses_a_pin_in_its_own_words() -> None:
    source = FakeSource(demo_state())
    source.refusal = "job job-own has ended"
    async with staged(source) as stage:
        await stage.press(*"j" * OWN, "P")
        await stage.tells("job job-own has ended")
        assert not any("stays" in told for told in stage.told)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_job_on_older_code_is_seen_without_colour(size: tuple[int, int]) -> None:
    async with staged(size=size) as stage:
        rows = stage.of("#table").split("\n")
        assert "g6<" in rows[1 + OLD]
        assert "<" not in rows[1 + OWN]
        before = [row.index("job-") for row in rows if "job-" in row]
        await stage.happen(done(8))
        rows = stage.of("#table").split("\n")
        assert "g7<" in rows[1 + OWN]
        assert [row.index("job-") for row in rows if "job-" in row] == before  # no column has moved


@pytest.mark.parametrize(("generation", "cell"), [(6, "g6<"), (99, "g99<"), (123, "123<"), (4567, "4567")])
def test_no_generation_is_cut_to_another_number(generation: int, cell: str) -> None:
    from tests.tui.test_columns import a_place, cells

    assert cells(a_place(generation=generation))["GEN"] == cell


# --- logs -------------------------------------------------------------------------------------------


def text_of(record: LogRecord, width: int, serving: int) -> str:
    """The line as text."""
    return "".join(text for text, _ in log_line(record, width, 0, serving))


@defence(
    (
        "workbench/tui/widgets/logs/lines.py",
        "record.generation not in (0, look.serving)",
        "record.generation != look.serving",
    )
)
def test_only_lines_of_other_code_than_what_serves_have_its_number_and_nothing_moves() -> None:
    record = LogRecord(NOW, 1, 41201, "INFO", "turn 12", "", 7)
    plain = text_of(record, 90, 7)
    marked = text_of(record, 90, 8)
    assert "g7" not in plain
    assert marked == plain.ljust(88) + "g7"
    assert text_of(dataclasses.replace(record, generation=0), 90, 8) == plain  # the supervisor's own
    assert text_of(record, 90, 0) == plain  # nothing is known yet
    assert text_of(record, NARROW - 1, 8) == text_of(record, NARROW - 1, 7)
    assert text_of(dataclasses.replace(record, text="x" * 500), 90, 8).endswith("x… g7")


@defence(
    (
        "workbench/tui/widgets/logs/place.py",
        "width = self.scrollable_content_region.width  #",
        "width = self.content_size.width  #",
    )
)
async def test_log_lines_are_marked_when_newer_code_serves_and_copied_as_they_were() -> None:
    async with staged(FakeSource(demo_state(), log_lines())) as stage:
        await stage.until(lambda: len(stage.logs.store) == 120, "the logs")
        assert "g7" not in stage.of("#log-view")
        before = stage.of("#log-view").split("\n")
        await stage.press("2", "k")
        await stage.happen(done(8))
        rows = stage.of("#log-view").split("\n")
        assert [row.rstrip(" █▁▂▃▄▅▆▇▌").endswith("g7") for row in rows] == ["super" not in row for row in rows]
        assert [row[:40] for row in rows] == [row[:40] for row in before]
        await stage.press("y")
        await stage.tells("1 line")
        assert stage.app.clipboard == stage.logs.cursor.text


# --- talk -------------------------------------------------------------------------------------------


def talking() -> tuple[FakeSource, FakeRoom]:
    """A conversation with the own job."""
    made = FakeSource(demo_state())
    room = made.rooms[OWN_ROOM] = FakeRoom(
        [
            {"type": "attempt", "attempt": 1, "generation": 7},
            message("1.1", "agent", "Hello!", NOW - 60),
            message("m1", "user", "where is it?", NOW - 50),
        ]
    )
    return made, room


async def test_the_conversation_keeps_its_history_when_the_job_goes_on_with_new_code() -> None:
    made, room = talking()
    async with staged(made) as stage:
        await stage.sees("where is it?")
        await stage.happen(started("bot.py"), done(), ev.JobRequeued(at=NOW, id="job-own", reason="reloaded"))
        await stage.happen(*process(9, 41999, 8, NOW))
        await stage.happen(ev.JobStarting(at=NOW, id="job-own", process_id=9, warm=True))
        room.tell({"type": "attempt", "attempt": 2, "generation": 8})
        room.tell(message("2.1", "agent", "Hello again!", NOW))
        await stage.sees("Hello again!")
        entries = [(entry.role, entry.lines) for entry in stage.talk.view.transcript.entries]
        assert entries == [
            ("agent", ["Hello!"]), ("user", ["where is it?"]), ("mark", ["generation 8 from here"]),
            ("agent", ["Hello again!"]),
        ]  # fmt: skip


async def test_a_failed_reload_leaves_the_conversation_as_it_is() -> None:
    made, room = talking()
    async with staged(made) as stage:
        await stage.sees("where is it?")
        await stage.press("3")
        await stage.type("half a sen")
        entries = list(stage.talk.view.transcript.entries)
        await stage.happen(*broken())
        await stage.sees("cannot serve")
        assert stage.talk.view.transcript.entries == entries
        assert stage.talk.joined
        await stage.type("tence")
        await stage.press("enter")
        await stage.until(lambda: room.said == ["half a sentence"], "it is said")


async def test_a_reload_of_a_worker_without_jobs_names_none() -> None:
    async with staged(FakeSource(fresh_state())) as stage:
        await stage.happen(*process(7, 41300, 6, NOW), *job("job-x", 7, NOW))
        await stage.happen(started("bot.py"), ev.ReloadFailed(at=NOW, generation=8, problem=DIED, serving=6))
        assert "generation 6 still serves 1 job" in stage.of("#reload")
