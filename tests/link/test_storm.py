"""Many links in one process, over real sockets: what a registry lives through that was restarted."""

import asyncio
import random
import time
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
from workbench.model import events as ev
from workbench.model.mask import Mask
from workbench.model.options import Options
from workbench.model.state import State

LINK = "workbench/backend/link.py"
MANY = 100
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
        self.told: list[Any] = []

    def publish(self, event: Any) -> None:
        """What the link tells."""
        self.told.append(event)

    def release_all(self, why: str) -> None:
        """It keeps no slot."""


def many(url: str) -> list[Link]:
    def link(number: int) -> Link:
        quiet: Any = Quiet()
        return Link(quiet, lambda: Registry(url, None, False), pytest.fail, Retry(random.Random(number)))

    return [link(number) for number in range(MANY)]


def waits(links: list[Link]) -> list[list[ev.LinkChanged]]:
    """Of each link, the waits before it was registered again."""
    quiets: list[Any] = [link._supervisor for link in links]
    return [[news for news in quiet.told if news.state == "waiting"] for quiet in quiets]


@pytest.mark.timeout(120)
@defence(("workbench/backend/retry.py", "self._rng.uniform(0, longest)", "longest"))
@defence(("workbench/backend/retry.py", "FIRST_S = 5.0", "FIRST_S = 0.5"))
@defence(
    ("workbench/backend/link.py", "await _within(delay_s, self._wake.wait())", "await _within(0.0, self._wake.wait())")
)
async def test_fault_J5_a_hundred_workers_come_back_spread_out_when_a_registry_was_restarted() -> None:
    port = free_port()
    links = many(f"ws://127.0.0.1:{port}")
    try:
        async with Scripted().serving(port) as registry:
            for link in links:
                link.connect()
            await registry.caller(MANY)
        async with Scripted().serving(port) as registry:
            await registry.caller(MANY)
            came, waited = sorted(registry.times), waits(links)
            since_epoch_s = time.time() - asyncio.get_running_loop().time()
    finally:
        for link in links:
            link.disconnect()
        await asyncio.gather(*(link.close() for link in links))
    # By what they meant to do and not by when they got around to it: this process may have half a processor.
    bins = Counter(int((told[0].retry_at or 0.0) - told[0].at) for told in waited)
    assert max(bins.values()) <= 1.5 * MANY / SPREAD_S, bins
    # And none came before it meant to.
    meant = sorted((told[-1].retry_at or 0.0) - since_epoch_s for told in waited)
    assert all(at > wanted - 0.1 for at, wanted in zip(came, meant, strict=True))
