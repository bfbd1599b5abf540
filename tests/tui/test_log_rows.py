"""Which rows the records take: repeats, tracebacks, broken lines; and that growing is the same as starting over."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets.logs.filter import LogFilter
from workbench.tui.widgets.logs.folding import breaks, hang
from workbench.tui.widgets.logs.layout import HIDDEN, LINE, REPEATS, TRACE, Piece, Row
from workbench.tui.widgets.logs.match import Matcher
from workbench.tui.widgets.logs.store import LogRecord, LogStore
from workbench.tui.widgets.logs.tracebacks import Frame, frame_in, place_in

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/home/u/bot.py", line 38, in entrypoint',
    "    await talk(ctx)",
    '  File "/usr/lib/python3.11/asyncio/tasks.py", line 5, in wait',
    "    raise error",
    "    ^^^^^^^^^^^",
    '  File "/usr/lib/python3.11/asyncio/x.py", line 6, in deep',
    "    raise error",
    "ValueError: boom",
]


def record(text: str, process_id: int = 1, level: str = "INFO", raw: bool = True, at: float = 0.0) -> LogRecord:
    """A line of output."""
    return LogRecord(at, process_id, 100 + process_id, level, text, f"job-{process_id}", 1, raw)


def held(*texts: str, capacity: int = 100) -> LogStore:
    """A store of printed lines."""
    store = LogStore(capacity)
    store.add(record(text) for text in texts)
    return store


def rows(store: LogStore) -> list[str]:
    """The text of every row."""
    found = []
    for number in range(len(store.rows)):
        row = store.rows.at(number)
        text = store.rows.text(row.head, row.piece)
        begin, end = breaks(text, store.rows.room)[row.part] if store.rows.room else (0, len(text))
        found.append(text[begin:end])
    return found


# --- repeats ----------------------------------------------------------------------------------------


def test_the_same_line_again_and_again_is_one_row_with_its_number() -> None:
    store = held("a", "tick", "tick", "tick", "b", "tick")
    assert rows(store) == ["a", "▸ x3 tick", "b", "tick"]
    store.rows.toggle(1)
    assert rows(store) == ["a", "▾ x3 tick", "tick", "tick", "tick", "b", "tick"]
    store.rows.toggle(1)
    assert rows(store) == ["a", "▸ x3 tick", "b", "tick"]


def test_lines_of_other_processes_levels_and_blank_lines_are_no_repeats() -> None:
    store = LogStore()
    store.add([record("x"), record("x", 2), record("x", 2, "ERROR"), record(""), record("")])
    assert rows(store) == ["x", "x", "x", "", ""]


def test_a_number_that_grows_is_exact_while_the_oldest_lines_go() -> None:
    store = held(*["tick"] * 7, capacity=5)
    assert rows(store) == ["▸ x5 tick"]
    store.add([record("tock"), record("tock")])
    assert rows(store) == ["▸ x3 tick", "▸ x2 tock"]
    store.rows.toggle(store.rows.heads[0])
    store.add([record("end")])
    assert rows(store) == ["▾ x2 tick", "tick", "tick", "▸ x2 tock", "end"]
    store.add([record("end")])
    assert rows(store) == ["tick", "▸ x2 tock", "▸ x2 end"]


def test_lines_that_a_filter_brings_together_are_counted_as_one_row() -> None:
    store = held("tick", "other", "tick")
    assert rows(store) == ["tick", "other", "tick"]
    store.refilter(LogFilter().with_text("tick"))
    assert rows(store) == ["▸ x2 tick"]
    assert store.lines == 2


# --- tracebacks -------------------------------------------------------------------------------------


def test_a_traceback_opens_step_by_step() -> None:
    store = held("before", *TRACEBACK, "after")
    folded = ["before", "▸ Traceback, 3 frames: ValueError: boom at bot.py:38 in entrypoint", "after"]
    assert rows(store) == folded
    store.rows.toggle(1)
    assert rows(store)[2:-1] == [*TRACEBACK[:3], "  2 library frames hidden, Enter shows them", TRACEBACK[-1]]
    assert rows(store)[1].startswith("▾ Traceback")
    store.rows.toggle(1)
    assert rows(store)[2:-1] == TRACEBACK
    store.rows.toggle(1)
    assert rows(store) == folded


def test_a_traceback_that_is_open_grows_in_its_place() -> None:
    store = held(*TRACEBACK[:3])
    assert rows(store) == ["▸ Traceback, 1 frame: without an end so far at bot.py:38 in entrypoint"]
    store.rows.toggle(0)
    store.add([record("other", 2)])
    store.add(record(text) for text in TRACEBACK[3:])
    assert rows(store)[1:] == [*TRACEBACK[:3], "  2 library frames hidden, Enter shows them", TRACEBACK[-1], "other"]


def test_lines_of_two_processes_that_come_mixed_are_two_tracebacks() -> None:
    store = LogStore()
    for text in TRACEBACK:
        store.add([record(text, 1), record(text.replace("bot", "shop"), 2), record("noise", 3)])
    found = rows(store)
    assert [row for row in found if "Traceback" in row] == [
        "▸ Traceback, 3 frames: ValueError: boom at bot.py:38 in entrypoint",
        "▸ Traceback, 3 frames: ValueError: boom at shop.py:38 in entrypoint",
    ]
    assert found[2:] == ["▸ x9 noise"]


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (LogFilter().with_text("boom"), True), (LogFilter().with_text("!boom"), False),
        (LogFilter().with_text("bot.py:38 in"), True), (LogFilter(level="ERROR"), True),
        (LogFilter(process_id=2), False), (LogFilter(job_id="job-1"), True), (LogFilter(generation=2), False),
    ],
)  # fmt: skip
def test_a_filter_shows_a_traceback_whole_or_not_at_all(chosen: LogFilter, shown: bool) -> None:
    store = held()
    store.refilter(chosen)
    for text in TRACEBACK:
        store.add([record(text)])
    assert len(store.rows) == len(store.shown) / 9 == shown


def test_errors_are_found_once_each_a_message_and_its_traceback_together() -> None:
    store = LogStore()
    store.add([record("fine"), record("the entrypoint raised", 1, "ERROR", False, 5.0)])
    store.add(record(text, 1, "ERROR", False, 5.0) for text in TRACEBACK)
    store.add([record("bad", 1, "CRITICAL", False, 6.0), *map(record, TRACEBACK)])
    assert store.rows.errors() == [1, 11, 12]


# --- broken lines -----------------------------------------------------------------------------------


def test_a_long_line_is_broken_between_words_and_hangs_below_its_indent() -> None:
    text = "    one two three four"
    assert [text[begin:end] for begin, end in breaks(text, 12)] == ["    one two", "three", "four"]
    assert hang(text, 12) == 4
    assert breaks("", 20) == [(0, 0)]
    assert [end - begin for begin, end in breaks("x" * 25, 10)] == [10, 10, 5]
    assert [end - begin for begin, end in breaks("漢" * 10, 9)] == [4, 4, 2]


@given(st.text("ab 漢", max_size=80), st.integers(8, 30))
def test_nothing_but_one_blank_between_words_is_left_out_where_a_line_is_broken(text: str, room: int) -> None:
    found = breaks(text, room)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (_, end), (begin, _) in pairwise(found):
        assert text[end:begin] in ("", " ")


def test_rows_of_a_broken_line_lead_to_it_and_back() -> None:
    store = held("short", "one two three four five six", "end")
    store.break_lines(10)
    assert rows(store) == ["short", "one two", "three four", "five six", "end"]
    assert [store.rows.at(n) for n in (1, 2, 3)] == [Row(1, Piece(1), part) for part in range(3)]
    assert [store.rows.row_of(store.rows.at(n)) for n in range(5)] == list(range(5))


# --- searching --------------------------------------------------------------------------------------


def test_matches_are_numbered_in_the_order_of_the_screen() -> None:
    store = held("a cat", "dog", "cat", "cat", *TRACEBACK, "CAT")
    store.search(Matcher.of("cat"))
    matches = store.rows.matches
    assert len(matches) == 3
    assert [matches.place(head, head) for head in (0, 1, 2, 13)] == [1, 0, 2, 3]
    assert matches.step(0, 0, 1) == 2
    assert matches.step(13, 13, 1) == 0  # round
    assert matches.step(1, 1, -1) == 0
    store.search(Matcher.of("deep"))
    serial = matches.step(0, 0, 1)
    assert serial == 10
    store.rows.reveal(serial)
    assert store.rows.find(Row(0, Piece(serial))).piece == Piece(10)
    store.search(Matcher.of("re:("))
    assert len(matches) == 0


# --- growing is the same as starting over -------------------------------------------------------------

LINES = ["a", "b", "b", *TRACEBACK[:3], *TRACEBACK[6:], "", "    x", "one two three four five six seven"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.sampled_from(LINES), st.integers(1, 2)), max_size=12)),
        st.tuples(st.just("trace"), st.integers(1, 2)),
        st.tuples(st.just("filter"), st.sampled_from(["", "b", "!boom", "boom", "re:a$"])),
        st.tuples(st.just("toggle"), st.integers(0, 50)),
        st.tuples(st.just("search"), st.sampled_from(["", "b", "line"])),
        st.tuples(st.just("room"), st.sampled_from([0, 12])),
        st.tuples(st.just("mark"), st.just(0)),
    ),
    max_size=25,
)


def step(store: LogStore, kind: str, what: Any) -> None:
    """One step."""
    if kind == "add":
        store.add(record(text, process_id) for text, process_id in what)
    elif kind == "trace":
        store.add(record(text, what) for text in TRACEBACK)
    elif kind == "filter":
        store.refilter(LogFilter().with_text(what))
    elif kind == "search":
        store.search(Matcher.of(what))
    elif kind == "room":
        store.break_lines(what)
    elif kind == "mark":
        store.mark(0.0)
    elif len(store.rows):
        head = store.rows.at(what % len(store.rows)).head
        if store.rows.folds(head):
            store.rows.toggle(head)


@given(STEPS, st.integers(1, 40))
def test_what_has_grown_is_what_would_be_laid_out_anew(steps: list[tuple[str, Any]], capacity: int) -> None:
    store = LogStore(capacity)
    for kind, what in steps:
        step(store, kind, what)
        grown, found = rows(store), [store.rows.matches.place(head, head) for head in store.rows.heads]
        places = [store.rows.at(number) for number in range(len(grown))]
        assert [store.rows.row_of(place) for place in places] == list(range(len(grown)))
        assert sorted(n for head in store.rows.heads for n in store.rows.members(head)) == list(store.shown)
        store.refilter(store.filter)
        assert rows(store) == grown
        assert [store.rows.matches.place(head, head) for head in store.rows.heads] == found


def test_a_range_takes_each_record_once_and_what_is_folded_whole() -> None:
    store = held("a", "b", "b", *TRACEBACK, "z")
    assert list(store.rows.between(0, 3)) == list(range(13))
    store.rows.toggle(3)
    assert list(store.rows.between(0, len(store.rows) - 1)) == list(range(13))
    kinds = [store.rows.at(n).piece.kind for n in range(len(store.rows))]
    assert kinds == [LINE, REPEATS, TRACE, *[LINE] * 3, HIDDEN, LINE, LINE]
    assert store.rows.serials(store.rows.at(6)) == [6, 7, 8, 9, 10]


def test_a_number_too_long_to_be_one_is_no_line_of_a_file() -> None:
    """Python refuses to read it, and any agent may print it."""
    digits = "9" * 5000
    assert frame_in(f'  File "a.py", line {digits}, in x') is None
    assert place_in(f"see a.py:{digits}") in (None, Frame("a.py", int("9" * 9), ""))
