"""All about one worker or one job of a registry, as lines. Pure functions of what the registry told."""

import json
from collections.abc import Iterable

from workbench.client.registry_watch import Attempt, SeenJob, SeenWorker
from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.lines import Line, Span, clean, fit, pad, wrap
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.notes import short
from workbench.tui.registry.words import job_look, job_why, worker_look, worker_note

LABEL = 11
JOBS_SHOWN = 200


def lines_of(item: SeenWorker | SeenJob, board: RegistryBoard, width: int) -> list[Line]:
    """The page about it."""
    made = worker_lines(item, board, width) if isinstance(item, SeenWorker) else job_lines(item, board, width)
    return [fit(line, width) for line in made]


def head_of(item: SeenWorker | SeenJob, board: RegistryBoard) -> tuple[Line, Line]:
    """How it stands, and which one it is."""
    if isinstance(item, SeenWorker):
        look, note, kind = worker_look(item), worker_note(item, board), "worker"
    else:
        look, note, kind = job_look(item), job_why(item, board), "job"
    why: Line = [(f"  {note[0]}", note[1])] if note[0] else []
    return [(" ", ""), *look.line, *why], [(f"{kind} {short(item.id)}", "dim")]


def worker_lines(worker: SeenWorker, board: RegistryBoard, width: int) -> list[Line]:
    """Who it is, its slots and load, and its jobs."""
    limit = "no threshold" if worker.load_threshold is None else f"threshold {fmt.share(worker.load_threshold)}"
    itself = "" if worker.job_count is None else f", by its own count {worker.job_count}"
    slots = f"{worker.slots_used} of {worker.max_processes} taken{itself}"
    lines = [
        *_title("Worker"),
        *_rows("id", clean(worker.id, 200), width, "strong"),
        *_rows("agent", clean(worker.agent_name, 200), width),
        *_rows("kind", clean(worker.kind, 40), width),
        *_rows("address", clean(worker.address, 200), width),
        *_rows("says", f"{clean(worker.status, 40)}{', drained here' if worker.draining else ''}", width),
        *_rows("slots", slots, width),
        *_rows("load", f"{fmt.share(worker.load)}, {limit}", width),
        *_rows("registered", _since(worker.registered_at, board), width),
        *_rows("last seen", _since(worker.last_seen_at, board), width),
        *_notes(worker.notes, width), [], *_title("Jobs"),
    ]  # fmt: skip
    for id in worker.jobs[:JOBS_SHOWN]:
        job = board.seen.jobs.get(id)
        lines.append(_job_row(job, board) if job is not None else [(f"  {short(id)}", "dim")])
    more = len(worker.jobs) - JOBS_SHOWN
    lines += [[(f"  and {more} more", "faint")]] if more > 0 else []
    return lines if worker.jobs else [*lines, [("  none", "faint")]]


def _job_row(job: SeenJob, board: RegistryBoard) -> Line:
    look, age = job_look(job), fmt.age(board.now() - job.queued_at)
    return [
        (f"  {look.sign} ", look.tone), (pad(short(job.id), 10), "plain"), (pad(look.word, 11), look.tone),
        (f"{pad(age, 6, right=True)}  room {clean(job.room_id, 128)}", "dim"),
    ]  # fmt: skip


def job_lines(job: SeenJob, board: RegistryBoard, width: int) -> list[Line]:
    """What it is, who has it or had it, how it ended, and what it was given."""
    lines = [
        *_title("Job"),
        *_rows("id", clean(job.id, 200), width, "strong"),
        *_rows("agent", clean(job.agent_name, 200), width),
        *_rows("room", clean(job.room_id, 200), width),
        *_rows("worker", clean(job.worker_id or "none", 200), width),
        *_rows("queued", _since(job.queued_at, board), width),
        *_rows("started", _since(job.started_at, board), width),
        *_rows("ended", _since(job.ended_at, board), width),
        *_rows("took", _took(job.started_at, job.ended_at), width),
        *_rows("reason", clean(job.reason or "", 60), width),
        *_rows("error", clean(job.error or "", 4000), width, "bad" if job.status == "failed" else "plain"),
        *_notes(job.notes, width), [], *_title("Attempts"),
    ]  # fmt: skip
    lines += [_attempt_row(attempt, board) for attempt in job.attempts] or [[("  none yet", "faint")]]
    lines += [[], *_title("Metadata")]
    text = json.dumps(job.metadata, indent=1, ensure_ascii=False) if job.metadata else ""
    lines += (
        [[("  ", ""), (clean(row, 2000), "plain")] for row in text.split("\n")] if text else [[("  none", "faint")]]
    )
    lines += [[], *_title("Room options")]
    return [*lines, *_rows("given", ", ".join(clean(name, 80) for name in job.room_options) or "none", width)]


def _attempt_row(attempt: Attempt, board: RegistryBoard) -> Line:
    over = attempt.ended_at is not None
    reason = clean(attempt.reason or ("over" if over else "under way"), 60)
    took = _took(attempt.started_at, attempt.ended_at)
    began = "never started" if attempt.started_at is None and over else took
    return [
        (f"  {attempt.attempt}  ", "strong"), (pad(short(attempt.worker_id), 10), "plain"),
        (f"assigned {_since(attempt.assigned_at, board)}  ", "dim"), (f"{reason}  ", "plain"), (began, "dim"),
    ]  # fmt: skip


def _title(name: str) -> list[Line]:
    return [[(f" {name} ", "head")]]


def _rows(label: str, text: str, width: int, tone: str = "plain") -> list[Line]:
    """A text of any length behind a label; none for no text."""
    pieces = wrap(text, max(width - LABEL - 4, 10)) if text else []
    made: list[Line] = []
    for number, piece in enumerate(pieces):
        lead: Span = (f"  {pad(label if not number else '', LABEL)} ", "faint")
        made.append([lead, (piece, tone)])
    return made


def _notes(notes: Iterable[str], width: int) -> list[Line]:
    return [line for note in notes for line in _rows("note", clean(note, 500), width, "warn")]


def _since(at: float | None, board: RegistryBoard) -> str:
    return f"{fmt.clock_time(at)}, {fmt.age(board.now() - at)} ago" if at else ""


def _took(start: float | None, end: float | None) -> str:
    return fmt.age(end - start) if start is not None and end is not None else ""


def jobs_words(worker: SeenWorker) -> str:
    """`3 jobs that run go on`."""
    jobs = len(worker.jobs)
    return f"; {plural(jobs, 'job')} that {'runs goes' if jobs == 1 else 'run go'} on" if jobs else ""
