"""The load pane: fields, a run that fills the result, and an end to it whatever way the screen closes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.tui.demo_state import NOW, ended, job, sampled
from tests.tui.fakes import FakeOwner, FakeSource
from tests.tui.stage import WAIT_S, Stage, fresh_state, staged
from workbench.client.load.plan import Plan
from workbench.model import events as ev
from workbench.tui.board import Board
from workbench.tui.pouring import Pouring


class Taker(FakeSource):
    """A worker that takes `places` jobs, starts them at once, and ends them when asked."""

    def __init__(self, places: int = 100) -> None:
        super().__init__(fresh_state(max_processes=places))
        self.places = places
        self.number = 0

    async def dispatch(self, room_id=None, metadata=None, *, force=False):  # type: ignore[no-untyped-def]
        from workbench.client.client import ClientError

        self.asked.append(("dispatch",))
        if self.number >= self.places:
            raise ClientError("full", 503, {"reason": "full", "message": "all taken"})
        self.number += 1
        id = f"load-{self.number}"
        self.happen(
            ev.ProcessSpawning(at=NOW, id=self.number, generation=6, start_method="zygote"),
            ev.ProcessForked(at=NOW, id=self.number, pid=5000 + self.number),
            ev.ProcessReady(at=NOW, id=self.number, warm_ms=6.8),
            *job(id, self.number, NOW),
        )
        return {"id": id, "room_id": id}

    async def end_job(self, job_id: str) -> None:
        self.asked.append(("end_job", job_id))
        self.happen(ended(job_id, NOW, "cancelled"))


def other_job() -> list[ev.Event]:
    """A job of somebody else, in a process of its own."""
    return [
        ev.ProcessSpawning(at=NOW, id=90, generation=6, start_method="zygote"),
        ev.ProcessForked(at=NOW, id=90, pid=5090),
        ev.ProcessReady(at=NOW, id=90, warm_ms=6.8),
        *job("other", 90, NOW),
    ]


async def fill(stage: Stage, **fields: str) -> None:
    """Type into the fields."""
    for name, text in fields.items():
        stage.app.board_screen.load.form.field(name).value = text
    await stage.settle()


async def over(stage: Stage) -> None:
    await stage.until(lambda: not stage.app.pouring.running and stage.app.board.load_run is not None, "the run is over")
    stage.app._show()
    await stage.settle()


async def test_6_goes_to_the_pane_and_g_pours_as_the_fields_say() -> None:
    async with staged(Taker(places=3)) as stage:
        await stage.press("6")
        await stage.sees("pours these jobs into the worker")
        await fill(stage, jobs="5", rate="1000", hold="10ms")
        await stage.press("g")
        await over(stage)
        result = stage.app.board.load_run.result
        assert (result.accepted, result.refused["full"]) == (3, 2)
        for words in ("3 of 5", "◆ 2 full", "■ 3 cancelled", "100% found a process ready", "p50 0.6ms", "5 of 5"):
            assert words in stage.text(), words
        assert "every accepted job ended well" in stage.of("#load")


async def test_enter_in_a_field_starts_and_esc_leaves_it() -> None:
    async with staged(Taker()) as stage:
        await stage.press("6", "e")
        assert stage.app.focused.id == "load-jobs"
        await stage.press("escape")
        assert stage.app.focused.id == "load-view"
        await fill(stage, rate="1000", hold="1ms")
        await stage.press("e", "backspace", "backspace", "2", "enter")
        assert stage.app.focused.id == "load-view"
        await over(stage)
        assert stage.app.board.load_run.plan == Plan(2, 1000.0, hold_s=0.001)


async def test_keys_that_come_before_the_fields_are_made_are_not_lost() -> None:
    async with staged(Taker()) as stage:
        with stage.app.batch_update():  # nothing is laid out yet: the pane was never shown
            await stage.press_at_once("6", "e", "backspace", "backspace", "7")
        assert stage.app.focused.id == "load-jobs"
        assert stage.app.focused.value == "7"


async def test_what_is_said_and_what_is_left_empty() -> None:
    async with staged(Taker()) as stage:
        await stage.press("6")
        await fill(stage, jobs="", burst="", rate=" ", hold="", say="hello | how are you? |")
        plan = stage.app.board_screen.load.form.plan()
        assert plan == Plan(20, 5.0, hold_s=1.0, say=("hello", "how are you?"))


@pytest.mark.parametrize(
    ("field", "words"), [("jobs", "jobs must be"), ("rate", "rate must be"), ("hold", "hold must")]
)
async def test_a_field_that_cannot_be_is_named_and_has_the_focus(field: str, words: str) -> None:
    async with staged(Taker()) as stage:
        await stage.press("6")
        await fill(stage, **{field: "x"})
        await stage.press("g")
        assert words in stage.of("#load")
        assert stage.app.focused.id == f"load-{field}"
        assert ("dispatch",) not in stage.source.asked
        await stage.press("escape")
        assert words not in stage.of("#load")


async def test_x_stops_it_and_only_one_runs_at_a_time() -> None:
    async with staged(Taker()) as stage:
        await stage.press("6")
        assert "g" in stage.offered
        await fill(stage, jobs="2", rate="1000", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 2, "both are taken")
        await stage.sees("● pouring")
        assert "g" not in stage.offered
        await stage.press("enter", "e", "enter")  # nothing
        assert stage.source.number == 2
        await stage.press("escape", "x")
        await over(stage)
        assert [what for what in stage.source.asked if what[0] == "end_job"] == [
            ("end_job", "load-1"),
            ("end_job", "load-2"),
        ]
        assert "■ stopped" in stage.of("#load")


async def test_the_gauges_move_while_it_runs() -> None:
    async with staged(Taker(places=6), size=(80, 24)) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 1, "it is taken")
        await stage.happen(sampled(NOW))
        run = stage.app.board.load_run
        await stage.until(lambda: run.result.peak_load is not None, "the run has measured")
        stage.app._show()
        await stage.settle()
        assert f"{run.result.peak_load:.2f}" in stage.of("#load")
        assert f"{run.result.peak_load * 100:.0f}%" in stage.of("#gauges")
        await stage.press("x")
        await over(stage)


async def test_quitting_ends_the_run_first() -> None:
    owner = FakeOwner()
    async with staged(Taker(), owner) as stage:
        await stage.press("6")
        await fill(stage, jobs="2", rate="1000", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 2, "both are taken")
        await stage.press("q")
        await stage.until(lambda: "stop" in owner.orders, "the supervisor is told to stop, without a question")
        assert [what[0] for what in stage.source.asked].count("end_job") == 2


async def test_leaving_an_attached_screen_ends_the_run_and_a_second_q_does_not_wait() -> None:
    class Stubborn(Taker):
        async def end_job(self, job_id: str) -> None:
            self.asked.append(("end_job", job_id))

    async with staged(Stubborn()) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 1, "it is taken")
        await stage.press("q")
        await stage.tells("q again does not wait")
        assert not stage.app._exit
        await stage.press("q")
        assert (await stage.left()).reason == "detached"
        assert ("end_job", "load-1") in stage.source.asked


async def test_a_screen_that_is_ended_by_a_signal_asks_the_jobs_to_end() -> None:
    async with staged(Taker()) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 1, "it is taken")
        stage.app._signalled(15)
        await stage.left()
    assert ("end_job", "load-1") in stage.source.asked


async def test_the_screen_waits_until_the_jobs_are_asked_to_end() -> None:
    class Slow(Taker):
        def __init__(self) -> None:
            super().__init__()
            self.answered: list[str] = []

        async def end_job(self, job_id: str) -> None:
            await asyncio.sleep(0.2)
            self.answered.append(job_id)
            await super().end_job(job_id)

    async with staged(Slow()) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 1, "it is taken")
        stage.app._signalled(15)
        await stage.left()
    assert stage.source.answered == ["load-1"]  # what the loop cancels when the app is gone would not have been


async def test_a_quit_that_waited_for_one_load_is_no_quit_after_the_next() -> None:
    state = Taker()
    owner = FakeOwner()
    state.happen(*other_job())
    async with staged(state, owner) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        for _ in range(2):
            before = stage.source.number
            await stage.press("g")
            await stage.until(lambda before=before: stage.source.number == before + 1, "it is taken")
            await stage.press("q")
            await stage.sees("What becomes of the worker?")  # once the jobs have ended; the second q waits as well
            assert not stage.app.pouring.running
            await stage.press("escape")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 3, "it is taken")
        await stage.press("x")
        await over(stage)
        assert "What becomes of the worker?" not in stage.text()
        assert not stage.app._exit
        assert owner.orders == []


async def test_who_stays_is_not_thrown_out_when_the_load_ends() -> None:
    class Late(Taker):
        async def end_job(self, job_id: str) -> None:
            self.asked.append(("end_job", job_id))

    owner = FakeOwner()
    source = Late()
    source.happen(*other_job())
    async with staged(source, owner) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: source.number == 1, "it is taken")
        await stage.press("q", "q")
        await stage.sees("What becomes of the worker?")
        await stage.press("escape")
        await stage.happen(ended("other", NOW), ended("load-1", NOW, "cancelled"))
        await over(stage)
        assert owner.orders == []
        assert not stage.app._exit


async def test_a_quit_that_waited_comes_also_when_the_load_broke_and_not_when_the_screen_closes() -> None:
    class Broken(FakeSource):
        @asynccontextmanager
        async def connect(self) -> AsyncIterator[FakeSource]:
            self.connected += 1
            await tried.wait()
            raise LookupError("a bug")
            yield self

    quits: list[int] = []
    for number in (1, 2):
        tried = asyncio.Event()
        source = Broken()
        pouring = Pouring(source, Board(lambda: NOW), print)
        task = asyncio.create_task(pouring.pour(Plan(1, 1.0)))
        while not source.connected:
            await asyncio.sleep(0)
        assert pouring.ends_before(lambda number=number: quits.append(number))
        if number == 1:
            tried.set()
        else:
            task.cancel()
        await asyncio.wait([task])
    assert quits == [1]


async def test_a_load_that_is_stopped_before_it_is_connected_hands_no_job_in() -> None:
    class Late(Taker):
        @asynccontextmanager
        async def connect(self) -> AsyncIterator[FakeSource]:
            await connected.wait()
            yield self

    source, connected = Late(), asyncio.Event()
    pouring = Pouring(source, Board(lambda: NOW), print)
    task = asyncio.create_task(pouring.pour(Plan(1, 1.0)))
    while not pouring.running:
        await asyncio.sleep(0)
    pouring.stop()
    connected.set()
    await asyncio.wait_for(task, WAIT_S)
    assert source.asked == []


async def test_a_worker_that_is_gone_ends_the_run_with_its_reason() -> None:
    async with staged(Taker()) as stage:
        await stage.press("6")
        await fill(stage, jobs="1", hold="1h")
        await stage.press("g")
        await stage.until(lambda: stage.source.number == 1, "it is taken")
        stage.source.cut(reachable=False)
        await over(stage)
        assert "the worker is gone" in stage.of("#load")
