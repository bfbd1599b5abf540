"""The first line: what is wrong with a process, else what it does."""

import re
from typing import Any

from workbench.model.state import Process
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, Span, clean
from workbench.tui.widgets.detail.subject import Subject
from workbench.tui.widgets.slots.notes import stack_line
from workbench.tui.words import process_look


def cause(subject: Subject) -> Line:
    """State and cause with the sign first: `▲ stalled 12s at stuck.py:31 in think`."""
    board, process = subject.board, subject.shown
    if subject.process is None:
        end = subject.end
        if end is None:
            return [("✗ dead", "bad"), (", how it ended is not known", "dim")]
        return _ended(end, subject)
    look = process_look(process)
    words, tone = _words(process, board, subject)
    return [(f"{look.sign} {look.word}{words}", tone or look.tone)]


def _words(process: Process, board: Board, subject: Subject) -> tuple[str, str]:
    now = board.clock()
    over = _over(process, board)
    if process.stalled and process.state != "stopping":
        age = process.heartbeat_age_s
        at = stack_line(process.stack)
        return f" {fmt.age(age)}{' at ' + at if at else ''}{'; ' + over if over else ''}", "bad"
    since = f" for {fmt.age(now - process.since)}"
    if process.state == "stopping":
        return f"{since}: {clean(process.why, 200)}" if process.why else since, "warn"
    if over:
        return f", {over}", "warn"
    if process.state == "starting":
        return since, ""
    job = subject.job
    if job is not None:
        asked = f", told to end: {clean(job.asked, 40)}" if job.asked else ""
        return f"{since} with {clean(job.id, 60)}{asked}", "warn" if asked else ""
    return f"{since}, ready for a job", ""


def _over(process: Process, board: Board) -> str:
    warn, limit = board.state.option("memory_warn_mb"), board.state.option("memory_limit_mb")
    grade = fmt.grade(process.memory_mb, warn, limit)
    mark = limit if grade == 2 else warn
    return f"over {mark:g} MB: holds {process.memory_mb:.0f} MB" if grade else ""


def _ended(end: dict[str, Any], subject: Subject) -> Line:
    ago: Span = (f"  {fmt.age(subject.board.clock() - end['at'])} ago", "dim")
    if end["exit_code"] or end["signal"] or end["why"]:
        return [(f"✗ dead: {end_words(end)}", "bad"), ago]
    stops = [entry["why"] for entry in subject.get("history") or () if entry["state"] == "stopping"]
    why = f": {clean(stops[-1], 200)}" if stops and stops[-1] else ""
    return [(f"■ ended{why}, {end_words(end)}", "dim"), ago]


def end_words(end: dict[str, Any]) -> str:
    """How it ended: the cause we know, and what the kernel says."""
    code, signal, why = end["exit_code"], end["signal"], clean(end["why"] or "", 300)
    kernel = f"killed by {signal}" if signal else f"exited {code}" if code is not None else "never came to be"
    if found := re.match(r"held (\S+ MB), (over \S+ MB)", why):  # memory_limit_mb was hit: both figures in few words
        return f"{found[2]}: killed at {found[1]}"
    return f"{why} ({kernel})" if why else kernel
