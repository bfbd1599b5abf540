"""The columns of the process table. Each has a rank: where width is short the highest ranks leave first."""

from collections.abc import Sequence

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.columns import Column, least, needed, stretched
from workbench.tui.lines import Line, Span, clean, pad
from workbench.tui.places import Place
from workbench.tui.widgets.slots.notes import place_note
from workbench.tui.words import ASSIGNED, Look, process_look

TREND_CELLS = 10
GEN_CELLS = 4
PINNED = "="
OTHER_CODE = "<"  # than what serves
EXTRA_RANK = 11
NOTE_CELLS = 24  # what the note has before columns of this rank and above get room
BEAT_LATE_S = 1.0
LAG_HIGH_MS = 200.0
EMPTY = Look("·", "empty", "faint")


def _state(place: Place, board: Board) -> Span:
    look = process_look(place.process) if place.process else EMPTY
    return f"{look.sign} {look.word}", look.tone


def _pid(place: Place, board: Board) -> Span:
    process = place.process
    return (str(process.pid) if process.pid else "…", "plain") if process else ("", "")


def _generation(place: Place, board: Board) -> Span:
    if place.process is None:
        return "", ""
    number = place.process.generation
    old = number != board.state.worker.generation
    mark = PINNED if place.job and place.job.pinned else OTHER_CODE if old else ""
    text = next((text for text in (f"g{number}{mark}", f"{number}{mark}") if len(text) <= GEN_CELLS), str(number))
    return text, "warn" if old else "dim"


def _cpu(place: Place, board: Board) -> Span:
    cpu = place.process.cpu if place.process else None
    return (fmt.share(cpu), "plain" if (cpu or 0) >= 0.005 else "faint") if place.process else ("", "")


def _memory(place: Place, board: Board) -> Span:
    if place.process is None:
        return "", ""
    marks = [board.state.option(name) for name in ("memory_warn_mb", "memory_limit_mb")]
    grade = fmt.grade(place.process.memory_mb, *marks)
    tone = "plain" if grade == 0 else fmt.GRADE_TONES[grade]
    return f"{fmt.megabytes(place.process.memory_mb)}{fmt.GRADE_SIGNS[grade]:<2}", tone


def _memory_trend(place: Place, board: Board) -> Span:
    trend = board.history.processes.get(place.process.id) if place.process else None
    if trend is None:
        return "", ""
    top = board.state.option("memory_limit_mb") or board.state.option("memory_warn_mb") or None
    return fmt.spark(trend.memory_mb, TREND_CELLS, top), "info"


def _cpu_trend(place: Place, board: Board) -> Span:
    trend = board.history.processes.get(place.process.id) if place.process else None
    return (fmt.spark(trend.cpu, TREND_CELLS, 1.0), "busy") if trend else ("", "")


def _beat(place: Place, board: Board) -> Span:
    if place.process is None:
        return "", ""
    age = place.process.heartbeat_age_s
    return fmt.beat(age), "bad" if age is not None and age > BEAT_LATE_S else "dim"


def _lag(place: Place, board: Board) -> Span:
    if place.process is None:
        return "", ""
    if place.process.stalled:
        return fmt.NOTHING, "faint"  # the last one measured says nothing any more: the beat does
    lag = place.process.loop_lag_ms
    return fmt.millis(lag), "warn" if lag is not None and lag > LAG_HIGH_MS else "dim"


def _job(place: Place, board: Board) -> Span:
    if place.job is None:
        return "", ""
    if place.job.assigned:
        return f"{ASSIGNED}{clean(place.job.id, 64)}", "info"
    return clean(place.job.id, 64), "accent" if place.job.own else "plain"


def _room(place: Place, board: Board) -> Span:
    return (clean(place.job.room_id, 64), "dim") if place.job else ("", "")


def _age(place: Place, board: Board) -> Span:
    since = place.job.started_at if place.job else place.process.since if place.process else None
    return (fmt.age(board.clock() - since), "dim") if since is not None else ("", "")


def _done(place: Place, board: Board) -> Span:
    return (str(place.process.jobs_done), "dim") if place.process else ("", "")


COLUMNS = (
    Column("PID", 7, 3, _pid),
    Column("GEN", GEN_CELLS, 6, _generation),
    Column("STATE", 10, 0, _state),
    Column("CPU", 5, 2, _cpu, right=True),
    Column("TREND", TREND_CELLS, EXTRA_RANK + 2, _cpu_trend),
    Column("MEM  ", 6, 1, _memory, right=True),
    Column("TREND", TREND_CELLS, EXTRA_RANK + 1, _memory_trend),
    Column("BEAT", 5, 5, _beat, right=True),
    Column("LAG", 5, 7, _lag, right=True),
    Column("JOB", 11, 4, _job, grow=5),
    Column("ROOM", 13, EXTRA_RANK, _room),
    Column("AGE", 6, 9, _age, right=True),
    Column("DONE", 4, 10, _done, right=True),
    Column("NOTE", 15, 8, place_note, grow=1000),
)


def fitting(width: int) -> list[Column]:
    """The columns for `width` cells, stretched to fill it."""
    kept = list(COLUMNS)
    while len(kept) > 1 and needed(kept) > width:
        kept.remove(least(kept))
    while least(kept).rank >= EXTRA_RANK and stretched(kept, width)[-1].width < NOTE_CELLS:
        kept.remove(least(kept))  # words say more
    return stretched(kept, width)


def row(columns: Sequence[Column], place: Place, board: Board, lead: Span) -> Line:
    """One place's cells."""
    line: Line = [lead, (" ", "")]
    for index, column in enumerate(columns):
        if place.process is None and column.cell is _cpu:  # nothing more to measure: the note takes the room
            room = sum(c.width + 1 for c in columns[index:]) - 1
            text, tone = place_note(place, board)
            return [*line, (pad(text, room), tone)]
        text, tone = column.cell(place, board)
        line.append((pad(text, column.width, right=column.right) + " ", tone))
    return line
