"""A scripted registry, and workers that register at it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.conftest import Worker
from tests.link.scripted import Caller, Scripted

Start = Callable[..., Worker]
TOKEN = "link-test-token"


@pytest.fixture
async def registry() -> AsyncIterator[Scripted]:
    async with Scripted().serving() as scripted:
        yield scripted


@pytest.fixture
def register(start_worker: Start, registry: Scripted) -> Callable[..., Worker]:
    """Start a worker that registers there."""

    def start(*flags: str, url: str = "", wait: bool = True, **environment: str) -> Worker:
        given: dict[str, Any] = {"VIDEOSDK_AUTH_TOKEN": TOKEN, **environment}
        return start_worker(
            "ledger.py", "--register", "--registry-url", url or registry.url, *flags, wait=wait, **given
        )

    return start


async def first(registry: Scripted) -> Caller:
    """The worker's first connection, once it takes jobs."""
    caller = await registry.caller()
    await caller.heard("status_update", status="available")
    return caller
