"""Pictures of the screen over a registry."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.fakes import NOW
from tests.tui.pictures import LOOKS, Look, Picture, take
from tests.tui.registry_fakes import FakeRegistry, RegistryStage, busy_world, make_registry_app
from workbench.tui.registry.feed import RegistryFeed


@pytest.fixture
def picture(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> Picture:
    """Run the app over a busy registry, act on it and compare what it looks like then."""
    monkeypatch.setattr(RegistryFeed, "LONGEST_RETRY_S", RegistryFeed.FIRST_RETRY_S)  # no countdown

    def make() -> RegistryStage:
        source = FakeRegistry(busy_world())
        stage = RegistryStage(make_registry_app(source), source, None)  # type: ignore[arg-type]
        board = stage.app.board
        board.slots_trend.extend(n % 11 / 11 for n in range(90))
        board.rate_trend.extend(n % 7 / 2 for n in range(90))
        board._kept_at = NOW  # nothing is added meanwhile
        return stage

    def compare(look: Look, act: Callable[[RegistryStage], Awaitable[Any]] | None = None) -> None:
        async def before(stage: RegistryStage, pilot: Pilot[Any]) -> None:
            await stage.begin(pilot)
            if act is not None:
                await act(stage)
            stage.app._show()
            await stage.settle()

        take(snap_compare, look, make, before)

    return compare


@LOOKS
def test_the_registry(picture: Picture, look: Look) -> None:
    picture(look)


def test_the_registry_on_few_rows(picture: Picture) -> None:
    picture(Look(50, 12))


@LOOKS
def test_the_registry_is_lost(picture: Picture, look: Look) -> None:
    async def cut(stage: RegistryStage) -> None:
        stage.source.cut(reachable=False)
        await stage.until(lambda: stage.app.board.stale_why == "nobody listens", "it is lost for good")

    picture(look, cut)


@LOOKS
def test_a_job_of_the_registry(picture: Picture, look: Look) -> None:
    async def open_it(stage: RegistryStage) -> None:
        await stage.press("2", *["j"] * 6, "enter")
        await stage.sees("ValueError: boom")

    picture(look, open_it)
