"""Options of a running worker: changed for good, for a time, and taken back; by what it does then."""

import asyncio
import time
from typing import Any

import pytest

from tests.conftest import WAIT_S, Worker
from tests.defences import defence
from tests.workers import begin, log_lines, run, until, until_ended, until_ready
from workbench.client.client import Client, ClientError
from workbench.tui.board import Board
from workbench.tui.messages import TuneWanted
from workbench.tui.tuner import Tuner

AGENT = "defects.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


async def refused(client: Client) -> str:
    with pytest.raises(ClientError) as refusal:
        await client.dispatch(None, {"do": "wait"})
    return str(refusal.value.body["reason"])


async def told(client: Client) -> list[str]:
    """What the log says of options."""
    return [line.text for line in await log_lines(client) if "options " in line.text or "live " in line.text]


async def values(client: Client, *names: str) -> list[Any]:
    table = await client.options()
    return [table[name]["value"] for name in names]


@defence(("workbench/supervisor/live.py", "self._timer = asyncio.get_running_loop().call_later(", "_ = ("))
async def test_a_change_for_a_time_has_its_effect_and_then_no_more(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "wait")
        before = (await client.options())["max_processes"]
        changed = (await client.set_options({"max_processes": 1}, 1.5))["max_processes"]
        assert 0 < changed["revert_at"] - time.time() <= 1.5
        assert await refused(client) == "full"
        assert (changed["value"], changed["origin"], changed["below"]) == (
            1, "live", {"value": 2, "origin": "--max-processes"},
        )  # fmt: skip
        back = await until(client, lambda state: state.option("max_processes") == 2 and state.options["max_processes"])
        assert back == before
        assert "revert_at" not in back
        await begin(client, worker, "wait")
        assert len([e for e in worker.entries() if e["what"] == "start"]) == 2
        assert await told(client) == [
            "options changed live for 1.5s: max_processes 2 -> 1 (live)",
            "options back, the time is over: max_processes 1 -> 2 (--max-processes)",
        ]


async def test_a_change_that_follows_another_is_told_with_it_and_goes_with_it(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"memory_limit_mb": 100}, 1)
        assert await values(client, "memory_limit_mb", "memory_warn_mb") == [100, 80]
        await until(client, lambda state: state.option("memory_limit_mb") == 0)
        assert await values(client, "memory_warn_mb") == [500]
        first, second = await told(client)
    assert "memory_warn_mb 500 -> 80 (derived: 80 % of memory_limit_mb)" in first
    assert "memory_limit_mb 100 -> 0 (default)" in second


@defence(("workbench/supervisor/live.py", "if name not in given}\n        if for_s", "if True}\n        if for_s"))
async def test_a_newer_change_of_the_same_option_takes_the_place_of_the_timer(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 2, "job_timeout": 7}, 0.5)
        await client.set_options({"max_processes": 3})
        await client.set_options({"job_timeout": 8}, 1.2)
        await client.set_options({"drain_timeout": 9, "close_timeout": 5}, 0.9)
        await until(client, lambda state: state.option("drain_timeout") == 3600)  # later than the first would have been
        assert await values(client, "max_processes", "job_timeout", "close_timeout") == [3, 8, 60]
        await until(client, lambda state: state.option("job_timeout") == 0)
        table = await client.options()
    assert (table["max_processes"]["value"], table["max_processes"]["revert_at"]) == (3, None)


@defence(("workbench/supervisor/live.py", "                return fewer, settings", "                raise error"))
async def test_a_change_for_a_time_falls_back_to_the_live_value_before_it(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 3})
        await client.set_options({"max_processes": 4}, 60.0)
        changed = (await client.set_options({"max_processes": 2}, 0.5))["max_processes"]
        assert changed["below"] == {"value": 3, "origin": "live"}
        back = await until(client, lambda state: state.option("max_processes") == 3 and state.options["max_processes"])
        assert (back["origin"], back["revert_at"], back["below"]["value"]) == ("live", None, 5)
        await client.take_back_options(["max_processes"])
        assert await values(client, "max_processes") == [5]


async def test_an_undo_of_two_options_that_hold_only_together(start_worker: Any) -> None:
    """As the tuning pane asks for it: what was live before cannot be set while the other one stands."""
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 3})
        board = Board(time.time)
        async for frame in client.frames():
            board.take(frame)
            break
        tuner = Tuner(board, lambda: client, lambda: True, print, lambda _: None, lambda: None)
        board.tuning.pending = {"max_processes": 10, "num_idle_processes": 8}
        await tuner.do(TuneWanted("apply"))
        assert await values(client, "max_processes", "num_idle_processes") == [10, 8]
        async for frame in client.frames():
            board.take(frame)
            break
        await tuner.do(TuneWanted("undo"))
        assert await values(client, "max_processes", "num_idle_processes") == [3, 1]


async def test_what_depends_on_a_change_whose_time_is_over_goes_with_it(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 6}, 1)
        await client.set_options({"num_idle_processes": 5, "job_timeout": 60})
        await until(client, lambda state: len(state.live("idle")) == 5)
        await until(client, lambda state: state.option("max_processes") == 3)
        await until(client, lambda state: len(state.processes) == len(state.live("idle")) == 1)
        assert await values(client, "num_idle_processes", "job_timeout") == [1, 60]
        lines = await told(client)
    assert any(line.startswith("the live change of num_idle_processes is taken back, too: ") for line in lines)
    assert lines[-1] == (
        "options back, the time is over: max_processes 6 -> 3 (--max-processes), num_idle_processes 5 -> 1 (default)"
    )


async def test_live_changes_are_taken_back_all_or_none(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 6, "num_idle_processes": 5}, 600)
        for names, status, words in (
            (["max_processes"], 400, "num_idle_processes"),  # without it, 5 would be of 2
            (["num_idle_processes", "job_timeout"], 404, "no live change of job_timeout"),
            (["num_idle_processes", "max_proceses"], 404, "did you mean 'max_processes'"),
            (["port"], 404, "no live change of port"),
            (["a/b\n"], 404, "no such option"),
        ):
            with pytest.raises(ClientError, match=words) as refusal:
                await client.take_back_options(names)
            assert refusal.value.status == status
        assert await values(client, "max_processes", "num_idle_processes") == [6, 5]
        table = await client.take_back_options(["max_processes", "num_idle_processes"])
        assert [table[name]["origin"] for name in ("max_processes", "num_idle_processes")] == [
            "--max-processes", "default",
        ]  # fmt: skip
        await until(client, lambda state: len(state.processes) == len(state.live("idle")) == 1)
        await begin(client, worker, "wait")
        await begin(client, worker, "wait")
        assert await refused(client) == "full"
        assert "options taken back: max_processes 6 -> 2 (--max-processes), num_idle" in (await told(client))[-1]


async def test_a_time_that_cannot_be_changes_nothing(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        for given in ("0", "-1", "nan", "inf", "x", "86401", "1e400", ""):
            with pytest.raises(ClientError, match="for_s must be a number") as refusal:
                await client.request("PATCH", f"/options?for_s={given}", {"max_processes": 2})
            assert refusal.value.status == 400, given
            assert await values(client, "max_processes") == [5], given
        await client.set_options({"max_processes": 2}, 86_400)
        assert await values(client, "max_processes") == [2]


async def test_what_a_screen_that_died_has_changed_for_a_time_falls_back_all_the_same(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "wait")
    async with worker.client() as gone:
        await gone.set_options({"max_processes": 1}, 1)
    async with worker.client() as client:
        await until(client, lambda state: state.option("max_processes") == 2)
        await begin(client, worker, "wait")


@pytest.mark.parametrize("how", ["signal", "drain"])
async def test_a_worker_that_ends_waits_for_no_change_and_leaves_no_timer(start_worker: Any, how: str) -> None:
    worker: Worker = start_worker(AGENT, PYTHONASYNCIODEBUG="1", PYTHONWARNINGS="default")
    async with worker.client() as client:
        await until_ready(client)
        await client.set_options({"max_processes": 2}, 600)
        await client.set_options({"job_timeout": 5}, 0.5)
        if how == "drain":
            await client.drain()
            await until(client, lambda state: state.option("job_timeout") == 0)  # the clock goes on in a drain
    worker.process.terminate()
    assert await asyncio.to_thread(worker.ended) == 0
    for word in ("never awaited", "was destroyed", "bug of ours", "Traceback"):
        assert word not in worker.output()


# --- every option that changes live, changed live -----------------------------------------------------


@defence(
    (
        "workbench/supervisor/watchdog.py",
        "if now < self._pinged_at + self._shell.settings.options.ping_interval:",
        "if now < self._pinged_at + 30.0:",
    )
)
async def test_ping_interval_holds_for_the_ping_that_is_due_next(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await until(client, lambda state: any(p.memory_mb is not None for p in state.live("idle")))  # the first is sent
        await client.set_options({"ping_interval": 0.2, "ping_timeout": 0.7})
        async with asyncio.timeout(WAIT_S / 3):  # 30 s later the next one would have been
            job = await run(client, "deaf")
    assert (job["reason"], "a ping was not answered" in job["error"]) == ("hung", True)


async def test_ping_timeout_and_memory_limit_hold_for_a_job_that_runs(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        stands = await begin(client, worker, "stand still", "standing")
        await client.set_options({"ping_timeout": 0.6})
        assert (await until_ended(client, stands["job"]))["reason"] == "hung"
        await client.set_options({"ping_timeout": 30})  # the next is busy for a while
        holds = await begin(client, worker, "hold", "holding", mb=120)
        await client.set_options({"memory_limit_mb": 60})
        assert (await until_ended(client, holds["job"]))["reason"] == "oom_limit"


async def test_job_timeout_and_close_timeout_hold_for_a_job_that_runs(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        ticks = await begin(client, worker, "tick", "tick")
        await client.set_options({"close_timeout": 0.3})
        await client.set_options({"job_timeout": 0.2})
        job = await until_ended(client, ticks["job"])
    assert (job["reason"], job["signal"]) == ("timeout", "SIGKILL")


@defence(
    (
        "workbench/model/core.py",
        "        self.closing.drain_may_take(options.drain_timeout - before.drain_timeout, now)\n",
        "",
    )
)
@pytest.mark.parametrize(("at_first", "then", "code"), [(600, 0.3, 7), (1, 600, 0)])
async def test_drain_timeout_holds_for_a_drain_that_has_begun(
    start_worker: Any, at_first: float, then: float, code: int
) -> None:
    worker = start_worker(AGENT, "--drain-timeout", str(at_first), "--close-timeout", "0.2")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "sleep", s=2.5 if code == 0 else 600)
        worker.process.terminate()
        first = await until(client, lambda state: state.worker.drain_deadline_at)
        await client.set_options({"drain_timeout": then})
        moved = await until(
            client, lambda state: state.worker.drain_deadline_at != first and state.worker.drain_deadline_at
        )
        assert abs(moved - first - (then - at_first)) < 1
    assert await asyncio.to_thread(worker.ended) == code


async def test_how_many_processes_wait_and_how_many_jobs_they_run_holds_from_the_next_job_on(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "3", "--num-idle-processes", "0")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.status == "ready" and not state.processes)
        await client.set_options({"num_idle_processes": 2})
        await until(client, lambda state: len(state.live("idle")) == 2)
        await client.set_options({"num_idle_processes": 1, "max_processes": 1, "max_jobs_per_process": 2})
        for _ in range(3):
            await until(client, lambda state: len(state.processes) == len(state.live("idle")) == 1)
            await run(client, "return")
        first, second, third = [entry["pid"] for entry in worker.entries() if entry["what"] == "start"]
    assert first == second != third
