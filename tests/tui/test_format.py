"""Figures as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.lines import width_of

SHARES = st.floats(0, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (-3, "0s"), (0, "0s"), (7.9, "7s"), (59.99, "59s"), (60, "1:00"), (252, "4:12"),
        (3599, "59:59"), (3600, "1h00m"), (8049, "2h14m"), (86_399, "23h59m"), (86_400, "1d00h"),
        (3 * 86_400 + 4 * 3600, "3d04h"),
        (100 * 86_400, "100d"),
    ],
)  # fmt: skip
def test_an_age(seconds: float | None, text: str) -> None:
    assert fmt.age(seconds) == text


@given(st.floats(0, 20 * 365 * 86_400.0))
def test_an_age_takes_at_most_six_cells(seconds: float) -> None:
    assert len(fmt.age(seconds)) <= 6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (-0.2, "0.0s"), (0.14, "0.1s"), (9.94, "9.9s"), (9.96, "9s"), (31, "31s"), (95, "1:35")],
)
def test_a_beat_is_in_tenths_while_that_matters(seconds: float | None, text: str) -> None:
    assert fmt.beat(seconds) == text


@pytest.mark.parametrize(
    ("mb", "text"),
    [
        (None, "-"), (0, "0M"), (0.2, "<1M"), (0.5, "<1M"), (0.6, "1M"), (3.1, "3M"), (318.2, "318M"), (999.4, "999M"),
        (999.5, "1.0G"), (1229, "1.2G"), (10_240, "10G"), (24_576, "24G"),
    ],
)  # fmt: skip
def test_megabytes(mb: float | None, text: str) -> None:
    assert fmt.megabytes(mb) == text


@given(st.floats(0.001, 1e6))
def test_memory_that_is_held_is_never_shown_as_none(mb: float) -> None:
    assert fmt.megabytes(mb) != "0M"
    assert len(fmt.megabytes(mb)) <= 5


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "-"), (0, "0.0ms"), (0.55, "0.6ms"), (0.94, "0.9ms"), (0.95, "1ms"), (412, "412ms"), (999.4, "999ms"),
     (999.5, "1.0s"), (4200, "4.2s"), (60_000, "60.0s"),
     (99_940, "99.9s"), (99_950, "1:39")],
)  # fmt: skip
def test_millis(ms: float | None, text: str) -> None:
    assert fmt.millis(ms) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0, "0%"), (0.004, "0%"), (0.75, "75%"), (3.2, "320%")])
def test_a_share(value: float | None, text: str) -> None:
    assert fmt.share(value) == text


def test_counts_and_plurals() -> None:
    assert fmt.count(12_345) == "12,345"
    assert [plural(n, "job") for n in (0, 1, 2, 1000)] == ["0 jobs", "1 job", "2 jobs", "1,000 jobs"]


def test_the_time_of_day_is_local() -> None:
    assert fmt.clock_time(1_700_000_000.0) == "22:13:20"


@pytest.mark.parametrize(
    ("value", "warn", "limit", "grade"),
    [
        (None, 1, 2, 0), (0.9, 1, 2, 0), (1, 1, 2, 1), (2, 1, 2, 2), (5, 0, 0, 0), (5, None, None, 0),
        (5, 0, 5, 2), (5, 5, 0, 1),
    ],
)  # fmt: skip
def test_a_grade(value: float | None, warn: float | None, limit: float | None, grade: int) -> None:
    assert fmt.grade(value, warn, limit) == grade


def text_of(line: list[tuple[str, str]]) -> str:
    """The text of a line, without its tones."""
    return "".join(text for text, _ in line)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "──────────"), (0.0, "──────────"), (0.25, "━━╸───────"), (0.5, "━━━━━─────"), (1.0, "━" * 10),
     (7.0, "━" * 10)],
)  # fmt: skip
def test_a_bar(value: float | None, text: str) -> None:
    assert text_of(fmt.bar(value, 1.0, 10, [], "good")) == text


def test_a_mark_stands_at_its_true_place() -> None:
    assert text_of(fmt.bar(0.0, 100.0, 10, [(75.0, "┃")], "good")) == "───────┃──"
    assert text_of(fmt.bar(0.0, 100.0, 10, [(100.0, "┃")], "good")) == "─────────┃"
    assert "┃" not in text_of(fmt.bar(0.0, 100.0, 10, [(101.0, "┃")], "good"))


@given(st.none() | SHARES, SHARES, st.integers(1, 200), st.lists(SHARES, max_size=3))
def test_a_bar_is_as_wide_as_it_should_be(value: float | None, top: float, width: int, marks: list[float]) -> None:
    assert width_of(fmt.bar(value, top, width, [(at, "┃") for at in marks], "good")) == width


@given(SHARES, SHARES, st.integers(1, 100))
def test_of_two_values_the_greater_has_no_shorter_bar(one: float, two: float, width: int) -> None:
    def filled(value: float) -> int:
        text = text_of(fmt.bar(value, 1000.0, width, [], "good"))
        return text.count("━") * 2 + text.count("╸")

    low, high = sorted((one, two))
    assert filled(low) <= filled(high)


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "    "), ([0, 0], "  ▁▁"), ([0, 0.5, 1], " ▁▅█"), ([0, 0, 0, 0, 1], "▁▁▁█")],
)
def test_a_trend_shows_the_last_values(values: list[float], text: str) -> None:
    assert fmt.spark(values, 4) == text


@given(
    st.lists(st.floats(0, 1e9, allow_subnormal=False), max_size=80),
    st.integers(1, 60),
    st.none() | st.floats(0.01, 1e9),
)
def test_a_trend_is_as_wide_as_it_should_be(values: list[float], width: int, top: float | None) -> None:
    trend = fmt.spark(values, width, top)
    assert len(trend) == width
    assert set(trend) <= {" ", *fmt.SPARKS}


def test_a_trend_of_endless_values_is_flat() -> None:
    assert fmt.spark([1.0, math.inf], 2) == "▁▁"
