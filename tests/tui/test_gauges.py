"""The gauges: how long a figure has been over its mark, and that it is said where there is little room."""

import pytest

from tests.tui.demo_state import NOW
from tests.tui.stage import fresh_state
from workbench.model.state import Load, Process
from workbench.tui.board import Board
from workbench.tui.history import History, Spell
from workbench.tui.lines import width_of
from workbench.tui.widgets.gauges import load, memory
from workbench.tui.widgets.gauges.gauge import TREND_CELLS, gauge_lines, over_words


def test_a_spell_lasts_until_it_is_over() -> None:
    spell = Spell()
    for over, at in ((False, 1.0), (True, 2.0), (True, 3.0), (False, 4.0), (True, 9.0)):
        spell.see(over, at)
    assert spell.since == 9.0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "over for 0s"), (45, "over for 45s"), (252, "over 4:12"), (8040, "over 2h14m")]
)
def test_how_long_it_has_been_fits_in_the_place_of_the_trend(seconds: float, words: str) -> None:
    found = over_words(Spell(NOW - seconds), NOW)
    assert found == words
    assert len(found) <= TREND_CELLS


def board_over(load_share: float, memory_mb: float, since: float) -> Board:
    """A worker that has had these figures since then."""
    board = Board(lambda: NOW)
    board.state = fresh_state(load_threshold=0.75, memory_warn_mb=500.0)
    board.state.processes[1] = Process(1, 7, "zygote", since, memory_mb=memory_mb)
    board.state.load = Load(load_share, load_share, memory_mb, 0.0)
    board.history.take(board.state, since)
    return board


@pytest.mark.parametrize("width", [60, 80, 110, 160])
def test_every_width_says_for_how_long_it_has_been_over_its_mark(width: int) -> None:
    board = board_over(0.8, 620.0, NOW - 45)
    for reading in (load.reading(board), memory.reading(board)):
        for height in (1, 4):
            lines = gauge_lines(reading, width, height)
            assert "over for 45s" in "".join(text for text, _ in lines[0])
            assert all(width_of(line) <= width for line in lines)


def test_nothing_is_said_of_what_is_not_over() -> None:
    board = board_over(0.74, 499.0, NOW - 45)
    for reading in (load.reading(board), memory.reading(board)):
        assert reading.over == ""


def test_a_mark_that_moves_ends_the_spell() -> None:
    board = board_over(0.8, 620.0, NOW - 45)
    board.state.options["load_threshold"]["value"] = 0.9
    board.state.options["memory_warn_mb"]["value"] = 0.0
    board.history.take(board.state, NOW)
    assert (load.reading(board).over, memory.reading(board).over) == ("", "")


def test_no_threshold_is_never_reached() -> None:
    history, state = History(), fresh_state(load_threshold=float("inf"))
    state.load = Load(1.0, 1.0, 0.0, 0.0)
    history.take(state, NOW)
    assert history.load_over.since is None
