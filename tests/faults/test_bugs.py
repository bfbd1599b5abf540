"""Bugs of ours that last: the worker ends for them, whatever they keep from working."""

import asyncio
from typing import Any

import pytest

from tests.defences import defence
from tests.workers import nothing_is_left, until_ready
from workbench.client.client import ClientError
from workbench.model.settings import Layers
from workbench.supervisor import shell

LASTING_BUG = """
from workbench.model.jobs import Jobs
from workbench.supervisor import worker

worker.FORCED_CLOSE_S = 0.0
climb = Jobs.climb

def broken(self, now):
    if self._state.jobs:
        raise LookupError("a lasting bug")
    climb(self, now)

Jobs.climb = broken
"""


@defence(("workbench/supervisor/worker.py", "call_later(FORCED_CLOSE_S + 2.0, self.finish, 1)", "time()"))
async def test_a_bug_that_stands_in_the_way_of_the_end_does_not_keep_the_worker_from_ending(broken_worker: Any) -> None:
    worker = broken_worker(LASTING_BUG, "ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        with pytest.raises(ClientError):
            await client.dispatch(None, {"do": "wait"})
    assert await asyncio.to_thread(worker.ended) == 1
    assert "a bug of ours: the sampler failed: LookupError('a lasting bug')" in worker.output()
    nothing_is_left(worker)


@defence(("workbench/supervisor/shell.py", "call_later(AFTER_A_BUG_S, self._tick)", "call_later(600, self._tick)"))
async def test_the_clock_goes_on_after_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "AFTER_A_BUG_S", 0.01)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(repr(context["exception"])))
    made, calls, again = shell.Shell(Layers().settings()), [], asyncio.Event()

    def tick(now: Any) -> None:
        calls.append(now)
        if len(calls) < 3:
            raise LookupError("a bug")
        again.set()

    monkeypatch.setattr(made.core, "tick", tick)
    asyncio.get_running_loop().call_soon(made._tick)
    async with asyncio.timeout(20):
        await again.wait()
    await asyncio.sleep(0.05)
    made.close()
    assert told == ["LookupError('a bug')"] * 2
    assert len(calls) == 3
