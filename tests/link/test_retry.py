"""How long a lost link waits, and what of the outbox is told again: by the clock of the test."""

import random

import pytest

from tests.defences import defence
from workbench.backend.outbox import Outbox
from workbench.backend.retry import FIRST_S, LONGEST_S, Retry

RETRY = "workbench/backend/retry.py"


def delays(retry: Retry, times: int, lasts_s: float = 0.0) -> list[float]:
    now, found = 0.0, []
    for _ in range(times):
        retry.up(now)
        now += lasts_s
        delay = retry.failed(now, 0)
        assert delay is not None
        found.append(delay)
        now += delay
    return found


@defence((RETRY, "self._rng.uniform(0, longest)", "0.0"))
@defence((RETRY, "2 ** min(self.failures - 1, 10)", "1"))
def test_fault_J2_the_wait_grows_while_connections_do_not_last() -> None:
    longest = [max(column) for column in zip(*(delays(Retry(random.Random(n)), 6) for n in range(300)), strict=True)]
    assert FIRST_S * 0.9 < longest[0] <= FIRST_S
    assert longest[0] * 1.5 < longest[1] < longest[2] / 1.5
    assert LONGEST_S * 0.9 < longest[-1] <= LONGEST_S


@defence(
    (
        RETRY,
        "            self.failures = 0\n        self._up_since = None",
        "            pass\n        self._up_since = None",
    )
)
def test_fault_J2_a_connection_that_held_for_half_a_minute_ends_the_count() -> None:
    retry = Retry(random.Random(1))
    assert max(delays(retry, 50, lasts_s=31.0)) <= FIRST_S
    assert retry.failures == 1


def test_the_tries_are_used_up_and_can_be_begun_again() -> None:
    retry = Retry()
    assert [retry.failed(0.0, 3) is None for _ in range(3)] == [False, False, True]
    retry.start_again()
    assert retry.failed(0.0, 3) is not None
    assert (retry.failed(0.0, 0, at_least_s=7.0) or 0.0) >= 7.0


@defence(("workbench/backend/outbox.py", "self._sent[0][0] <= number", "True"))
def test_fault_J6_only_a_pong_to_what_followed_confirms() -> None:
    outbox = Outbox()
    outbox.put("a")
    assert outbox.take() == "a"
    assert outbox.ping() == 1
    outbox.put("b")
    outbox.ponged(1)
    assert len(outbox) == 1
    assert (outbox.take(), outbox.ping()) == ("b", 2)
    outbox.lost()
    assert outbox.take() == "b"
    outbox.ponged(2)
    assert len(outbox) == 1, "that pong was for what was sent before"
    number = outbox.ping()
    assert number is not None
    assert outbox.ping() is None, "asked once"
    outbox.ponged(number)
    assert len(outbox) == 0


@defence(("workbench/backend/outbox.py", "self._unsent.appendleft(self._sent.pop()[1])", "self._sent.pop()"))
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_fault_J6_what_was_not_confirmed_is_told_again_in_its_order(kept: int) -> None:
    outbox = Outbox()
    for text in "abcde":
        outbox.put(text)
    for _ in range(kept):
        outbox.take()
    outbox.ping()
    outbox.lost()
    assert [outbox.take() for _ in range(6)] == ["a", "b", "c", "d", "e", None]
