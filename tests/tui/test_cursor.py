"""The table's rows and its cursor: what is selected stays what it was."""

from tests.tui.demo_state import NOW, ended, job, process
from tests.tui.fakes import FakeSource
from tests.tui.stage import Stage, fresh_state, staged
from workbench.model import events as ev
from workbench.model.state import State


def gone(id: int) -> ev.ProcessExited:
    """The end of a process."""
    return ev.ProcessExited(at=NOW, id=id, exit_code=0, signal=None, why="", unexpected=False)


def three_processes() -> State:
    """Processes 1 to 3; a job runs in each."""
    state = fresh_state(max_processes=4)
    for id in (1, 2, 3):
        for event in [*process(id, 500 + id, 6, NOW), *job(f"job-{id}", id, NOW)]:
            state.apply(event)
    return state


def pids(stage: Stage) -> list[str]:
    """The table's first column, row by row."""
    rows = stage.of("#table").split("\n")[1:]
    return [row[2:9].strip() for row in rows]


async def test_rows_stay_in_place_when_others_go_and_come() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        assert pids(stage) == ["501", "502", "503", ""]
        await stage.happen(ended("job-1", NOW), gone(1))
        assert pids(stage) == ["", "502", "503", ""]
        await stage.happen(*process(9, 509, 6, NOW))
        assert pids(stage) == ["509", "502", "503", ""]


async def test_the_cursor_stays_on_its_process_whatever_happens_above_it() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        await stage.press("j", "j")
        assert stage.table.process.pid == 503
        await stage.happen(ended("job-1", NOW), gone(1), ended("job-2", NOW), gone(2))
        assert stage.table.process.pid == 503
        await stage.happen(*process(8, 508, 6, NOW), *process(9, 509, 6, NOW))
        assert stage.table.process.pid == 503
        assert stage.of("#table").split("\n")[3].startswith("▌ 503")


async def test_the_cursor_follows_its_job_to_new_code() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        await stage.press("j")
        await stage.happen(ev.JobRequeued(at=NOW, id="job-2", reason="reloaded"))
        await stage.happen(*process(7, 507, 7, NOW))
        await stage.happen(
            ev.JobStarting(at=NOW, id="job-2", process_id=7, warm=True),
            ev.JobStarted(at=NOW, id="job-2", attempt=2, start_latency_ms=0.5),
            gone(2),
        )
        assert stage.table.job.id == "job-2"
        assert stage.table.process.pid == 507


async def test_the_cursor_does_not_run_after_a_job_one_has_left() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        await stage.press("j", "k")
        await stage.happen(ev.JobRequeued(at=NOW, id="job-2", reason="reloaded"), *process(7, 507, 7, NOW))
        await stage.happen(ev.JobStarting(at=NOW, id="job-2", process_id=7, warm=True))
        assert stage.table.process.pid == 501


async def test_an_empty_place_tells_how_its_last_job_ended() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        await stage.happen(ended("job-2", NOW, "signalled", signal="SIGKILL"), gone(2))
        await stage.sees("last: failed / signalled SIGKILL")
        await stage.happen(*process(7, 507, 6, NOW), *job("job-new", 7, NOW))
        assert "signalled SIGKILL" not in stage.of("#table")


async def test_g_and_G_go_to_the_ends_and_the_cursor_never_leaves_the_table() -> None:
    async with staged(FakeSource(three_processes())) as stage:
        await stage.press("G", "j", "j")
        assert stage.table.cursor == 3
        await stage.press("g", "k", "k")
        assert stage.table.cursor == 0


async def test_fewer_places_keep_the_cursor_inside() -> None:
    source = FakeSource(fresh_state(max_processes=6))
    async with staged(source) as stage:
        await stage.press("G")
        table = {**source.state.options, "max_processes": {"value": 2, "origin": "set"}}
        await stage.happen(ev.OptionsChanged(at=NOW, options=table))
        assert stage.table.cursor <= 1
        assert len(pids(stage)) == 2


async def test_a_table_longer_than_its_place_scrolls_with_the_cursor() -> None:
    state = fresh_state(max_processes=40)
    for id in range(1, 41):
        for event in process(id, 600 + id, 6, NOW):
            state.apply(event)
    async with staged(FakeSource(state), size=(100, 24)) as stage:
        assert "601" in stage.of("#table")
        await stage.press("G")
        assert "640" in stage.of("#table")
        assert "601" not in stage.of("#table")
        await stage.press("g")
        assert "601" in stage.of("#table")
