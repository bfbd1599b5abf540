"""What stands in a pane that has nothing to show yet: what it is for, and the key that makes it so."""

import pytest

from tests.tui.demo_state import NOW, demo_state, process
from tests.tui.fakes import FakeSource
from tests.tui.stage import fresh_state, staged


@pytest.mark.parametrize(("digit", "pane", "words", "key"), [
    ("2", "#logs", "no output yet", "what the agent prints and logs appears here"),
    ("3", "#talk", "no job is running", "n starts one, and here you talk to it"),
    ("4", "#events", "nothing has happened yet", "n starts a job"),
    ("6", "#load", "what became of the jobs", "g pours these jobs"),
])  # fmt: skip
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids="{0[0]}x{0[1]}".format)
async def test_an_empty_pane_says_what_it_is_for(
    size: tuple[int, int], digit: str, pane: str, words: str, key: str
) -> None:
    async with staged(FakeSource(fresh_state()), size=size) as stage:
        stage.app.board.notes.clear()
        await stage.press(digit)
        stage.app._show()
        await stage.settle()
        text = " ".join(stage.of(pane).split())
        assert words in text
        assert key in text


async def test_a_ready_process_says_how_it_gets_a_job_until_there_is_one() -> None:
    state = fresh_state()
    for event in process(1, 4001, 6, NOW):
        state.apply(event)
    async with staged(FakeSource(state), size=(80, 24)) as stage:
        assert "n starts a job" in stage.of("#table")
    async with staged(FakeSource(demo_state()), size=(80, 24)) as stage:
        assert "n starts a job" not in stage.of("#table")
