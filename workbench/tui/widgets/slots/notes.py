"""The last column: the one thing to know about a place."""

from workbench.model.state import Job, Process
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Span, clean
from workbench.tui.places import Place
from workbench.tui.words import ASSIGNED, job_look, job_story


def place_note(place: Place, board: Board) -> Span:
    """What is wrong, else what is going on, else how the last job ended."""
    if place.process is None:
        return _last_end(place)
    process, job = place.process, place.job
    if process.stalled:
        line = stack_line(process.stack)
        return f"loop stands still{' at ' + line if line else ''}", "bad"
    if process.state == "stopping":
        return clean(process.why), "warn"
    return _memory(process, board) or (_of_job(job, process, board) if job else _idle(place, board))


def stack_line(stack: str) -> str:
    """The line a stack dump names: its innermost, where the dump has several."""
    lines = [line.strip() for line in stack.splitlines() if line.strip()]
    return clean(lines[-1], 120) if lines else ""


def _memory(process: Process, board: Board) -> Span | None:
    warn, limit = board.state.option("memory_warn_mb"), board.state.option("memory_limit_mb")
    grade = fmt.grade(process.memory_mb, warn, limit)
    if not grade:
        return None
    return f"over {fmt.megabytes(limit if grade == 2 else warn)}", fmt.GRADE_TONES[grade]


def _of_job(job: Job, process: Process, board: Board) -> Span:
    if job.asked:
        return f"told to end: {clean(job.asked, 20)}", "warn"
    pinned = f"gen {process.generation} pinned" if job.pinned else ""
    if job.report:
        told = clean("  ".join(f"{key}={value}" for key, value in job.report.items()), 120)
        return f"{pinned}  {told}".strip(), "dim"
    if pinned:
        return pinned, "dim"
    if process.generation != board.state.worker.generation:
        return "older code, ends with its job", "dim"
    if job.assigned:
        return f"{ASSIGNED} registry", "dim"
    return ("own job" if job.own else "", "dim")


def _idle(place: Place, board: Board) -> Span:
    """In a worker that has no job, what a process that is ready waits for."""
    if place.last_job is None and place.process is not None and place.process.state == "idle":
        return ("", "") if board.state.active_jobs() else ("n starts a job", "faint")
    return _last_end(place)


def _last_end(place: Place) -> Span:
    job = place.last_job
    if job is None or job.active:
        return "", ""
    look = job_look(job.status)
    tone = look.tone if job.status == "failed" else "faint"
    return f"{look.sign} last: {clean(job_story(job), 160)}", tone
