"""What people read of the supervisor: the log line of an event, the line where a stack stands."""

import os
from collections.abc import Iterable, Sequence

from workbench.model import events as ev
from workbench.model.paths import seen_from
from workbench.model.state import State
from workbench.model.text import plural

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUR_FRAME = f'  File "{OURS}{os.sep}'.encode()
MOST_NAMES = 3
GROWN_MB = 20.0
GROWN_SHARE = 0.25
SLOWER_TIMES = 2.0
SLOWER_MS = 200.0


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
            serves = f"generation {event.generation} serves after {event.took_ms:.0f} ms"
            level = "WARNING" if event.needs_restart or costs_more(event, state) else "INFO"
            return level, serves + reload_facts(event, state)
        case ev.ReloadFailed():
            return "ERROR", _broken(event, state)
        case ev.ReloadPending() if event.changed:
            return "INFO", f"saved, and not loaded before somebody asks for it: {listed(event.changed)}"
        case ev.LateReport():
            return "WARNING", f"late: {event.id}: {event.text}"
        case ev.DrainStarted():
            return "WARNING", f"draining: {event.why}; {plural(len(state.active_jobs()), 'job')} left"
        case ev.LinkChanged() | ev.LinkMessageDropped() | ev.SlotReleased():
            return _of_the_registry(event, state)
        case ev.Noted():
            return event.level, event.text
        case _:
            return None


def _of_the_registry(event: ev.Event, state: State) -> tuple[str, str] | None:
    match event:
        case ev.LinkChanged() if event.state == "connected":
            return "INFO", f"registry: {event.why} at {event.url}"
        case ev.LinkMessageDropped():
            count = state.counters["link_messages_dropped"]
            return ("WARNING", f"registry: message {count} dropped: {event.why}") if count.bit_count() == 1 else None
        case ev.SlotReleased() if event.why == "expired":
            return "WARNING", f"registry: {event.id} was accepted, but never assigned; its slot is free again"
        case _:
            return None


def listed(names: Sequence[str]) -> str:
    """`bot.py, shop.py, prompts/a.md and 4 more`."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def reload_facts(event: ev.ReloadDone, state: State) -> str:
    """`: bot.py; import 41 ms (+3), process 23.1 MB (+0.4); needs restart: port`, as far as it is known."""
    reload = state.reload
    costs = []
    if event.import_ms:
        costs.append(f"import {event.import_ms:.0f} ms{_change(event.import_ms, reload.import_before_ms, 0)}")
    if event.memory_mb:
        costs.append(f"process {event.memory_mb:.1f} MB{_change(event.memory_mb, reload.memory_before_mb, 1)}")
    changed = f": {listed(reload.changed)}" if reload.changed else ""
    restart = f"needs restart: {', '.join(event.needs_restart)}" if event.needs_restart else ""
    return changed + "".join(f"; {part}" for part in (", ".join(costs), restart) if part)


def costs_more(event: ev.ReloadDone, state: State) -> bool:
    """Whether the new code takes so much more memory or time to load that its author will want to know."""
    reload = state.reload
    grown_mb = _more(event.memory_mb, reload.memory_before_mb)
    slower_ms = _more(event.import_ms, reload.import_before_ms)
    return (
        grown_mb >= GROWN_MB
        or 0 < (reload.memory_before_mb or 0.0) * GROWN_SHARE <= grown_mb
        or (slower_ms >= SLOWER_MS and event.import_ms >= SLOWER_TIMES * (reload.import_before_ms or 0.0))
    )


def _more(now: float, before: float | None) -> float:
    return now - before if now and before else 0.0  # 0 is what was not measured


def _change(now: float, before: float | None, digits: int) -> str:
    return f" ({round(_more(now, before), digits) + 0.0:+.{digits}f})" if before else ""  # + 0.0: there is no -0


def _broken(event: ev.ReloadFailed, state: State) -> str:
    """What is wrong and where, what was saved, and what serves meanwhile."""
    from workbench.agent.problem import Problem  # with all of pydantic: the screen has no use for it

    problem, generation = Problem.from_json(event.problem), state.worker.generation
    parts = [f"{'new code cannot serve' if generation else 'cannot load the agent'}: {problem.headline()}"]
    if state.reload.changed:
        parts.append(f"changed: {listed(state.reload.changed)}")
    if generation:
        parts.append(f"generation {generation} still serves {plural(len(state.active_jobs()), 'job')}")
    return "\n".join(["; ".join(parts), *problem.excerpt()])


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
    chosen = ([line for line in frames if is_of_project(line, root)] or (frames if whole else []))[:1]
    if not chosen:
        return ""
    file, line, name = frame_of(chosen[0])
    return f"{seen_from(file, root) if root else file}:{line} in {name}"


def is_of_project(frame: str, root: str) -> bool:
    """Whether a line of a stack dump is a frame of the agent's own files."""
    return bool(root) and f'  File "{root}' in f"  {frame.strip()}" and "site-packages" not in frame


def frame_of(line: str) -> tuple[str, str, str]:
    """File, line and name of a frame's line in a dump."""
    file, _, rest = line.strip().removeprefix('File "').partition('", line ')
    number, _, name = rest.partition(" in ")
    return file, number, name


def user_frame(dump: Iterable[str], root: str) -> tuple[str, str, str] | None:
    """The project's frame that the thread of the loop stands in, else the first one of another thread or task."""
    lines = list(dump)
    for some in (_current_thread(lines), lines):
        for line in some:
            if line.startswith("  File ") and is_of_project(line, root):
                return frame_of(line)
    return None


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
