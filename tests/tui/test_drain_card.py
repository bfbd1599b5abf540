"""The card of a drain: what is left, until when, and the way back."""

from tests.tui.demo_state import NOW, demo_state, ended
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, staged
from workbench.model import events as ev


async def drain(stage: Stage, deadline_at: float | None = None) -> None:
    """Somebody drains the worker."""
    await stage.happen(ev.DrainStarted(at=NOW, why="asked", deadline_at=deadline_at))


async def test_D_asks_nothing_says_what_it_does_and_the_card_lists_the_jobs_that_are_left() -> None:
    async with staged() as stage:
        await stage.press("D")
        await stage.asked("drain")
        await stage.tells("no new jobs are taken; 4 jobs that run go on; U takes them again")
        await drain(stage)
        card = stage.of("#drain")
        assert "draining: 4 jobs left" in card
        assert "cut" not in card
        assert "job-8857  1:55  room job-8857" in card
        assert "U takes them again" in card
        await stage.happen(ended("job-8857", NOW))
        assert "draining: 3 jobs left" in stage.of("#drain")
        assert "job-8857" not in stage.of("#drain")
        await stage.happen(ev.DrainCancelled(at=NOW))
        assert not stage.app.board_screen.drain.display


async def test_a_drain_that_ends_the_worker_counts_down_and_cannot_be_taken_back() -> None:
    now = NOW
    async with staged() as stage:
        stage.app.board.clock = lambda: now
        await drain(stage, NOW + 3552)
        assert "draining: 4 jobs left, 59:12 until they are cut" in stage.of("#drain")
        now += 4
        await stage.sees("4 jobs left, 59:08 until they are cut")
        assert "the worker ends after the last job" in stage.of("#drain")
        assert "U" not in stage.offered
        for job in ("job-8857", "job-88a0", "job-own"):
            await stage.happen(ended(job, NOW))
        assert "1 job left, 59:08 until it is cut" in stage.of("#drain")


async def test_of_many_jobs_the_first_are_listed_and_the_rest_are_counted() -> None:
    source = FakeSource(demo_state())
    for n in range(9):
        source.state.apply(ev.JobQueued(at=NOW, id=f"more-{n}", room_id="", metadata={}, own=False))
    async with staged(source) as stage:
        await drain(stage)
        assert "and 8 more" in stage.of("#drain")


async def test_what_is_old_does_not_count_down() -> None:
    async with staged() as stage:
        await drain(stage, NOW + 60)
        stage.source.cut(reachable=False)
        await stage.sees("stale")
        await stage.settle()
        assert not stage.app.board_screen.drain.display
