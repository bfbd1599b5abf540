"""The plan of a load run, its percentiles and its words, without a worker."""

from itertools import islice

import pytest

from workbench.cli import main
from workbench.client.load.plan import Plan, make_plan, rate_of, span_of, whole_of
from workbench.client.load.result import Result, percentile
from workbench.model.errors import UsageError
from workbench.tui.load_words import count_rows, figure_rows, verdict


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([1.0], 0.5, None),
        ([2.0, 1.0], 0.5, 1.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        (range(1, 20), 0.95, None),
        (range(1, 21), 0.95, 19),
        (range(1, 100), 0.99, None),
        (range(100, 0, -1), 0.99, 99),
        (range(1, 101), 0.95, 95),
        (range(1, 1001), 0.99, 990),
    ],
)
def test_a_percentile_is_a_measured_value_or_none_where_there_are_too_few(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("plan", "arrivals", "total"),
    [
        (Plan(3, 10.0), [0.0, 0.1, 0.2], 3),
        (Plan(5, 10.0, burst=2), [0.0, 0.0, 0.2, 0.2, 0.4], 5),
        (Plan(None, 10.0, duration_s=0.35), [0.0, 0.1, 0.2, 0.3], 4),
        (Plan(None, 10.0, burst=2, duration_s=0.3), [0.0, 0.0, 0.2, 0.2], 4),
        (Plan(2, 10.0, duration_s=9.0), [0.0, 0.1], 2),
        (Plan(None, None, concurrency=2, duration_s=1.0), [0.0] * 9, None),
    ],
)
def test_when_each_job_is_due(plan: Plan, arrivals: list[float], total: int | None) -> None:
    assert list(islice(plan.arrivals(), 9)) == pytest.approx(arrivals)
    assert plan.total == total


def test_what_is_not_said_has_its_usual_value() -> None:
    assert make_plan() == Plan(20, 5.0)
    assert make_plan(burst=8) == Plan(8, 5.0, burst=8)
    assert make_plan(duration_s=2.0) == Plan(None, 5.0, duration_s=2.0)
    assert make_plan(concurrency=3) == Plan(20, None, concurrency=3)
    assert make_plan(concurrency=3, burst=2, jobs=8) == Plan(8, 5.0, burst=2, concurrency=3)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1.5h", 5400.0), (" 1 s ", 1.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert span_of(text, "it") == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "rate"), [("5", 5.0), ("5/s", 5.0), ("300/m", 5.0), ("0.5", 0.5)])
def test_rates(text: str, rate: float) -> None:
    assert rate_of(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "1e9", "inf", "5 apples", "99999999", "0/s"])
def test_what_is_no_rate_duration_or_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        rate_of(text)
    with pytest.raises(UsageError):
        whole_of(text, "it")
    if text != "0/s":
        with pytest.raises(UsageError):
            span_of(text, "it")


def test_what_others_cancelled_and_what_failed_is_not_good() -> None:
    result = Result()
    assert result.good
    result.count_end("completed", "returned", False)
    result.count_end("cancelled", "cancelled", True)
    assert result.good
    result.count_end("cancelled", "cancelled", False)
    assert (result.good, result.not_ours) == (False, 1)
    failed = Result()
    failed.count_end("failed", "raised", True)
    assert not failed.good


def test_the_words_are_clean_and_say_dash_where_there_is_too_little() -> None:
    result = Result(handed_in=3, answered=3, accepted=1)
    result.refused["evil\x1b[31m"] = 2
    result.count_end("failed", "raised", False)
    rows = [(label, "".join(text for text, _ in line)) for label, line in count_rows(result)]
    assert rows == [("accepted", "1 of 3"), ("refused", "◆ 2 evil"), ("ended", "✗ 1 failed / raised")]
    figures = {label: "".join(text for text, _ in line) for label, line in figure_rows(result, Plan(3, 5.0))}
    assert figures["start"] == "p50 -  p95 -  p99 -"
    assert figures["warm"] == "-"
    assert verdict(result)[0][0] == "✗ not every job ended well"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rate", "x"], "rate must be jobs a second"),
        (["--jobs", "0"], "--jobs must be a whole number from 1 on"),
        (["--burst", "-1"], "--burst must be a whole number"),
        (["--duration", "soon"], "--duration must be a duration like 30s"),
        (["--duration", "0"], "--duration must be longer"),
        (["--hold", "x"], "--hold must be a duration"),
        (["--metadata", "[]"], "--metadata must be a JSON object"),
        (["--room-prefix", "a b"], "prefix of rooms must be 1 to 100 letters"),
        (["--script", "/nope"], "No such file"),
        (["--script", "/dev/null"], "no line to say"),
        (["--script", "/nope", "--say", "x"], "give one of them"),
        (["--jbos", "1"], "did you mean --jobs?"),
        (["--url", "http://"], "is no address of a worker"),
        ([], "no worker runs here"),
    ],
)
def test_a_mistake_says_how_to_mend_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object, flags: list[str], words: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["load", *flags]) == 2
    assert words in capsys.readouterr().err
