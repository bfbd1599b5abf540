"""The columns of the process table: what their cells say, and which of them fit."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.demo_state import NOW, demo_state, fill_history
from workbench.client.client import Frame
from workbench.model.state import Job, Process
from workbench.tui.board import Board
from workbench.tui.columns import head
from workbench.tui.lines import width_of
from workbench.tui.places import Place
from workbench.tui.widgets.slots.columns import COLUMNS, fitting, row
from workbench.tui.widgets.slots.notes import place_note


def a_board() -> Board:
    """The demo, with a minute of measurements."""
    board = Board(lambda: NOW)
    fill_history(board, demo_state())
    return board


BOARD = a_board()
PROCESS = Process(1, 7, "zygote", NOW - 20, pid=41201, state="busy", memory_mb=100.0, cpu=0.1, loop_lag_ms=1.0)
JOB = Job("job-1", "room-1", {}, NOW - 30, status="running", started_at=NOW - 20)


def cells(place: Place) -> dict[str, str]:
    """Each cell of a wide row by its title."""
    columns = fitting(300)
    line = row(columns, place, BOARD, (" ", ""))[2:]
    return {column.title.strip(): text.strip() for column, (text, _) in zip(columns, line, strict=True)}


def a_place(job: Job | None = JOB, **changes: Any) -> Place:
    """A place whose process is like that."""
    return Place(dataclasses.replace(PROCESS, **changes), job, job, 1)


def test_every_column_is_there_where_there_is_room() -> None:
    assert len(fitting(200)) == len(COLUMNS)


@pytest.mark.parametrize("width", [20, 30, 48, 60, 80, 100, 118, 150, 198, 400])
def test_columns_fill_the_width_and_never_exceed_it(width: int) -> None:
    columns = fitting(width)
    assert width_of(head(columns)) <= width + 2
    assert "STATE" in [column.title for column in columns]
    for place in BOARD.places.rows:
        assert width_of(row(columns, place, BOARD, ("▌", ""))) <= width + 2


def test_what_leaves_first_is_what_is_needed_least() -> None:
    kept = [{column.rank for column in fitting(width)} for width in range(20, 200)]
    for narrow, wide in itertools.pairwise(kept):
        assert narrow <= wide


@given(st.floats(0, 9 * 3_600_000.0))
def test_a_lag_is_never_cut(lag_ms: float) -> None:
    assert "…" not in cells(a_place(loop_lag_ms=lag_ms))["LAG"]


@given(st.floats(0, 900 * 86_400.0))
def test_an_age_is_never_cut(age_s: float) -> None:
    assert "…" not in cells(a_place(dataclasses.replace(JOB, started_at=NOW - age_s)))["AGE"]


@given(st.floats(0, 1_000_000))
def test_memory_is_never_cut(mb: float) -> None:
    board = BOARD.state.options
    assert board["memory_limit_mb"]["value"] == 800.0
    assert "…" not in cells(a_place(memory_mb=mb))["MEM"]


@pytest.mark.parametrize(
    ("mb", "cell", "note"),
    [(499.0, "499M", ""), (500.0, "500M!", "over 500M"), (799.0, "799M!", "over 500M"), (800.0, "800M!!", "over 800M")],
)
def test_memory_is_judged_by_its_two_marks(mb: float, cell: str, note: str) -> None:
    found = cells(a_place(memory_mb=mb))
    assert found["MEM"] == cell
    assert found["NOTE"] == note


@pytest.mark.parametrize(
    ("changes", "job", "note"),
    [
        ({}, dataclasses.replace(JOB, own=True), "own job"),
        ({}, dataclasses.replace(JOB, report={"turn": 3, "topic": "x"}), "turn=3  topic=x"),
        ({}, dataclasses.replace(JOB, asked="cancel"), "told to end: cancel"),
        ({"generation": 6}, JOB, "older code, ends with its job"),
        ({"state": "stopping", "why": "its job is over"}, JOB, "its job is over"),
        ({"stalled": True, "stack": "  a.py:1 in f\n  b.py:2 in g\n"}, JOB, "loop stands still at b.py:2 in g"),
        ({"stalled": True, "memory_mb": 900.0}, JOB, "loop stands still"),
    ],
)
def test_the_note_tells_the_one_thing_to_know(changes: dict[str, Any], job: Job, note: str) -> None:
    assert place_note(a_place(job, **changes), BOARD)[0] == note


def test_an_old_generation_and_a_late_beat_stand_out() -> None:
    def tone(title: str, **changes: Any) -> str:
        column = next(column for column in COLUMNS if column.title == title)
        return column.cell(a_place(**changes), BOARD)[1]

    assert (tone("GEN"), tone("GEN", generation=6)) == ("dim", "warn")
    assert (tone("BEAT", heartbeat_age_s=0.9), tone("BEAT", heartbeat_age_s=1.1)) == ("dim", "bad")
    assert (tone("LAG", loop_lag_ms=199.0), tone("LAG", loop_lag_ms=201.0)) == ("dim", "warn")


def test_a_place_keeps_the_end_of_its_last_job_until_the_next() -> None:
    over = dataclasses.replace(JOB, status="failed", reason="raised", error="ValueError: boom (bot.py:3 in f)")
    assert place_note(Place(None, None, over, 1), BOARD) == (
        "✗ last: failed / raised: ValueError: boom (bot.py:3 in f)", "bad",
    )  # fmt: skip
    assert place_note(Place(None, None, None, 1), BOARD)[0] == ""


def test_a_board_without_a_worker_has_no_places() -> None:
    board = Board(lambda: NOW)
    assert board.places.rows == []
    board.take(Frame(demo_state(), snapshot=True))
    assert len(board.places.rows) == 6
