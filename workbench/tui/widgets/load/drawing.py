"""The result as lines, imported when there is one."""

from workbench.client.load.run import LoadRun
from workbench.tui import format as fmt
from workbench.tui.lines import Line, fit, pad, width_of
from workbench.tui.load_words import Row, count_rows, figure_rows, verdict

TWO_COLUMNS_FROM = 78
COUNT_CELLS = 34
LABEL_CELLS = 15
BAR_CELLS = 40


def drawn(run: LoadRun, width: int) -> list[Line]:
    """How far it is, then counts and figures, side by side where there is room."""
    counts, figures = count_rows(run.result), figure_rows(run.result, run.plan)
    if width >= TWO_COLUMNS_FROM:
        left, right = _table(counts, 10), _table(figures, LABEL_CELLS)
        left += [[] for _ in range(len(right) - len(left))]
        right += [[] for _ in range(len(left) - len(right))]
        body = [_beside(one, other) for one, other in zip(left, right, strict=True)]
    else:
        body = _table([*counts, *figures], LABEL_CELLS)
    return [fit(line, width) for line in ([(" ", ""), *_progress(run, width)], *body)]


def standing(run: LoadRun) -> Line:
    """In the bar: the run at a glance, for whoever edits the next one."""
    if run.over:
        return verdict(run.result)
    return [("◐ ending its jobs", "warn")] if run.stopping else [("● pouring", "busy"), ("  x stops", "dim")]


def _progress(run: LoadRun, width: int) -> Line:
    result = run.result
    of = f" of {fmt.count(result.planned)}" if result.planned else ""
    words: Line = [(f"  {fmt.count(result.done)}{of}", "strong"), (f"  {fmt.age(run.elapsed_s)}", "dim")]
    if run.over:
        tone = "good" if result.good and not result.stopped else "warn" if result.good else "bad"
    else:
        tone = "busy"
    cells = min(BAR_CELLS, width - width_of(words) - 2)
    return [*fmt.bar(run.share, 1.0, max(cells, 4), (), tone), *words]


def _table(rows: list[Row], label_cells: int) -> list[Line]:
    lines, last = [], ""
    for label, line in rows:
        lines.append([(pad(f" {label if label != last else ''}", label_cells + 1), "dim"), *line])
        last = label
    return lines


def _beside(left: Line, right: Line) -> Line:
    left = fit(left, COUNT_CELLS - 1)
    return [*left, (" " * (COUNT_CELLS - width_of(left)), ""), *right]
