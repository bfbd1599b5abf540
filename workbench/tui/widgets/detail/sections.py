"""What each section tells, as lines for a width. Pure functions of what is known of the process."""

from collections.abc import Callable
from typing import NamedTuple

from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.lines import Line, Span, clean, cut, pad, wrap
from workbench.tui.widgets.detail.cause import end_words
from workbench.tui.widgets.detail.charts import chart
from workbench.tui.widgets.detail.stack import stack_lines
from workbench.tui.widgets.detail.subject import Subject
from workbench.tui.widgets.slots.columns import BEAT_LATE_S, LAG_HIGH_MS
from workbench.tui.words import ASSIGNED, job_end, job_look, level_tone

LABEL = 9
SECONDS = 60
FIGURE = 7
LINES_SHOWN = 20
WAITING: Line = [("  …", "faint")]


class View(NamedTuple):
    """How it is to be shown: the environment in full, charts of so many rows."""

    environment: bool = False
    chart_rows: int = 1


Section = Callable[[Subject, int, View], list[Line]]


def _row(label: str, *spans: Span) -> Line:
    return [(f"  {pad(label, LABEL)} ", "faint"), *spans]


def about(subject: Subject, width: int, view: View) -> list[Line]:
    """Which process it is, how it was started and why so, and its job."""
    process, board, job = subject.shown, subject.board, subject.job
    serving = board.state.worker.generation
    other = "" if process.generation == serving else f", {serving} serves"
    started = subject.get("started_at")
    ended = subject.end
    age = fmt.age((ended["at"] if ended else board.clock()) - started) if started else fmt.NOTHING
    lines = [
        _row(
            "pid", (str(process.pid or "…"), "strong"), (f"   generation {process.generation}{other}", "dim"),
            (f"   {'lived' if ended else 'up'} {age}", "dim"),
        ),
        _row("start", (clean(process.start_method, 20), "plain"), *_why(subject)),
    ]  # fmt: skip
    warm = f"ready after {fmt.millis(process.warm_ms)}" if process.warm_ms is not None else "not ready yet"
    parts = [warm, f"{plural(process.jobs_done, 'job')} done"]
    if subject.get("threads") is not None:
        limit = subject.get("descriptor_limit")
        of = f" of {fmt.count(limit)}" if limit else ""
        parts += [plural(subject.get("threads"), "thread"), f"{subject.get('descriptors')}{of} files open"]
    lines += _rows("", ", ".join(parts), width, "dim")
    if ended is not None:
        lines += _rows("end", end_words(ended), width, "plain")
    if job is not None:
        since = f", for {fmt.age(board.clock() - job.started_at)}" if job.started_at else ""
        room = f" in {clean(job.room_id, 60)}" if job.room_id != job.id else ""
        begun = f", began after {fmt.millis(job.start_latency_ms)}" if job.start_latency_ms is not None else ""
        given = f", {ASSIGNED} from the registry {clean(board.state.link.url, 80)}".rstrip() if job.assigned else ""
        lines += _rows("job", f"{clean(job.id, 60)}{room}{since}{begun}{given}", width, "strong")
        told = "  ".join(f"{clean(key, 40)}={clean(value, 120)}" for key, value in job.report.items())
        lines += _rows("report", told, width, "plain")
    elif ended is None:
        lines.append(_row("job", ("none", "dim")))
    return lines


def _why(subject: Subject) -> list[Span]:
    why = subject.get("start_method_why")
    return [(f": {clean(why, 300)}", "dim")] if why else []


def memory(subject: Subject, width: int, view: View) -> list[Line]:
    """Own, shared and of the tree, with the marks; what each figure counts."""
    board, found = subject.board, subject.get("memory")
    warn, limit = (board.state.option(name) or 0.0 for name in ("memory_warn_mb", "memory_limit_mb"))
    tree = subject.shown.memory_mb if found is None else found["tree"]["mb"]
    grade = fmt.grade(tree, warn, limit)
    marks = [(at, sign) for at, sign in ((warn, "┊"), (limit, "┃")) if at]
    top = max(limit or warn * 1.25, (tree or 0.0) * 1.05, 1.0)
    words = [f"warn {warn:g}" if warn else "no warning", f"limit {limit:g}" if limit else "no limit"]
    tone = fmt.GRADE_TONES[grade] if grade else "info"
    told = f" {' '.join(words)} MB"
    figure: Span = (pad(f"{tree:.1f}M" if tree is not None else fmt.NOTHING, FIGURE, right=True), tone)
    bar = fmt.bar(tree, top, max(width - LABEL - FIGURE - len(told) - 6, 8), marks, tone)
    lines = [_row("at last" if subject.end else "tree", figure, (" ", ""), *bar, (told, "dim"))]
    for name in ("own", "shared", "resident", "peak", "swap"):
        part = (found or {}).get(name)
        if part is not None:
            figures: Span = (pad(f"{part['mb']:.1f}M", FIGURE, right=True), "plain")
            lines.append(_row(name, figures, (f"  {clean(part['metric'], 120)}", "faint")))
    if found is not None:
        lines.append(_row("", (" " * FIGURE, ""), (f"  tree: {clean(found['tree']['metric'], 120)}", "faint")))
    return lines


def trends(subject: Subject, width: int, view: View) -> list[Line]:
    """CPU, memory, lag of the loop and age of the heartbeat, second by second."""
    process, history = subject.shown, subject.board.history
    trend = history.processes.get(process.id) or history.ended.get(process.id)
    if trend is None:
        return [[("  nothing was measured of it while this screen ran", "faint")]]
    cells = min(max(width - LABEL - FIGURE - 5, 10), SECONDS)
    known = min(cells, len(trend.beat_s))
    late = sum(beat > BEAT_LATE_S for beat in list(trend.beat_s)[-cells:])
    marks = [subject.board.state.option(name) or 0.0 for name in ("memory_warn_mb", "memory_limit_mb")]
    rows: list[tuple[str, str, list[Line]]] = [
        (
            "cpu", fmt.share(process.cpu),
            chart(trend.cpu, cells, view.chart_rows, max(1.0, *trend.cpu, 0.0), lambda value: "busy"),
        ),
        (
            "memory", fmt.megabytes(process.memory_mb),
            chart(
                trend.memory_mb, cells, view.chart_rows, max(marks[1] or marks[0], *trend.memory_mb, 1.0),
                lambda value: ("info", "warn", "bad")[fmt.grade(value, *marks)],
            ),
        ),
        (
            "loop lag", fmt.millis(process.loop_lag_ms),
            chart(
                trend.lag_ms, cells, view.chart_rows, max(LAG_HIGH_MS, *trend.lag_ms, 0.0),
                lambda value: "warn" if value > LAG_HIGH_MS else "good",
            ),
        ),
        (
            "beat", fmt.beat(process.heartbeat_age_s),
            chart(
                trend.beat_s, cells, view.chart_rows, max(2 * BEAT_LATE_S, *trend.beat_s, 0.0),
                lambda value: "bad" if value > BEAT_LATE_S else "good",
            ),
        ),
    ]  # fmt: skip
    lines = []
    for label, figure, chart_lines in rows:
        for number, drawn in enumerate(chart_lines):
            last = number == len(chart_lines) - 1
            head: Span = (pad(figure if last else "", FIGURE, right=True), "plain")
            lines.append([*_row(label if last else "", head, (" ", "")), *drawn])
    words = f"last {known} s; " + (f"heartbeat late in {late} of them" if late else "no late heartbeat")
    return [*lines, _row("", (words, "warn" if late else "faint"))]


def stack(subject: Subject, width: int, view: View) -> list[Line]:
    """The last dump, the user's frames marked."""
    return stack_lines(subject, width)


def output(subject: Subject, width: int, view: View) -> list[Line]:
    """The last lines it printed or logged."""
    found = subject.get("last_lines")
    if found is None:
        return [WAITING]
    lines: list[Line] = []
    for at, level, text in found[-LINES_SHOWN:]:
        tone = level_tone(clean(level, 16))
        text_tone = tone if tone in ("bad", "warn", "dim") else "plain"
        lines.append([(f"  {fmt.clock_time(at)} ", "faint"), (cut(clean(text, 2000), width - 11), text_tone)])
    return lines or [[("  it has printed and logged nothing", "faint")]]


def jobs(subject: Subject, width: int, view: View) -> list[Line]:
    """What it ran, newest first: how it ended, how soon it began, how long it took."""
    found = subject.get("jobs")
    if found is None:
        return [WAITING]
    lines: list[Line] = []
    for job in found:
        look = job_look(clean(job["status"], 20))
        how = job_end(job["status"], job["reason"], job["signal"], job["exit_code"])
        took = job["duration_s"]
        took = fmt.age(took) if took is not None and took >= 1 else fmt.millis(None if took is None else took * 1e3)
        begun = fmt.millis(job["start_latency_ms"])
        error = f": {clean(job['error'], 300)}" if job["error"] else ""
        figures = f"  {pad(begun, 6, right=True)} {pad(took, 6, right=True)}  "
        lines.append(
            [(f"  {look.sign} ", look.tone), (pad(clean(job["id"], 60), 16), "plain"), (figures, "dim"),
             (cut(clean(how, 60) + error, max(width - 36, 8)), look.tone if job["status"] == "failed" else "dim")]
        )  # fmt: skip
    if not lines:
        return [[("  none yet", "faint")]]
    more = (subject.get("jobs_total") or 0) - len(found)
    head: Line = [(f"    {pad('job', 16)}   began   took  end", "faint")]
    return [head, *lines, *([[(f"    and {more} more before", "faint")]] if more > 0 else [])]


def states(subject: Subject, width: int, view: View) -> list[Line]:
    """Its states, newest first, with what led to each."""
    found = subject.get("history")
    if found is None:
        return [WAITING]
    tones = {"stalled": "bad", "dead": "bad", "stopping": "warn", "over memory": "warn", "busy": "busy"}
    lines: list[Line] = []
    for entry in reversed(found):
        state, why = clean(entry["state"], 20), clean(entry["why"], 300)
        lines.append(
            [(f"  {fmt.clock_time(entry['at'])} ", "faint"), (pad(state, 12), tones.get(state, "plain")),
             (cut(why, max(width - 24, 8)), "dim")]
        )  # fmt: skip
    return lines


def children(subject: Subject, width: int, view: View) -> list[Line]:
    """What it started."""
    found = subject.get("children")
    if found is None:
        return [[("  it has ended, and what it started with it", "faint")] if subject.finished else WAITING]
    lines: list[Line] = []
    for child in found:
        mb = fmt.megabytes(child["memory_mb"])
        words = clean(child["command"], 300) or f"[{clean(child['name'], 40)}]"
        lines.append(
            [(f"  {pad(str(child['pid']), 8)}", "plain"), (f"{pad(mb, 5, right=True)}  ", "dim"),
             (cut(words, max(width - 18, 8)), "plain")]
        )  # fmt: skip
    more = (subject.get("children_total") or 0) - len(found)
    lines += [[(f"  and {more} more", "faint")]] if more > 0 else []
    return lines or [[("  none", "faint")]]


def environment(subject: Subject, width: int, view: View) -> list[Line]:
    """The variables that it was started with, secrets hidden; folded until asked for."""
    found = subject.get("environment")
    if found is None and (why := subject.get("environment_why")):
        return [[(f"  {cut(clean(why), width - 2)}", "faint")]]
    if found is None:
        return [[("  it has ended", "faint")] if subject.finished else WAITING]
    if not view.environment:
        return [
            [(f"  {plural(len(found), 'variable')}, secrets hidden; ", "faint"), ("e", "accent"), (" shows", "dim")]
        ]
    lines: list[Line] = []
    for name, value in found.items():
        shown = clean(name, 80)
        lines.append(
            [(f"  {shown}", "info"), ("=", "faint"), (cut(clean(value), max(width - len(shown) - 4, 8)), "plain")]
        )
    return lines


def _rows(label: str, text: str, width: int, tone: str) -> list[Line]:
    """A text of any length behind a label; none for no text."""
    pieces = wrap(text, max(width - LABEL - 4, 10)) if text else []
    return [_row(label if number == 0 else "", (piece, tone)) for number, piece in enumerate(pieces)]


SECTIONS: tuple[tuple[str, Section], ...] = (
    ("Process", about),
    ("Memory", memory),
    ("Last minute", trends),
    ("Stack", stack),
    ("Output", output),
    ("Jobs", jobs),
    ("States", states),
    ("Children", children),
    ("Environment", environment),
)
