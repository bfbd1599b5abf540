"""What children say, print and log, turned into news for the core, the rooms and the log."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from workbench.model import events as ev
from workbench.model.ending import End
from workbench.model.jsontext import dump
from workbench.model.text import cut
from workbench.process import records, speech
from workbench.process.child import Child, parse_record
from workbench.supervisor.logs import LogStore, Source
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.shell import Shell
from workbench.supervisor.words import telling_line, without_scaffold

LONGEST_FRAME = 1000  # characters of a line of a stack dump that may be of use
SILENT_S = 1.0  # a closed channel may mean that the process is just leaving


class Hearing:
    """Hears every child (see `process.child.ChildEvents`).

    Args:
        ready: called with a child that has become ready and is wanted.
        root: the agent's folder, to tell its lines in a stack from those of libraries.
    """

    def __init__(self, shell: Shell, rooms: Rooms, ready: Callable[[Child], None], root: Callable[[], str]) -> None:
        self._shell, self._core, self._rooms = shell, shell.core, rooms
        self._ready, self._root = ready, root

    def child_said(self, child: Child, said: speech.Said) -> None:
        """A frame of its channel."""
        now = self._shell.now()
        match said:
            case speech.Say():
                self._said_in_room(child, said)
            case speech.Started():
                self._started(child, said)
            case speech.Over():
                child.hear_out()  # what the job printed is the job's, although another pipe brings it
                self._core.job_over(child.id, said.job_id, said.attempt, self._masked(said.end), said.seen, now)
                job = self._shell.state.jobs.get(child.job_id or "")
                if job is None or not job.active or job.process_id != child.id:
                    child.job_id = None  # else it spoke of another
            case speech.Free():
                self._core.process_free(child.id, now)
            case speech.Report():
                fields = json.loads(self._shell.logs.mask.json(dump({"fields": said.fields})))["fields"]
                self._core.job_reported(child.id, said.job_id, fields, now)
            case speech.Ready():
                child.ready_ms = said.ms
                self.child_ready(child)
            case speech.InitFailed():
                child.init_problem = said.problem
            case speech.Pong():
                child.pinged_at = None
            case speech.Tasks():
                child.tasks = said.lines
                if child.asked is not None:
                    child.asked.set()
            case speech.Unknown():
                self._unknown(child, said.kind)
            case speech.Hello():
                return
            case _:
                assert_never(said)
        self._shell.flush()

    def child_ready(self, child: Child) -> None:
        """It is ready, and its pid is known: either may come first."""
        ms = child.ready_ms
        if child.pid and ms is not None and self._core.process_ready(child.id, ms, self._shell.now()):
            self._ready(child)

    def child_closed(self, child: Child) -> None:
        """Mostly it is leaving, and the reaper tells how; one that lives on without a channel is of no use."""
        if child.ended:
            return
        self._core.process_lost(child.id)
        asyncio.get_running_loop().call_later(SILENT_S, self._cut_off, child, "it closed its channel")

    def child_spoilt(self, child: Child, why: str) -> None:
        """It cannot be understood any more."""
        self._cut_off(child, why)

    def child_wrote(self, child: Child, lines: list[bytes], cut: int) -> None:
        """Raw output."""
        self._shell.logs.add(source_of(child), "INFO", "stdout", lines, cut)

    def child_logged(self, child: Child, lines: list[bytes], cut: int) -> None:
        """Structured records, and stack dumps between them."""
        dump = log_records(self._shell.logs, source_of(child), lines, cut)
        if dump:
            self._dumped(child, dump)

    def stood_at(self, child: Child) -> str:
        """The line where its loop stood when it last dumped its stack."""
        return telling_line(child.dump, self._root())

    def _unknown(self, child: Child, kind: str) -> None:
        child.unknown += 1
        if child.unknown.bit_count() == 1:  # the 1st, 2nd, 4th ...: one that sends nothing else fills no log
            text = f"process {child.pid} sent an unknown message {cut(repr(kind), 40)}; {child.unknown} of such so far"
            self._shell.logs.note("WARNING", text)

    def _cut_off(self, child: Child, why: str) -> None:
        self._core.doom(child.id, "signalled", f"killed: {why}", self._shell.now())
        self._shell.flush()

    def _said_in_room(self, child: Child, said: speech.Say) -> None:
        room = self._rooms.of_job(said.job_id)
        if room is not None and child.job_id == room.job_id:
            text = self._shell.logs.mask.text(said.text, unfinished=said.partial)
            room.agent_says(replace(said, text=text), self._shell.state.worker.agent_id)

    def _masked(self, end: End) -> End:
        """What is kept of a job must hold no secret of it: those are forgotten some time after its end."""
        return replace(end, error=self._shell.logs.mask.text(end.error)) if end.error else end

    def _started(self, child: Child, said: speech.Started) -> None:
        room = self._rooms.of_job(said.job_id)
        if room is None or child.job_id != said.job_id:
            self._core.job_started(child.id, said.job_id, said.attempt, 0.0, self._shell.now())
            return
        latency_ms = round(max(0.0, said.at - room.accepted_at) * 1e3, 3)
        self._core.job_started(child.id, said.job_id, said.attempt, latency_ms, self._shell.now())
        room.begin_attempt(said.attempt, child.generation)

    def _dumped(self, child: Child, dump: list[bytes]) -> None:
        child.dump += [cut(line.decode("utf-8", "backslashreplace"), LONGEST_FRAME) for line in dump]
        child.dumped_at = time.time()
        process = self._shell.state.processes.get(child.id)
        if child.asked is not None:
            child.asked.set()  # whoever asked gets it as an answer
        elif process is not None and process.state == "starting" and child.asked_for_stack:
            return  # kept for the case that it never becomes ready; a slow start is no fault
        else:
            self._shell.logs.add(source_of(child), "WARNING", "stack", without_scaffold(dump))
        if process is not None and process.stalled and not process.stack:
            line = telling_line(child.dump, self._root(), whole=False)
            if line:
                age_s = process.heartbeat_age_s or 1.0
                self._shell.publish(ev.ProcessStalled(at=time.time(), id=child.id, age_s=age_s, stack=line))


def log_records(logs: LogStore, source: Source, lines: list[bytes], cut: int) -> list[bytes]:
    """Keep the records among the lines of a records pipe; the other lines, of stack dumps."""
    others = []
    for line in lines:
        if record := parse_record(line):
            level, logger, text = record
            logs.add(source, level, logger, [part.encode("utf-8", "backslashreplace") for part in text.split("\n")])
        elif lost := records.lost_in(line):
            logs.dropped += lost
            logs.add(source, "WARNING", "workbench.job", [f"{lost} log records were lost here: too many".encode()])
        else:
            others.append(line)
    logs.cut_bytes += cut
    return others


def source_of(child: Child) -> Source:
    """Whose line it is."""
    return Source(child.id, child.pid, child.generation, child.job_id)
