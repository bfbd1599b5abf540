"""Links whose tries are used up: one last try when the worker leaves, which costs no time when it fails."""

import asyncio
import random
from typing import Any

import pytest

from tests.conftest import WAIT_S
from tests.defences import defence
from tests.link.scripted import Scripted
from tests.link.test_storm import Quiet
from tests.workers import free_port
from workbench.backend import link as link_module
from workbench.backend.dial import Registry
from workbench.backend.link import Link
from workbench.backend.retry import Retry
from workbench.model.options import Options

HERE = "workbench/backend/link.py"
pytestmark = pytest.mark.timeout(120)


async def spent(port: int) -> Link:
    """A link that gave up, with something left to be told."""
    quiet: Any = Quiet()
    quiet.settings.options = Options(agent_id="one", max_retry=1)
    gave_up = asyncio.Event()
    registry = Registry(f"ws://127.0.0.1:{port}", None, False)
    made = Link(quiet, lambda: registry, lambda refused: gave_up.set(), Retry(random.Random(1)))
    made._outbox.put('{"type": "job_update"}')
    made._told.clear()
    made.connect()
    async with asyncio.timeout(WAIT_S):
        await gave_up.wait()
    return made


@defence((HERE, "asyncio.wait([told, self._task], return_when=asyncio.FIRST_COMPLETED)", "told"))
async def test_a_last_try_that_fails_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LAST_WORDS_S", 1000.0)
    link = await spent(free_port())
    async with asyncio.timeout(WAIT_S):
        await link.close()


@defence((HERE, "if self._spent and self._outbox:", "if False:"))
async def test_a_registry_that_is_back_by_then_hears_what_was_left() -> None:
    port = free_port()
    link = await spent(port)
    async with Scripted().serving(port) as registry:
        closing = asyncio.ensure_future(link.close())
        caller = await registry.caller(1)
        await caller.heard("job_update")
        await closing


@defence((HERE, "        self._spent = False  # it is left on purpose", "        pass  # it is left on purpose"))
async def test_a_registry_that_was_left_on_purpose_is_not_called_again() -> None:
    port = free_port()
    link = await spent(port)
    link.disconnect()
    async with Scripted().serving(port) as registry:
        await link.close()
        assert registry.callers == []
