"""Pictures of the app, compared with the committed ones; `--snapshot-update` makes them again."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import pytest
from textual._context import message_hook
from textual.pilot import Pilot

from tests.tui.demo_state import OWN_ROOM, chat, demo_state, log_lines
from tests.tui.fakes import FakeOwner, FakeRoom, FakeSource
from tests.tui.stage import Stage, make_app
from workbench.tui.feed import Feed
from workbench.tui.preferences import Preferences

Act = Callable[[Stage], Awaitable[Any]]
Picture = Callable[..., None]
StageT = TypeVar("StageT", bound=Stage)


class Look(NamedTuple):
    """How large the terminal is, and whether it shows colours."""

    columns: int
    rows: int
    colours: bool = True


SMALL, MIDDLE, LARGE = Look(80, 24), Look(120, 40), Look(200, 60)
SIZES = pytest.mark.parametrize("look", [SMALL, MIDDLE, LARGE], ids="{0.columns}x{0.rows}".format)
LOOKS = pytest.mark.parametrize(
    "look", [SMALL, MIDDLE, LARGE, Look(80, 24, False)], ids=["80x24", "120x40", "200x60", "mono"]
)


@pytest.fixture
def picture(snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> Picture:
    """Run the app over a source, act on it and compare what it looks like then."""
    # The next try to connect is never so far away that a picture would depend on the moment.
    monkeypatch.setattr(Feed, "LONGEST_RETRY_S", Feed.FIRST_RETRY_S)

    def compare(
        look: Look,
        source: FakeSource,
        act: Act,
        connected: bool = True,
        preferences: Preferences | None = None,
    ) -> None:
        owner = FakeOwner()

        def make() -> Stage:
            return Stage(make_app(source, owner, history=bool(source.rooms), preferences=preferences), source, owner)

        async def before(stage: Stage, pilot: Pilot[Any]) -> None:
            await stage.begin(pilot, connected)
            await act(stage)
            await stage.settle()

        take(snap_compare, look, make, before)

    return compare


def take(
    snap_compare: Callable[..., bool],
    look: Look,
    make: Callable[[], StageT],
    before: Callable[[StageT, Pilot[Any]], Awaitable[None]],
) -> None:
    """Make an app, run it until `before` is through, and compare what it looks like then."""
    with pytest.MonkeyPatch.context() as patch:
        if not look.colours:
            patch.setenv("NO_COLOR", "1")
        stage = make()
        token = message_hook.set(stage.heard)
        try:
            assert snap_compare(stage.app, terminal_size=look[:2], run_before=lambda pilot: before(stage, pilot))
        finally:
            message_hook.reset(token)


def rich() -> FakeSource:
    """A worker with everything going on, its logs, and a conversation with its own job."""
    source = FakeSource(demo_state(), log_lines())
    source.rooms[OWN_ROOM] = FakeRoom(chat())
    return source


async def talking(stage: Stage) -> None:
    """Until everything of the conversation and the logs is there."""
    await stage.until(lambda: len(stage.talk.view.transcript.entries) == len(chat()), "the conversation")
    await stage.until(lambda: len(stage.logs.store) == 120, "the logs")
