"""Everything about one process for who looks at it: what it was and did, what procfs tells, how it ended."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.model import events as ev
from workbench.model.state import Job, Process
from workbench.model.text import cut
from workbench.process.child import Child
from workbench.process.examine import Examined, examine
from workbench.supervisor.children import Children
from workbench.supervisor.shell import Shell
from workbench.supervisor.stacks import NoStack, Stacks

ENDED_KEPT = 50
LONGEST_WHY = 500
HISTORY_KEPT = 60
JOBS_TOLD = 50
LINES_TOLD = 40
DUMP_LINES_KEPT = 120  # of a process that has ended
EXAMINE_S = 2.0
GENERATIONS_KEPT = 50


@dataclass(slots=True)
class Record:
    """One process, from its start on; `child` until it has ended; `dump` is the last whole one that is known."""

    process: Process
    started_at: float
    history: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HISTORY_KEPT))
    child: Child | None = None
    dump: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None

    def enter(self, state: str, at: float, why: str = "") -> None:
        """It is in another state."""
        self.history.append({"state": state, "at": at, "why": cut(why, LONGEST_WHY)})


class Details:
    """Follows the events, and answers for each process that lives and for the last ones that have ended."""

    def __init__(self, shell: Shell, children: Children, root: Callable[[], str]) -> None:
        self._shell, self._children = shell, children
        self._stacks = Stacks(children.beats, root)
        self._live: dict[int, Record] = {}
        self._ended: OrderedDict[int, Record] = OrderedDict()
        self._why_started: OrderedDict[int, str] = OrderedDict()  # by generation
        self._examining: dict[int, asyncio.Future[Examined]] = {}

    # --- what happens ---------------------------------------------------------------------------

    def heard(self, event: ev.Event) -> None:
        """An event, after the state has taken it."""
        if isinstance(event, ev.ReloadDone):
            self._why_started[event.generation] = event.start_method_why
            while len(self._why_started) > GENERATIONS_KEPT:
                self._why_started.popitem(last=False)
        elif isinstance(event, ev.ProcessSpawning):
            process = self._shell.state.processes.get(event.id)
            if process is not None:
                record = self._live[event.id] = Record(process, event.at)
                record.enter("starting", event.at)
        elif isinstance(event, ev.JobStarting):
            self._enter(event.process_id, "busy", event.at, event.id)
        elif isinstance(event, ev.ProcessExited):
            self._exited(event)
        else:
            found = self._live.get(getattr(event, "id", 0))
            if found is not None:
                self._changed(found, event)

    def _changed(self, record: Record, event: ev.Event) -> None:
        match event:
            case ev.ProcessForked():
                record.child = self._children.by_id.get(event.id)
            case ev.ProcessReady() | ev.ProcessFreed():
                record.enter("idle", event.at)
            case ev.ProcessStopping():
                record.enter("stopping", event.at, event.why)
            case ev.ProcessStalled():
                if record.history and record.history[-1]["state"] == "stalled":
                    record.history[-1]["why"] = event.stack or record.history[-1]["why"]
                else:
                    record.enter("stalled", event.at - event.age_s, event.stack)
            case ev.ProcessResumed():
                record.enter(record.process.state, event.at, "its loop turns again")
            case ev.MemoryCrossed():
                record.enter("over memory", event.at, f"{event.memory_mb:.0f} MB, memory_warn_mb {event.warn_mb:g}")
            case _:
                return

    def _enter(self, process_id: int, state: str, at: float, why: str) -> None:
        record = self._live.get(process_id)
        if record is not None:
            record.enter(state, at, why)

    def _exited(self, event: ev.ProcessExited) -> None:
        record = self._live.pop(event.id, None)
        if record is None:
            return
        record.enter("dead", event.at, event.why)
        record.ended = {
            "at": event.at, "exit_code": event.exit_code, "signal": event.signal, "why": event.why,
            "unexpected": event.unexpected,
        }  # fmt: skip
        if record.child is not None:
            record.dump, record.child = self._stacks.told(record.child) or record.dump, None
            if record.dump is not None:
                for part in (record.dump["lines"], record.dump["mine"], record.dump["tasks"] or []):
                    del part[DUMP_LINES_KEPT:]
        if record.process.pid:
            self._ended[event.id] = record
            while len(self._ended) > ENDED_KEPT:
                self._ended.popitem(last=False)

    # --- what is asked --------------------------------------------------------------------------

    async def of(self, pid: int) -> dict[str, Any] | None:
        """Everything about a process of this worker; None when no such process is known (any more)."""
        record = self._find(pid)
        if record is None:
            return None
        child = record.child
        found = await self._examine(child) if child is not None and not child.ended else None
        if child is not None and child.ended:
            found = None  # what was read may have been of nobody, or of another
        return self._told(record, found)

    async def stack(self, pid: int) -> dict[str, Any] | None:
        """A stack dump of now; None when no such process lives.

        Raises:
            NoStack: none can be had, and why.
        """
        record = self._find(pid)
        if record is None:
            return None
        if record.child is None:
            raise NoStack("the process has ended", late=False)
        child = record.child
        await self._stacks.ask(child)
        record.dump = self._stacks.told(child) or record.dump  # the watchdog may have begun one of its own by now
        return record.dump

    def _find(self, pid: int) -> Record | None:
        child = self._children.by_pid.get(pid)
        if child is not None:
            return self._live.get(child.id)
        return next((one for one in reversed(self._ended.values()) if one.process.pid == pid), None)

    async def _examine(self, child: Child) -> Examined | None:
        """In a thread: a process that the kernel is busy with lets its readers wait."""
        reading = self._examining.get(child.id)
        if reading is None:
            thread = asyncio.to_thread(examine, child.pid, tuple(child.helpers))
            reading = self._examining[child.id] = asyncio.ensure_future(thread)
            reading.add_done_callback(lambda done: self._examining.pop(child.id))
        await asyncio.wait({reading}, timeout=EXAMINE_S)
        return reading.result() if reading.done() else None

    def _told(self, record: Record, found: Examined | None) -> dict[str, Any]:
        process, state = record.process, self._shell.state
        jobs = [job for job in reversed(state.jobs.values()) if _ran_in(job, record)]
        return {
            **asdict(process),
            "at": time.time(),
            "started_at": record.started_at,
            "start_method_why": self._why_started.get(process.generation, ""),
            "history": list(record.history),
            "memory": None if found is None else found.memory,
            "children": None if found is None else found.children,
            "children_total": None if found is None else found.children_total,
            "threads": None if found is None else found.threads,
            "descriptors": None if found is None else found.descriptors,
            "descriptor_limit": None if found is None else found.descriptor_limit,
            "environment": None if found is None else found.environment,
            "jobs": [_job(job) for job in jobs[:JOBS_TOLD]],
            "jobs_total": len(jobs),
            "dump": (self._stacks.told(record.child) if record.child is not None else None) or record.dump,
            "ended": record.ended,
            "last_lines": self._shell.logs.last_of(process.id, LINES_TOLD),
        }


def _ran_in(job: Job, record: Record) -> bool:
    """The job runs in the process, ended in it, or had an attempt in it."""
    return job.process_id == record.process.id or any(
        attempt["pid"] == record.process.pid and attempt["started_at"] >= record.started_at for attempt in job.attempts
    )


def _job(job: Job) -> dict[str, Any]:
    ended = job.ended_at
    return {
        "id": job.id, "room_id": job.room_id, "status": job.status, "reason": job.reason, "error": job.error,
        "signal": job.signal, "exit_code": job.exit_code, "attempt": job.attempt,
        "start_latency_ms": job.start_latency_ms, "started_at": job.started_at, "ended_at": ended,
        "duration_s": round(ended - job.started_at, 3) if ended and job.started_at else None,
    }  # fmt: skip
