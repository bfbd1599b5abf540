"""What runs in a job's process: one event loop, a channel to the supervisor, and job after job."""

import asyncio
import faulthandler
import inspect
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from workbench.agent.assigned import Assigned
from workbench.agent.context import JobContext, JobInfo, ProcessInfo
from workbench.agent.job import WorkerJob
from workbench.agent.own_log import OwnLog
from workbench.agent.problem import error_line, problem_of
from workbench.agent.room import Room
from workbench.model.text import cut
from workbench.process import evidence, records, wire
from workbench.process.beats import Beats, start_beating
from workbench.process.channel import Channel
from workbench.process.leaving import Leaving
from workbench.process.tasks import told_tasks

# faulthandler's handler is C: it answers in `time.sleep`, busy loops and code that holds the GIL. A real-time
# signal, because an agent may well use SIGUSR1 itself.
DUMP_SIGNAL = signal.SIGRTMAX - 3

log = OwnLog("workbench.job")


@dataclass(frozen=True, slots=True)
class ChildSetup:
    """What the supervisor tells a child about itself."""

    process_id: int
    generation: int
    beat_slot: int
    log_level: str


class Runner:
    """One process's life: prewarm, rehearse, then jobs."""

    def __init__(self, agent: WorkerJob, setup: ChildSetup, channel: Channel, beats: Beats, root: str) -> None:
        self.agent = agent
        self.setup = setup
        self.channel = channel
        self.beats = beats
        self.root = root
        self.process = ProcessInfo(os.getpid(), setup.generation)
        self._jobs: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._current: Attempt | None = None
        self._taken = 0
        self._early: list[dict[str, Any]] = []  # news for a job that has not begun
        self.leaving: Leaving | None = None  # set when it leaves after a job

    async def live(self) -> int:
        """Until the supervisor says `exit`, which it does after one job unless processes are reused."""
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        start_beating(self.beats, self.setup.beat_slot, loop)
        self.channel.open(self._handle)
        self.channel.post({"t": "hello", "version": wire.VERSION, "pid": os.getpid()})
        if not await self._prewarm():
            return 3
        await self._rehearse()
        self.channel.post({"t": "ready", "ms": (time.perf_counter() - began) * 1e3})
        leaving = Leaving(self.root)
        while (frame := await self._jobs.get()) is not None:
            await self._run(frame)
            self.channel.post({"t": "free"})
        if self._taken:
            self.leaving = leaving
            leaving.begin()
        return 0

    async def _prewarm(self) -> bool:
        if self.agent.prewarm is None:
            return True
        try:
            result = self.agent.prewarm(self.process)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:
            problem = problem_of(error, self.root)
            problem.message = f"prewarm failed: {problem.message}"
            self.channel.post({"t": "init_failed", "problem": problem.to_json()})
            return False
        return True

    async def _rehearse(self) -> None:
        """Run a job of ours down the same path: the first real one then meets warm code and own pages."""
        frame = wire.Decoder().feed(
            wire.encode({"t": "job", "id": "rehearsal", "room_id": "rehearsal", "attempt": 1, "metadata": {}})
        )[0]
        attempt = Attempt(frame, JobContext(), self.process, Nowhere(), self.root)
        await attempt.run(_rehearsal)

    async def _run(self, frame: dict[str, Any]) -> None:
        self._taken += 1
        self.beats.take(self.setup.beat_slot, self._taken)
        try:
            context = self.agent.make_context()
            attempt = Attempt(frame, context, self.process, self.channel, self.root)
        except BaseException as error:
            log.error("jobctx failed", exc_info=error)
            self._tell_end(frame, ending_of(error, self.root, "jobctx") | {"seen": False})
            return
        self._current = attempt
        early, self._early = self._early, []
        for news in early:
            self._handle(news)
        end = await attempt.run(self.agent.entrypoint)
        self._current = None
        self._tell_end(frame, end)

    def _tell_end(self, frame: dict[str, Any], end: dict[str, Any]) -> None:
        records.flush_output()
        records.flush()
        self.channel.post({"t": "over", "job": frame["id"], "attempt": frame["attempt"], **end})

    def _handle(self, frame: dict[str, Any]) -> None:
        kind, attempt = frame["t"], self._current
        if kind == "job":
            self._jobs.put_nowait(frame)
        elif kind == "exit":
            self._jobs.put_nowait(None)
        elif kind == "ping":
            self.channel.post({"t": "pong", "n": frame["n"]})
        elif kind == "stack":
            self.channel.post({"t": "tasks", "lines": told_tasks(asyncio.get_running_loop())})
        elif kind == "level":
            logging.getLogger().setLevel(frame["level"])
        elif attempt is not None and frame.get("job") == attempt.id:
            attempt.handle(frame)
        elif attempt is None:
            self._early.append(frame)


class Nowhere:
    """The link of a rehearsal: every frame is made, none is sent."""

    def post(self, frame: dict[str, Any]) -> None:
        """Encode as for the supervisor, and forget."""
        wire.encode(frame)

    async def drained(self) -> None:
        """Nothing waits."""

    async def sent(self) -> None:
        """Nothing waits."""


class Attempt:
    """One run of the entrypoint."""

    def __init__(self, frame: dict[str, Any], template: JobContext, process: ProcessInfo, link: Any, root: str) -> None:
        self.id: str = frame["id"]
        self.end_seen = False
        self._link = link
        self._root = root
        self._number: int = frame["attempt"]
        self._close_s: float | None = frame.get("close_s")
        self._task: asyncio.Task[Any] | None = None
        info = JobInfo(self.id, frame["room_id"], self._number)
        room = Room(info.room_id, template.room_options.name, _JobLink(link, self.id))
        assigned = Assigned.from_json(frame.get("assigned") or {})
        self.context = template.bound(info, frame["metadata"], process, room, assigned)
        for name in frame.get("participants", ()):
            room.joined(name)

    async def run(self, entrypoint: Any) -> dict[str, Any]:
        """Run to the end and say how it ended: reason, error, exit code, and whether it knew that it was asked to."""
        self._task = asyncio.current_task()
        end: dict[str, Any] = {"reason": "returned"}
        self._link.post({"t": "started", "job": self.id, "attempt": self._number, "at": time.monotonic()})
        try:
            await self._link.sent()  # or a death at its first line would look as if it had never begun
            await entrypoint(self.context)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError | SystemExit):
                log.error("the entrypoint raised", exc_info=error)
            end = ending_of(error, self._root, "the entrypoint")
        end["seen"] = self.end_seen  # what comes while the callbacks run had no part in it
        self.context.room.end()
        task, self._task = self._task, None
        while task is not None and task.cancelling():
            task.uncancel()  # this job was cancelled, not the next one in this process
        await self.context.run_callbacks(self._close_s)
        return end

    def handle(self, frame: dict[str, Any]) -> None:
        """News for this job."""
        kind, room = frame["t"], self.context.room
        if kind == "message":
            room.heard(frame["message"])
        elif kind == "joined":
            room.joined(frame["name"])
        elif kind == "left":
            room.left(frame["name"])
        elif kind == "end":
            self.end_seen = True
            self.context.request_shutdown(frame["why"])
        elif kind == "cancel" and self._task is not None:
            self.end_seen = True
            self._task.cancel("the job was asked to end")


def ending_of(error: BaseException, root: str, what: str) -> dict[str, Any]:
    """How a job ended that `error` ended."""
    if isinstance(error, asyncio.CancelledError):
        return {"reason": "cancelled", "error": error_line(error, root)}
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
        return {"reason": "exited", "exit_code": code, "error": f"{what} called sys.exit({cut(repr(error.code), 200)})"}
    return {"reason": "raised", "error": error_line(error, root)}


class _JobLink:
    """Stamps the job's id on what its room posts."""

    def __init__(self, link: Any, job_id: str) -> None:
        self._link, self._job_id = link, job_id

    def post(self, frame: dict[str, Any]) -> None:
        self._link.post({**frame, "job": self._job_id})

    async def drained(self) -> None:
        await self._link.drained()


async def _rehearsal(context: JobContext) -> None:
    await context.connect()
    context.report(turns=1)
    await context.room.send("rehearsal")


def become(agent: WorkerJob, setup: ChildSetup, sock: socket.socket, beats: Beats, root: str) -> NoReturn:
    """Turn this process into a job's process. Leaves by `os._exit`: nothing of the file runs afterwards."""
    code = 0
    try:
        _settle_in(setup)
        channel = Channel(sock)
        runner = Runner(agent, setup, channel, beats, root)
        code = asyncio.run(runner.live())
        channel.finish()
        if runner.leaving is not None:
            runner.leaving.wait()
    except SystemExit as error:  # from a task of the agent's own: it ends the loop, and so the job
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # whatever it is, the process must leave here and not run on in the agent's file
        log.exception("the job's process failed")
        code = 1
    records.flush()
    records.flush_output()
    os._exit(code)


def _settle_in(setup: ChildSetup) -> None:
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor; this group never sees it
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    records.install(setup.log_level)
    with open(wire.RECORDS_FD, "wb", closefd=False, buffering=0) as pipe:
        faulthandler.register(DUMP_SIGNAL, file=pipe, all_threads=True)
    evidence.forget_made_loop()
    random = sys.modules.get("numpy.random")  # asking numpy itself for it would import it, 4 MB a child
    if random is not None:
        random.seed()  # its global state would be the same in every child
