"""The bounded ring of log records, and the filter over it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.client.client import LogLine
from workbench.tui.widgets.logs.filter import LogFilter
from workbench.tui.widgets.logs.store import LogRecord, LogStore


def record(text: str = "x", level: str = "INFO", process_id: int = 1) -> LogRecord:
    """A record with what a filter looks at."""
    return LogRecord(0.0, process_id, 100 + process_id, level, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", True), ("timeout", True), ("TIMEOUT", False), ("Time", True), ("time", True), ("!timeout", False),
        ("!nothing", True), ("re:time.ut", True), ("re:^out", False), ("!re:^out", True), ("re:", True),
        ("!re:", False),
        ("re:(", True), ("!", True),
    ],
)  # fmt: skip
def test_the_text_of_a_filter(text: str, shown: bool) -> None:
    assert LogFilter().with_text(text).shows(record("Time: timeout after 10 s")) is shown


@pytest.mark.parametrize("text", ["re:(", "re:a{99999999999}", "re:" + "(" * 5000])
def test_a_broken_pattern_says_so_and_hides_nothing(text: str) -> None:
    broken = LogFilter().with_text(text)
    assert broken.error.startswith("not a regular expression")
    assert broken.shows(record())
    assert broken.with_text("ok").error == ""


@pytest.mark.parametrize(
    ("least", "shown"),
    [("", 6), ("INFO", 5), ("WARNING", 3), ("ERROR", 2)],
)
def test_the_least_level(least: str, shown: int) -> None:
    records = [record(level=level) for level in ("DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")]
    chosen = LogFilter()
    while chosen.level != least:
        chosen = chosen.next_level()
    assert sum(map(chosen.shows, records)) == shown


def test_levels_go_round() -> None:
    chosen, seen = LogFilter(), []
    for _ in range(5):
        seen.append(chosen.level)
        chosen = chosen.next_level()
    assert seen == ["", "INFO", "WARNING", "ERROR", ""]


def test_the_parts_of_a_filter_hold_together() -> None:
    chosen = LogFilter().with_text("a").next_level().next_level().of_process(2)
    assert chosen.shows(record("a", "ERROR", 2))
    assert not chosen.shows(record("a", "ERROR", 1))
    assert not chosen.shows(record("a", "INFO", 2))
    assert not chosen.shows(record("b", "ERROR", 2))
    assert chosen.of_process(None).shows(record("a", "ERROR", 1))


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=8)),
        st.tuples(st.just("filter"), st.sampled_from(["", "a", "!a", "re:b$", "zzz"])),
    ),
    max_size=20,
)


@given(Steps, st.integers(1, 10))
def test_the_store_shows_what_a_plain_list_would(steps: list[tuple[str, object]], capacity: int) -> None:
    store = LogStore(capacity)
    kept: list[str] = []
    for kind, what in steps:
        if kind == "filter":
            store.refilter(LogFilter().with_text(str(what)))
            continue
        assert isinstance(what, list)
        store.add(record(text) for text in what)
        kept = [*kept, *what][-capacity:]
        assert len(store) == len(kept)
    shown = [store.record(serial).text for serial in store.shown]
    assert shown == [text for text in kept if store.filter.shows(record(text))]


def test_a_record_keeps_its_place_when_older_ones_are_forgotten() -> None:
    store = LogStore(3)
    store.add(record(str(n)) for n in range(3))
    serial = store.shown[2]
    store.add([record("3"), record("4")])
    assert store.record(serial).text == "2"
    assert store.place(serial) == 0
    assert store.place(0) == 0  # forgotten: the next one that is still there
    assert store.next_serial == 5


def test_a_line_from_the_wire_is_clean_and_bounded() -> None:
    line = LogLine(1, 0.0, 1, 2, 3, None, "INFO\x1b[1m" * 10, "x", "\x1b]52;c;AAAA\x07" + "y" * 1_000_000)
    made = LogRecord.of(line)
    assert made.text.isprintable()
    assert made.level.isprintable()
    assert len(made.text) < 10_000


def test_missing_lines_leave_a_mark_with_their_number() -> None:
    assert LogRecord.dropped(12_345, 0.0).text == "12,345 lines were dropped here: too many to carry"
