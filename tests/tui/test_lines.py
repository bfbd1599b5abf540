"""Lines as plain data: cutting, padding, wrapping, choosing, and what of them is painted again."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.tui.lines import (
    Line,
    changed_cells,
    choose,
    clean,
    cut,
    fit,
    pad,
    spread,
    width_of,
    wrap,
)

TEXTS = st.text(st.sampled_from("ab cé漢字👍┃—"), max_size=30)
UNSEEN = "\u00ad\u061c\u200b\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff"
LINES = st.lists(st.tuples(TEXTS, st.sampled_from(["plain", "dim", "bad"])), max_size=6)


def cells(line: Line) -> list[tuple[str, str]]:
    """Each cell of a line; a wide character stands in its first."""
    found: list[tuple[str, str]] = []
    for text, tone in line:
        for letter in text:
            found += [(letter, tone)] + [("", tone)] * (cell_len(letter) - 1)
    return found


@pytest.mark.parametrize(
    ("text", "width", "kept"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("ab cd", 4, "ab…"), ("abc", 1, "…"), ("abc", 0, ""), ("漢字", 3, "漢…"),
     ("漢字", 2, "…")],
)  # fmt: skip
def test_what_is_cut_ends_with_an_ellipsis(text: str, width: int, kept: str) -> None:
    assert cut(text, width) == kept


@given(TEXTS, st.integers(0, 40))
def test_nothing_cut_is_wider_than_allowed(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width


@given(TEXTS, st.integers(0, 40), st.booleans())
def test_what_is_padded_is_exactly_as_wide_as_asked(text: str, width: int, right: bool) -> None:
    assert cell_len(pad(text, width, right=right)) == width


def test_padding_goes_to_the_other_side() -> None:
    assert pad("ab", 4) == "ab  "
    assert pad("ab", 4, right=True) == "  ab"


@given(LINES, st.integers(0, 60))
def test_a_line_that_is_fitted_is_no_wider(line: Line, width: int) -> None:
    fitted = fit(line, width)
    assert width_of(fitted) <= width
    if width_of(line) <= width:
        assert cells(fitted) == cells(line)


@given(LINES, LINES, st.integers(0, 80))
def test_what_is_spread_fills_the_line_and_the_right_end_stays(left: Line, right: Line, width: int) -> None:
    line = spread(left, right, width)
    assert width_of(line) == max(width, width_of(right))
    assert cells(line)[len(cells(line)) - len(cells(right)) :] == cells(right)


@pytest.mark.parametrize(
    ("width", "kept"),
    [(20, "name  state  link"), (17, "name  state  link"), (16, "name  state"), (10, "name"), (3, "na…")],
)
def test_the_least_needed_parts_leave_first(width: int, kept: str) -> None:
    parts: list[tuple[int, Line]] = [(0, [("name", "head")]), (1, [("state", "good")]), (2, [("link", "dim")])]
    assert "".join(text for text, _ in choose(parts, width)) == kept


@given(st.lists(st.tuples(st.integers(0, 9), LINES), max_size=6), st.integers(0, 60))
def test_what_is_chosen_fits(parts: list[tuple[int, Line]], width: int) -> None:
    assert width_of(choose(parts, width)) <= width


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 5, [""]), ("a b", 5, ["a b"]), ("one two three", 7, ["one two", "three"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]), ("x abcdefgh", 3, ["x", "abc", "def", "gh"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
    ],
)  # fmt: skip
def test_text_is_broken_between_words(text: str, width: int, rows: list[str]) -> None:
    assert wrap(text, width) == rows


@given(TEXTS, st.integers(0, 30))
def test_wrapping_loses_nothing_and_no_row_is_too_wide(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(cell_len(row) <= max(width, 2) for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")


@given(LINES, LINES)
def test_every_cell_that_differs_is_painted_again(old: Line, new: Line) -> None:
    span = changed_cells(old, new)
    before, after = cells(old), cells(new)
    length = max(len(before), len(after))
    before += [(" ", "")] * (length - len(before))
    after += [(" ", "")] * (length - len(after))
    start, size = span or (0, 0)
    for at in range(length):
        if not start <= at < start + size:
            assert before[at] == after[at]


def test_only_what_differs_is_painted_again() -> None:
    old: Line = [("cpu ", "dim"), ("10%", "plain"), (" of 4", "dim")]
    new: Line = [("cpu ", "dim"), ("12%", "plain"), (" of 4", "dim")]
    assert changed_cells(old, new) == (4, 3)
    assert changed_cells(old, old) is None


@given(st.text(max_size=300) | st.text(st.sampled_from(f"a\x1b[]0m;\x07\x9b\x85\r\n{UNSEEN}"), max_size=40))
def test_nothing_that_is_clean_acts_on_a_terminal(text: str) -> None:
    letters = set(clean(text))
    assert not {letter for letter in letters if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")}
    assert not letters & set(UNSEEN)


def test_foreign_lines_become_one() -> None:
    assert clean("a\nb") == "a ⏎ b"
    assert clean("\x1b[31mred\x1b[0m\x1b]0;title\x07") == "red"
    assert len(clean("x" * 1_000_000)) < 600
    assert len(clean("x" * 600, 10)) < 40
