"""The screen over a registry: what its keys do, what it tells, and what becomes of it when the registry is lost."""

import json

import pytest

from tests.defences import defence
from tests.tui.fakes import NOW
from tests.tui.registry_fakes import URL, FakeRegistry, busy_world, job, registry_staged, worker
from tests.tui.test_hostile import EVIL, assert_harmless
from workbench.tui.registry.feed import RegistryFeed


async def test_the_first_screenful_tells_who_works_and_how_much() -> None:
    async with registry_staged() as stage:
        top = stage.of("#header")
        for text in (f"registry {URL}", "● SERVING", "workers 5/6", "slots 9/30", "queue 1", "running 2", "ended 212"):
            assert text in top
        for text in ("● ready", "◆ full", "▲ over load", "◐ draining", "✗ lost", "videosdk", "2/5", "93%/75%"):
            assert text in stage.of("#workers")
        for text in ("◌ queued", "○ assigned", "▲ unknown", "✗ failed", "ValueError", "✓ completed"):
            assert text in stage.of("#jobs")
        assert "job 66ff77aa of support failed / raised: ValueError: boom" in " ".join(stage.of("#events").split())
        await stage.sees("✗ worker f00dbabe of sales is lost")


async def test_a_worker_is_drained_without_a_question_and_taken_back() -> None:
    async with registry_staged() as stage:
        assert "D" in stage.offered
        await stage.press("D")
        await stage.asked("drain", "a1b2c3d4e5f6", True)
        await stage.tells("worker a1b2c3d4 of support is offered nothing more; 2 jobs that run go on")
        await stage.news(workers=[worker("a1b2c3d4e5f6", draining=True, slots_used=2)])
        assert "U" in stage.offered
        assert "D" not in stage.offered
        await stage.press("U")
        await stage.asked("drain", "a1b2c3d4e5f6", False)


@pytest.mark.parametrize(("answer", "asked"), [("y", [("end_job", "22bb33cc44dd")]), ("escape", [])])
async def test_a_job_is_asked_to_end_after_a_question(answer: str, asked: list[tuple[str, str]]) -> None:
    async with registry_staged() as stage:
        await stage.press("x")  # of a worker nothing can be ended
        assert stage.source.asked == []
        await stage.press("tab", "j", "j", "j", "x")
        await stage.sees("End job 22bb33cc of support?")
        await stage.press(answer)
        assert stage.source.asked == asked


async def test_a_job_that_has_ended_is_not_offered_to_be_ended() -> None:
    async with registry_staged() as stage:
        await stage.press("2", "G")
        assert "x" not in stage.offered


async def test_n_dispatches_a_job_to_the_agent_of_what_is_selected() -> None:
    async with registry_staged() as stage:
        await stage.press("j", "j", "j", "n")
        assert stage.app.screen.query_one("#dispatch-agent").value == "sales"
        await stage.press("ctrl+u", "tab")
        await stage.type('{"caller": "Ada"')
        await stage.press("enter")
        await stage.sees("metadata is no JSON")
        assert stage.source.asked == []
        await stage.type("}")
        await stage.press("enter")
        await stage.sees("room must be 1 to 128 letters")
        await stage.press("shift+tab")
        await stage.type("call-7")
        await stage.press("enter")
        await stage.asked("dispatch", "sales", "call-7", {"caller": "Ada"})
        await stage.tells("job 99cc88bb goes to worker a1b2c3d4")


async def test_what_the_registry_refuses_is_told_in_its_words() -> None:
    async with registry_staged() as stage:
        stage.source.refusal = "No workers available"
        await stage.press("n", "enter")
        await stage.tells("No workers available")


async def test_enter_opens_a_worker_with_its_jobs_and_follows_it() -> None:
    async with registry_staged() as stage:
        await stage.press("enter")
        for text in ("a1b2c3d4e5f6", "2 of 5 taken, by its own count 2", "31%, threshold 75%", "11aa22bb", "10.0.0.7"):
            await stage.sees(text)
        await stage.news(workers=[worker("a1b2c3d4e5f6", connected=False, slots_used=2)])
        await stage.sees("✗ lost  20s left to come back")
        await stage.news(gone=["a1b2c3d4e5f6"])
        await stage.sees("the registry has it no more")
        assert "D" not in stage.offered
        await stage.press("escape")
        assert stage.app.screen is stage.app.registry_screen


async def test_enter_opens_a_job_with_its_attempts_and_what_it_was_given() -> None:
    async with registry_staged() as stage:
        await stage.press("2", "slash")
        await stage.type("boom")
        await stage.press("enter", "enter")
        for text in ("66ff77aa88bb", "ValueError: boom (bot.py:38 in entrypoint)", "rejected  never started",
                     '"caller": "Ada"', "name, recording"):  # fmt: skip
            await stage.sees(text)


async def test_the_filter_hides_rows_and_escape_shows_them_again() -> None:
    async with registry_staged() as stage:
        await stage.press("2", "slash")
        await stage.type("!running !queued support")
        await stage.press("enter")
        assert "/!running !queued support 5 of 8" in stage.of("#jobs")
        assert "● running" not in stage.of("#jobs-table")
        await stage.press("escape")
        assert "● running" in stage.of("#jobs-table")


async def test_S_shows_first_who_needs_a_look_and_the_cursor_stays_on_its_row() -> None:
    async with registry_staged() as stage:
        await stage.press("j", "S")
        rows = stage.of("#workers-table").split("\n")[1:]
        assert [row.split()[0].strip("▌") or row.split()[1] for row in rows] == [
            "f00dbabe", "c0ffee00", "d00dfeed", "0f11aa22", "a1b2c3d4", "e1e2e3e4"
        ]  # fmt: skip
        assert "▌ 0f11aa22" in rows[3]
        await stage.press("S")
        assert "▌ 0f11aa22" in stage.of("#workers-table").split("\n")[2]


async def test_until_somebody_looks_the_cursor_is_on_the_newest_job() -> None:
    async with registry_staged() as stage:
        assert "▌ 44dd55ee" in stage.of("#jobs-table")
        await stage.news(jobs=[job("88bb99cc00dd", "offered", queued_at=NOW)])
        assert "▌ 88bb99cc" in stage.of("#jobs-table")
        await stage.press("2")
        await stage.news(jobs=[job("99cc88bb77aa", "offered", queued_at=NOW + 1)])
        assert "▌ 88bb99cc" in stage.of("#jobs-table")


async def test_a_new_job_moves_the_row_under_the_cursor_and_the_cursor_with_it() -> None:
    async with registry_staged() as stage:
        await stage.press("2", "j")
        await stage.news(jobs=[job("88bb99cc00dd", "offered", queued_at=NOW)])
        assert "▌ 33cc44dd" in stage.of("#jobs-table")


@defence(
    ("workbench/tui/registry/board.py", "self._counters = frame.seen.counters\n        self._count()", "self._count()")
)
async def test_the_events_tell_what_happened_and_each_only_once() -> None:
    async with registry_staged(FakeRegistry()) as stage:
        await stage.sees("no worker is registered")
        await stage.news(workers=[worker("aaaa0000")])
        await stage.news(workers=[worker("aaaa0000", connected=False, jobs=["j1"])], counters={"refused_queue_full": 2})
        await stage.news(workers=[worker("aaaa0000")], jobs=[job("j1" * 6, "failed", reason="hung", ended_at=NOW)])
        await stage.news(jobs=[job("j2" * 6, attempt=1)])
        await stage.news(jobs=[job("j2" * 6, attempt=2, worker_id="bbbb1111")])
        await stage.news(gone=["aaaa0000"])
        assert [note.text for note in stage.app.board.notes] == [
            "worker aaaa0000 of support registered (workbench, 5 slots)",
            "worker aaaa0000 of support: link down, 1 job of its unknown; it has 20 s to come back",
            "2 jobs refused: the queue is full",
            "worker aaaa0000 of support is back",
            "job j1j1j1j1 of support failed / hung",
            "job j2j2j2j2 goes to another worker, bbbb1111",
            "worker aaaa0000 of support has left",
        ]


async def test_a_registry_that_ends_blames_no_worker() -> None:
    async with registry_staged() as stage:
        await stage.news(ending=True, workers=[worker("a1b2c3d4e5f6", connected=False)])
        assert stage.app.board.notes[-1].text == "the registry is ending: jobs go on at their workers"


async def test_dispatches_are_counted_over_ten_seconds() -> None:
    async with registry_staged(FakeRegistry()) as stage:
        board, now = stage.app.board, NOW
        board.clock = lambda: now
        await stage.news(jobs_ended=7, jobs_active=3)
        assert board.rate() == 1.0
        now += 9
        assert board.rate() == 1.0
        now += 2
        assert board.rate() == 0.0


async def test_a_lost_registry_is_told_taken_up_again_and_not_taken_for_another() -> None:
    async with registry_staged() as stage:
        stage.source.cut(reachable=False)
        await stage.sees("✗ stale 0s, reconnecting")
        await stage.sees("nobody listens")
        assert not {"n", "D", "U"} & set(stage.offered)
        stage.source.reachable = True
        await stage.press("R")
        await stage.sees("● SERVING")
        assert stage.app.board.notes[-1].text == "connected again"
        stage.source.state["registry"] = {**stage.source.state["registry"], "pid": 78}
        stage.source.cut()
        await stage.sees("the registry was started again")


async def test_watchers_do_not_come_back_at_the_same_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RegistryFeed, "FIRST_RETRY_S", 1000.0)
    async with registry_staged() as stage:
        drawn: list[tuple[float, float]] = []
        stage.app.feed._rng.uniform = lambda low, high: drawn.append((low, high)) or 999.0
        stage.source.cut(reachable=False)
        await stage.sees("reconnecting in 16:39")
        assert drawn == [(500.0, 1000.0)]


async def test_what_answers_and_is_no_registry_is_told() -> None:
    async with registry_staged() as stage:
        for text in ('{"type": "snapshot", "state": {}}', "[1]", "nonsense", '{"type": "changed", "registry": 3}',
                     json.dumps({"type": "changed", "at": 1e300, "registry": {}})):  # fmt: skip
            stage.source.say(text)
            await stage.until(lambda: "is no registry" in stage.app.board.stale_why, text)
            await stage.until(lambda: stage.app.board.stale_since is None, "it is taken up again")


async def test_attach_owns_nothing_so_q_just_leaves() -> None:
    async with registry_staged() as stage:
        await stage.press("q")
        assert (await stage.left()).reason == "detached"
        assert stage.source.asked == []


def evil_world() -> FakeRegistry:
    """A registry at which everybody is named badly."""
    bad = worker(EVIL, EVIL, kind=EVIL, status=EVIL, address=EVIL, notes=[EVIL], jobs=[EVIL, "j"])
    tries = [{"attempt": 1, "worker_id": EVIL, "reason": EVIL}]
    one = job(EVIL, EVIL, agent_name=EVIL, room_id=EVIL, reason=EVIL, error=EVIL, notes=[EVIL], worker_id=EVIL,
              metadata={EVIL: [EVIL]}, room_options=[EVIL], attempts=tries)  # fmt: skip
    state = busy_world()
    state["registry"]["version"] = EVIL
    jobs = [{**one, "id": "j", "status": "failed"}, one]
    return FakeRegistry({**state, "workers": [bad, *state["workers"]], "jobs": jobs})


@pytest.mark.parametrize("size", [(200, 60), (80, 24)])
async def test_nothing_foreign_reaches_the_terminal(size: tuple[int, int]) -> None:
    async with registry_staged(evil_world(), size=size) as stage:
        await stage.news(workers=[worker(EVIL, EVIL, connected=False, notes=["b" + EVIL])], jobs=[job("k", error=EVIL)])
        for keys in (("D",), ("enter",), ("escape", "2", "z"), ("x",), ("escape", "enter"), ("G",), ("escape", "3"),
                     ("escape", "1", "n"), ("escape", "question_mark"), ("escape", "slash")):  # fmt: skip
            await stage.press(*keys)
            assert_harmless(stage)
        stage.app.focused.insert_text_at_cursor(EVIL)
        await stage.settle()
        assert_harmless(stage)
        stage.source.refusal = EVIL
        await stage.press("escape", "D")
        await stage.settle()
        assert_harmless(stage)
