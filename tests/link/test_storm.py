"""Many links in one process, over real sockets: what a registry lives through that was restarted."""

import asyncio
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.defences import defence
from tests.link.scripted import Scripted
from tests.workers import free_port
from workbench.backend.dial import Registry
from workbench.backend.link import Link
from workbench.backend.retry import Retry
from workbench.model.mask import Mask
from workbench.model.options import Options
from workbench.model.state import State

MANY = 250  # of so many the even rate of 50 a second is passed by half once in ten thousand runs, by chance
SPREAD_S = 5.0


class Quiet:
    """As much of a worker as a link sees of one that has no jobs."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(options=Options(agent_id="many", max_retry=0))
        self.state = State()
        self.state.worker.status = "ready"
        self.logs = SimpleNamespace(mask=Mask(), note=lambda level, text: None)
        self.listeners: list[Any] = []
        self.bugs = SimpleNamespace(fatal=pytest.fail)

    def publish(self, event: Any) -> None:
        """Nobody reads it."""

    def release_all(self, why: str) -> None:
        """It keeps no slot."""


def many(url: str) -> list[Link]:
    def link(number: int) -> Link:
        quiet: Any = Quiet()
        return Link(quiet, lambda: Registry(url, None, False), pytest.fail, Retry(random.Random(number)))

    return [link(number) for number in range(MANY)]


@pytest.mark.timeout(120)
@defence(("workbench/backend/retry.py", "self._rng.uniform(0, longest)", "longest"))
@defence(("workbench/backend/retry.py", "FIRST_S = 5.0", "FIRST_S = 0.5"))
async def test_fault_J5_hundreds_of_workers_come_back_spread_out_when_a_registry_was_restarted() -> None:
    port = free_port()
    links = many(f"ws://127.0.0.1:{port}")
    try:
        async with Scripted().serving(port) as registry:
            for link in links:
                link.connect()
            await registry.caller(MANY)
        async with Scripted().serving(port) as registry:
            await registry.caller(MANY)
            begin, bins = registry.times[0], Counter[int]()
            for at in registry.times:
                bins[int(at - begin)] += 1
    finally:
        for link in links:
            link.disconnect()
        await asyncio.gather(*(link.close() for link in links))
    even = MANY / SPREAD_S
    assert max(bins.values()) <= 1.5 * even, bins
