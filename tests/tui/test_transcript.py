"""A conversation as data, and as rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.demo_state import message
from workbench.tui.lines import width_of
from workbench.tui.widgets.talk.transcript import KEPT, Transcript
from workbench.tui.widgets.talk.view import entry_rows


def told(*news: dict[str, Any]) -> Transcript:
    """The transcript of that news."""
    transcript = Transcript()
    for item in news:
        transcript.take(item)
    return transcript


def test_messages_stand_in_the_order_they_came() -> None:
    said = told(message("m1", "user", "hi", 1), message("1", "agent", "hello", 2))
    assert [(entry.role, entry.lines) for entry in said.entries] == [("user", ["hi"]), ("agent", ["hello"])]


def test_a_longer_version_takes_the_place_of_the_shorter() -> None:
    said = told(
        message("1", "agent", "one", 1, partial=True), message("m1", "user", "wait", 2),
        message("1", "agent", "one two", 1),
    )  # fmt: skip
    assert [entry.lines for entry in said.entries] == [["one two"], ["wait"]]
    assert not said.entries[0].partial


def test_the_first_words_of_a_reply_are_timed_and_only_they() -> None:
    said = told(
        message("m1", "user", "hi", 10.0), message("1", "agent", "he", 10.5, partial=True),
        message("1", "agent", "hello", 10.5),
        message("2", "agent", "and more", 13.0),
    )  # fmt: skip
    assert [entry.latency_s for entry in said.entries] == [None, 0.5, None]


def test_a_reply_that_grows_is_timed_to_its_end_too() -> None:
    said = told(
        message("m1", "user", "hi", 10.0), message("1", "agent", "he", 10.18, partial=True),
        message("1", "agent", "hell", 10.7, partial=True), message("1", "agent", "hello", 11.2),
        message("1", "agent", "hello", 11.2),  # as a line that was joined again tells it
    )  # fmt: skip
    assert said.entries[1].whole_s == pytest.approx(1.2)
    assert "".join(text for text, _ in entry_rows(said.entries[1], 60)[-1]).strip() == "first words 180ms, whole 1.2s"


def test_a_reply_that_still_grows_tells_its_first_words_only() -> None:
    said = told(
        message("m1", "user", "hi", 10.0), message("1", "agent", "he", 10.18, partial=True),
        message("1", "agent", "hell", 10.7, partial=True),
    )  # fmt: skip
    assert "".join(text for text, _ in entry_rows(said.entries[1], 60)[-1]).strip() == "first words 180ms"


def test_the_median_is_of_first_words() -> None:
    assert told(message("1", "agent", "hello", 1)).median_s() is None
    said = told(*(message(*how) for n, took in enumerate((0.1, 0.2, 5.0)) for how in (
        (f"m{n}", "user", "hi", 10.0 * n), (f"{n}", "agent", "hello", 10.0 * n + took),
    )))  # fmt: skip
    assert said.median_s() == pytest.approx(0.2)


def test_what_was_forgotten_does_not_come_again_when_the_history_is_told_again() -> None:
    news = [message(str(n), "agent", str(n), n) for n in range(KEPT + 20)]
    said = told(*news, *news[20:])
    assert [entry.id for entry in said.entries] == [str(n) for n in range(20, KEPT + 20)]


def test_what_was_said_is_told_apart_by_the_code_it_was_said_to() -> None:
    newer: dict[str, Any] = {"type": "attempt", "attempt": 2, "generation": 2}
    said = told(message("m1", "user", "one", 1), message("1", "agent", "1", 2), message("m2", "user", "two", 3))
    assert (said.said_now(), said.said_before()) == (["one", "two"], [])
    said.take(newer)
    assert (said.said_now(), said.said_before()) == ([], ["one", "two"])
    said.take({**newer, "attempt": 3})
    assert said.said_before() == ["one", "two"]
    said.take(message("m3", "user", "three", 4))
    assert (said.said_now(), said.said_before()) == (["three"], ["one", "two"])


def test_what_is_said_again_counts_as_a_whole_and_once() -> None:
    said = told(message("m1", "user", "stray", 1))
    said.mark_again(("one", "two"))
    said.take(message("m2", "user", "one", 2))
    assert said.said_now() == ["one", "two"]
    said.take(message("m3", "user", "two", 3))
    said.take(message("m4", "user", "three", 4))
    assert said.said_now() == ["one", "two", "three"]
    assert said.entries[1].lines == ["2 messages said again from here"]


def test_a_reply_older_than_its_question_took_no_time() -> None:
    said = told(message("m1", "user", "hi", 10.0), message("1", "agent", "hello", 9.0))
    assert said.entries[1].latency_s == 0.0


def test_marks_for_new_code_and_for_the_end() -> None:
    said = told(
        {"type": "attempt", "attempt": 1, "generation": 1}, {"type": "attempt", "attempt": 2, "generation": 4},
        {"type": "ended", "reason": "signalled\x1b[2J"},
    )  # fmt: skip
    assert [entry.lines for entry in said.entries] == [["generation 4 from here"], ["the room has ended: signalled"]]
    assert said.ended == "signalled"


@pytest.mark.parametrize(
    "news",
    [{}, {"type": "joined", "name": "you"}, {"type": "message"}, {"type": "message", "message": "text"},
     {"type": "attempt"}, {"type": "later"}],
)  # fmt: skip
def test_what_is_not_known_is_left_out(news: dict[str, Any]) -> None:
    assert told(news).entries == []


def test_a_message_with_missing_parts_is_shown_as_far_as_it_goes() -> None:
    said = told({"type": "message", "message": {"id": 7}})
    assert said.entries[0].lines == [""]
    assert said.entries[0].role == "agent"


def test_the_oldest_words_are_forgotten() -> None:
    said = told(*(message(str(n), "agent", str(n), n) for n in range(KEPT + 10)))
    assert len(said.entries) == KEPT
    assert said.entries[-1].lines == [str(KEPT + 9)]


@given(st.text(max_size=200), st.integers(6, 80), st.booleans())
def test_rows_are_no_wider_than_the_pane(text: str, width: int, partial: bool) -> None:
    entry = told(message("1", "agent", text, 1, partial=partial)).entries[0]
    assert all(width_of(row) <= width for row in entry_rows(entry, width))


@given(st.sampled_from(["returned", "signalled", "supervisor_lost"]), st.integers(40, 120))
def test_a_mark_stands_in_the_middle_of_the_pane(reason: str, width: int) -> None:
    rows = entry_rows(told({"type": "ended", "reason": reason}).entries[0], width)
    assert len(rows) == 1
    assert width_of(rows[0]) <= width
    assert rows[0][0][0].strip(" ─") == f"the room has ended: {reason}"


def test_a_message_of_several_lines_hangs_below_its_sign() -> None:
    rows = entry_rows(told(message("1", "agent", "one\ntwo three four", 1)).entries[0], 14)
    assert ["".join(text for text, _ in row) for row in rows] == [" ◆ one", "   two three", "   four"]


def test_a_message_that_still_grows_ends_with_a_cursor() -> None:
    rows = entry_rows(told(message("1", "agent", "one", 1, partial=True)).entries[0], 20)
    assert rows[-1][-1][0] == "one▌"


def test_a_megabyte_is_bounded() -> None:
    entry = told(message("1", "agent", "x" * 1_000_000, 1)).entries[0]
    assert sum(map(len, entry.lines)) < 20_000
