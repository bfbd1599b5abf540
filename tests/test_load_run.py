"""A load run against a worker that refuses, keeps silent, or is left in the middle of something."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import WAIT_S
from tests.tui.demo_state import NOW, ended, job
from tests.tui.fakes import FakeRoom
from tests.tui.stage import fresh_state
from workbench.client.client import ClientError, Frame
from workbench.client.load import parts
from workbench.client.load import run as load_run
from workbench.client.load.plan import Plan
from workbench.client.load.run import LoadRun
from workbench.model import events as ev


class Target:
    """Takes jobs once `taking` is set, the first `free` at once; answers orders to end with `answers`, then well."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.state = fresh_state(max_processes=100)
        self.taking, self.sent, self.ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.taking.set()
        self.asked: list[str] = []
        self.number = self.free = 0
        self.news: asyncio.Queue[ev.Event | None] = asyncio.Queue()
        self.reachable = True

    async def frames(self, log_tail: int = 0) -> AsyncIterator[Frame]:
        if not self.reachable:
            raise ClientError("nobody listens")
        yield Frame(self.state, snapshot=True)
        while (event := await self.news.get()) is not None:
            self.state.apply(event)
            yield Frame(self.state, event=event)

    async def dispatch(
        self, room_id: str | None = None, metadata: dict[str, Any] | None = None, *, force: bool = False
    ) -> dict[str, Any]:
        self.sent.set()
        if self.number >= self.free:
            await self.taking.wait()
        self.number += 1
        id, process = f"load-{self.number}", self.number
        for event in (
            ev.ProcessSpawning(at=NOW, id=process, generation=6, start_method="zygote"),
            ev.ProcessForked(at=NOW, id=process, pid=5000 + process),
            ev.ProcessReady(at=NOW, id=process, warm_ms=6.8),
            *job(id, process, NOW),
        ):
            self.news.put_nowait(event)
        return {"id": id, "room_id": id}

    async def end_job(self, job_id: str) -> None:
        self.asked.append(job_id)
        self.ending.set()
        status = self.answers.pop(0) if self.answers else 202
        if status == -1:
            await asyncio.get_running_loop().create_future()
        if status != 202:
            raise ClientError("refused", status)
        self.news.put_nowait(ended(job_id, NOW, "cancelled"))

    @asynccontextmanager
    async def room(self, room_id: str) -> AsyncIterator[FakeRoom]:
        yield FakeRoom([])


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "END_AGAIN_S", 0.02)
    monkeypatch.setattr(load_run, "STREAM_AGAIN_S", 0.01)
    monkeypatch.setattr(load_run, "LAST_WORDS_S", 0.3)


async def whole(run: LoadRun) -> None:
    async with asyncio.timeout(WAIT_S / 2):
        await run.run()


async def cut_off(running: "asyncio.Task[object]") -> None:
    running.cancel()
    await asyncio.wait([running], timeout=WAIT_S)
    assert running.cancelled()


async def test_a_job_whose_end_was_not_answered_is_asked_again() -> None:
    target = Target(0, 500)
    run = LoadRun(target, Plan(1, 1000.0, hold_s=0))
    await whole(run)
    assert target.asked == ["load-1"] * 3
    assert run.result.ended == {("cancelled", "cancelled"): 1}
    assert (run.result.lost, run.result.good) == (0, True)


async def test_a_job_that_cannot_be_asked_to_end_is_lost_and_the_run_ends() -> None:
    target = Target(*[0] * 50)
    run = LoadRun(target, Plan(1, 1000.0, hold_s=0))
    await whole(run)
    assert target.asked == ["load-1"] * parts.END_TRIES
    assert (run.result.lost, run.result.running, run.result.good) == (1, 0, False)


async def test_a_job_that_the_worker_has_forgotten_is_lost_at_once() -> None:
    target = Target(404)
    run = LoadRun(target, Plan(1, 1000.0, hold_s=0))
    await whole(run)
    assert (target.asked, run.result.lost) == (["load-1"], 1)


async def test_the_pause_before_asking_again_ends_with_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "END_AGAIN_S", 2 * WAIT_S)
    target = Target(0)
    running = asyncio.create_task(whole(LoadRun(target, Plan(1, 1000.0, hold_s=0))))
    await target.ending.wait()
    target.news.put_nowait(ended("load-1", NOW, "cancelled"))
    await running
    assert target.asked == ["load-1"]


async def test_a_job_that_is_taken_when_nothing_is_heard_any_more_is_lost_at_once_and_asked_to_end() -> None:
    target = Target()
    target.taking.clear()
    run = LoadRun(target, Plan(1, 1000.0, hold_s=60))
    running = asyncio.create_task(whole(run))
    await target.sent.wait()
    target.reachable = False
    target.news.put_nowait(None)
    while not run.stopping:
        await asyncio.sleep(0.01)
    target.taking.set()
    await running
    assert (run.result.accepted, run.result.lost, run.result.running) == (1, 1, 0)
    assert run.result.trouble == "the worker is gone: nobody listens"
    assert target.asked == ["load-1"]


@pytest.mark.parametrize("at_once", [True, False])
async def test_whatever_ends_the_news_ends_the_run_with_its_words(at_once: bool) -> None:
    target = Target()

    async def frames(log_tail: int = 0) -> AsyncIterator[Frame]:
        if not at_once:
            yield Frame(target.state, snapshot=True)
            await target.sent.wait()
        raise LookupError("no such thing")

    target.frames = frames  # type: ignore[method-assign]
    run = LoadRun(target, Plan(1, 1000.0, hold_s=60))
    await whole(run)
    assert "LookupError('no such thing')" in run.result.trouble
    assert run.result.lost == run.result.accepted == (0 if at_once else 1)
    assert target.asked == ([] if at_once else ["load-1"])


async def test_a_job_that_is_taken_while_the_run_is_cut_off_is_asked_to_end() -> None:
    target = Target()
    target.taking.clear()
    run = LoadRun(target, Plan(2, 1000.0, burst=2, hold_s=60))
    running = asyncio.create_task(run.run())
    await target.sent.wait()
    asyncio.get_running_loop().call_later(0.05, target.taking.set)
    await cut_off(running)
    assert sorted(target.asked) == ["load-1", "load-2"]
    assert (run.result.accepted, run.result.running) == (2, 0)


async def test_an_order_to_end_that_was_cut_off_is_given_again() -> None:
    target = Target(-1)
    run = LoadRun(target, Plan(1, 1000.0, hold_s=0))
    running = asyncio.create_task(run.run())
    await target.ending.wait()
    await cut_off(running)
    assert target.asked == ["load-1"] * 2


async def test_last_words_are_bounded_leave_no_task_and_complain_of_nothing() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    before = asyncio.all_tasks()
    for answers, twice in (([-1] * 9, False), ([0] * 99, False), ([-1] * 9, True)):
        target = Target(*answers)
        target.free = 2
        target.taking.clear()
        run = LoadRun(target, Plan(3, 1000.0, burst=2, hold_s=60))
        running = asyncio.create_task(run.run())
        while run.result.handed_in < 3:
            await asyncio.sleep(0.01)
        if twice:
            running.cancel()
            await target.ending.wait()
        await cut_off(running)
        assert (run.result.accepted, run.result.lost, run.result.running) == (2, 2, 0)
        assert asyncio.all_tasks() == before
        del running, run, target
    import gc

    gc.collect()
    await asyncio.sleep(0)
    assert not complaints


async def test_an_error_of_ours_ends_the_run_and_what_it_started() -> None:
    target = Target()
    run = LoadRun(target, Plan(2, 1000.0, hold_s=60))
    dispatch = target.dispatch

    async def second_breaks(*what: Any, **how: Any) -> dict[str, Any]:
        if target.number:
            raise LookupError("a bug")
        return await dispatch(*what, **how)

    target.dispatch = second_breaks  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup):
        await whole(run)
    assert target.asked == ["load-1"]
