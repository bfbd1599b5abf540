"""The result of a load run in words: the same rows in the pane and on the command line."""

from collections.abc import Sequence

from workbench.client.load.plan import Plan
from workbench.client.load.result import Result, percentile
from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.lines import Line, clean
from workbench.tui.words import job_look

Row = tuple[str, Line]
PLAIN_ENDS = ("returned", "cancelled")  # the status says it already


def count_rows(result: Result) -> list[Row]:
    """What became of the jobs."""
    rows: list[Row] = [
        ("accepted", [(fmt.count(result.accepted), "strong"), (f" of {fmt.count(result.handed_in)}", "dim")]),
    ]
    for reason, number in result.refused.most_common():
        rows.append(("refused", [(f"◆ {fmt.count(number)} {clean(reason, 40)}", "warn")]))
    if result.running:
        rows.append(("running", [(f"● {fmt.count(result.running)}", "busy")]))
    for (status, reason), number in sorted(result.ended.items()):
        look, why = job_look(status), "" if reason in PLAIN_ENDS else f" / {clean(reason, 40)}"
        rows.append(("ended", [(f"{look.sign} {fmt.count(number)} {clean(status, 20)}{why}", look.tone)]))
    if result.not_ours:
        rows.append(("", [(f"! {fmt.count(result.not_ours)} of them cancelled by others", "warn")]))
    if result.lost:
        rows.append(("lost", [(f"✗ {fmt.count(result.lost)}, their end is not known", "bad")]))
    return rows


def figure_rows(result: Result, plan: Plan) -> list[Row]:
    """What was measured."""
    rows: list[Row] = [
        (
            "warm",
            [(fmt.share(result.warm_share), "plain"), (" found a process ready" if result.started else "", "dim")],
        ),
        ("start", _percentiles(result.starts, (50, 95, 99))),
    ]
    if plan.rate_per_s is not None:
        rows.append(("plan to start", _percentiles(result.from_plan, (50, 95, 99))))
    if plan.say:
        rows.append(("first words", _percentiles(result.first_words, (50, 95))))
        rows.append(("whole reply", _percentiles(result.turns, (50, 95))))
    if result.silent:
        rows.append(("", [(f"! {plural(result.silent, 'line')} got no reply", "warn")]))
    rows += [
        ("peak", [("all ", "dim"), (fmt.megabytes(result.peak_all_mb), "plain"), ("  job ", "dim"),
                  (fmt.megabytes(result.peak_job_mb), "plain"), ("  load ", "dim"),
                  (fmt.NOTHING if result.peak_load is None else f"{result.peak_load:.2f}", "plain")]),
        ("rate", [*_rate(result, plan), ("  in ", "dim"), (f"{result.duration_s:.1f} s", "plain")]),
    ]  # fmt: skip
    if result.lines_dropped:
        rows.append(("log lines", [(f"! {fmt.count(result.lines_dropped)} dropped", "warn")]))
    return rows


def verdict(result: Result) -> Line:
    """How the run ended, in one line."""
    if result.trouble:
        return [(f"✗ {clean(result.trouble, 200)}", "bad")]
    if result.stopped:
        return [("■ stopped", "warn"), (": its jobs were ended" if not result.lost else "", "dim")]
    if not result.accepted:
        return [("◆ no job was accepted", "warn")]
    return [("✓ every accepted job ended well", "good")] if result.good else [("✗ not every job ended well", "bad")]


def _percentiles(values: Sequence[float], wanted: tuple[int, ...]) -> Line:
    line: Line = []
    for number in wanted:
        found = fmt.millis(percentile(values, number / 100))
        line += [("  " if line else "", ""), (f"p{number} ", "dim"), (found, "plain")]
    return line


def _rate(result: Result, plan: Plan) -> Line:
    found = fmt.NOTHING if result.rate_per_s is None else _per_second(result.rate_per_s)
    planned = "" if plan.rate_per_s is None or result.planned == plan.burst else f" of {_per_second(plan.rate_per_s)}"
    return [(found, "plain"), (planned, "dim")]


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s"
