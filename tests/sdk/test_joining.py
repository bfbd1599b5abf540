"""A join that gets no answer is given up, though the SDK asks by `requests` in the loop, without a limit."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.agent.sdk import joining
from workbench.agent.sdk.joining import Joining, RoomNotJoined


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Where somebody listens, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def context(connect: Callable[[], Awaitable[Any]], transport: str = "videosdk") -> Any:
    flow = SimpleNamespace(
        root_span_ready=SimpleNamespace(is_set=[], set=lambda: flow.root_span_ready.is_set.append(1))
    )
    return SimpleNamespace(
        connect=connect, notify_meeting_joined=lambda: None,
        metrics_collector=SimpleNamespace(traces_flow_manager=flow),
        room_options=SimpleNamespace(transport_mode=transport, join_meeting=True),
    )  # fmt: skip


async def test_a_service_that_never_answers_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = pytest.importorskip("requests")
    monkeypatch.setattr(joining, "REQUEST_S", (0.2, 0.2))
    before = requests.Session.request

    async def connect() -> None:
        requests.post(f"http://127.0.0.1:{silent_port}/v2/rooms")

    made = context(connect)
    trial = Joining(made, pytest.fail)
    with pytest.raises(requests.exceptions.ReadTimeout):
        await made.connect()
    assert str(trial.error).startswith("the room could not be joined: ReadTimeout: ")
    assert requests.Session.request is before
    assert made.metrics_collector.traces_flow_manager.root_span_ready.is_set  # else its session could not be closed


async def test_a_join_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "JOIN_S", 0.05)
    made = context(lambda: asyncio.sleep(600))
    trial = Joining(made, pytest.fail)
    with pytest.raises(RoomNotJoined, match=r"not within 0\.05 s"):
        await made.connect()
    assert trial.error is not None


async def test_a_join_that_the_sdk_never_speaks_of_is_none_and_a_later_one_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joining, "TOLD_S", 0.05)
    joined: list[bool] = []
    tells: list[Callable[[], None]] = []

    async def connect() -> None:
        for tell in tells:
            tell()

    made = context(connect)
    trial = Joining(made, lambda: joined.append(True))
    with pytest.raises(RoomNotJoined, match="the SDK does not say why"):
        await made.connect()
    assert (trial.error is not None, joined) == (True, [])
    tells.append(made.notify_meeting_joined)
    await made.connect()
    assert (trial.error, joined) == (None, [True])
