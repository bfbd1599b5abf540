"""What people read of the supervisor: the log line of an event, the line where a stack stands."""

import os
from collections.abc import Iterable

from workbench.agent.problem import Problem
from workbench.model import events as ev
from workbench.model.state import State
from workbench.model.text import plural

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUR_FRAME = f'  File "{OURS}{os.sep}'.encode()


def words_of(event: ev.Event, state: State) -> tuple[str, str] | None:
    """Level and text of the log line of an event that a person may want to read later."""
    match event:
        case ev.JobEnded():
            level = "INFO" if event.status == "completed" else "WARNING" if event.status == "cancelled" else "ERROR"
            detail = event.error or (f"exit code {event.exit_code}" if event.exit_code is not None else "")
            how = " ".join(part for part in (event.reason, event.signal) if part)
            return level, f"{event.id} {event.status} / {how}" + (f": {detail}" if detail else "")
        case ev.JobRefused():
            return "WARNING", f"job refused: {event.reason}: {event.text}"
        case ev.PoolHeld():
            return ("ERROR" if event.degraded else "WARNING"), event.why
        case ev.MemoryCrossed():
            text = f"uses {event.memory_mb:.0f} MB, memory_warn_mb {event.warn_mb:g}"
            return "WARNING", f"process {_pid(event.id, state)} {text}"
        case ev.ProcessStalled():
            at = f" at {event.stack}" if event.stack else ""
            text = f"its loop has stood still for {event.age_s:.1f} s{at}"
            return "WARNING", f"process {_pid(event.id, state)}: {text}"
        case ev.ProcessExited() if event.unexpected:
            how = event.signal or (f"exit code {event.exit_code}" if event.exit_code is not None else "not made")
            return "ERROR", f"process {event.id} died: {how}" + (f": {event.why}" if event.why else "")
        case ev.ReloadDone():
            return "INFO", f"generation {event.generation} serves after {event.took_ms:.0f} ms"
        case ev.ReloadFailed():
            problem = Problem.from_json(event.problem)
            kept = f"; generation {state.worker.generation} still serves" if state.worker.generation else ""
            return "ERROR", "\n".join([f"cannot load the agent: {problem.headline()}{kept}", *problem.excerpt()])
        case ev.LateReport():
            return "WARNING", f"late: {event.id}: {event.text}"
        case ev.DrainStarted():
            return "WARNING", f"draining: {event.why}; {plural(len(state.active_jobs()), 'job')} left"
        case ev.Noted():
            return event.level, event.text
        case _:
            return None


def _pid(process_id: int, state: State) -> int:
    process = state.processes.get(process_id)  # told a moment later, it may have gone
    return process.pid if process is not None else 0


def telling_line(dump: Iterable[str], root: str, *, whole: bool = True) -> str:
    """`agent.py:12 in entrypoint`: where the thread that runs the loop stands, in the project if it passes there.

    A dump comes in pieces, other threads mostly first. Of one that may not be `whole` only a line is told that
    nothing to come can change.
    """
    lines = list(dump)
    frames = [line.strip() for line in _current_thread(lines) or (lines if whole else []) if line.startswith("  File ")]
    mine = [line for line in frames if root and f'"{root}' in line and "site-packages" not in line]
    chosen = (mine or (frames if whole else []))[:1]
    if not chosen:
        return ""
    file, _, rest = chosen[0].removeprefix('File "').partition('", line ')
    line, _, name = rest.partition(" in ")
    return f"{os.path.relpath(file, root) if root else file}:{line} in {name}"


def _current_thread(dump: list[str]) -> list[str]:
    """The frames of the thread that got the signal: the main one, which others may be listed before."""
    starts = [index for index, line in enumerate(dump) if line.startswith("Current thread ")]
    if not starts:
        return []
    block: list[str] = []
    for line in dump[starts[-1] + 1 :]:
        if not line.startswith("  "):
            break
        block.append(line)
    return block


def without_scaffold(dump: Iterable[bytes]) -> list[bytes]:
    """A stack dump without what lies below our own frames: how this process came to run the agent tells nobody much."""
    kept: list[bytes] = []
    below = False
    for line in dump:
        frame = line.startswith(b"  File ")
        below = frame and (below or (line.startswith(OUR_FRAME) and bool(kept) and kept[-1].startswith(b"  File ")))
        if not below:
            kept.append(line)
    return kept
