"""The supervisor: it puts the parts of a worker together, and is the one door for routes, signals and owners."""

import asyncio
import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from workbench import __version__
from workbench.agent.assigned import Assigned
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import Verdict
from workbench.model.backoff import WINDOW_S
from workbench.model.closing import FORCED_CLOSE_S
from workbench.model.core import Now
from workbench.model.errors import RestartBudgetSpent, WorkbenchError
from workbench.model.settings import Layers, Settings
from workbench.model.state import Job
from workbench.model.text import plural
from workbench.process import descriptors
from workbench.process.child import Child
from workbench.process.reaper import Reaper
from workbench.process.speech import REASONS as CHILD_REASONS
from workbench.supervisor.bases import Bases
from workbench.supervisor.bugs import Bugs
from workbench.supervisor.children import Children, terminate
from workbench.supervisor.details import Details
from workbench.supervisor.generations import Generation, Loader
from workbench.supervisor.hearing import Hearing
from workbench.supervisor.last_steps import LastSteps, Step, ended
from workbench.supervisor.live import LiveChanges
from workbench.supervisor.reloading import Reloading
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.secrets import secrets_of
from workbench.supervisor.shell import Shell
from workbench.supervisor.watchdog import Watchdog
from workbench.supervisor.words import words_of

__all__ = ["CHILD_REASONS", "Supervisor"]


NOT_REGISTERED = "not registered: jobs come from this machine only"


class RegistryLink(Protocol):
    """What the routes may ask of the link to a registry, and what it is told before the deed."""

    def connect(self) -> None:
        """Register; at once, if it waits or has given up."""

    def disconnect(self) -> None:
        """Take no jobs from there any more; those that run go on, and their ends are told."""

    def launching(self, job_id: str) -> None:
        """The job is about to be given to a process."""


class Supervisor:
    """One worker. Make it, `boot` it before anything heavy is imported, then `run` it on an event loop.

    Args:
        target: the agent, as the user named it.
        layers: options of every source but the agent file.
        arguments: what follows `--` on the command line: the agent's own `sys.argv[1:]`.
        waits_for_save: a broken first generation is no end (the TUI shows it and waits for a save).
        start_method: `zygote` or `spawn` to insist on one; None goes by the evidence.
        strict: when the restart budget is used up, drain and end with exit code 5 instead of trying on.
        reload_jobs: what becomes of running jobs when newer code serves: `keep` or `restart`.
    """

    def __init__(
        self, target: str, layers: Layers, *, arguments: list[str] | None = None, waits_for_save: bool = False,
        start_method: str | None = None, start_job: bool = False, strict: bool = False, reload_jobs: str = "keep",
    ) -> None:  # fmt: skip
        self.target, self.layers = target, layers
        self.arguments = arguments or []
        self.waits_for_save = waits_for_save
        self.start_job = start_job
        self.worker_id = f"worker-{secrets.token_hex(4)}"
        self.failure: WorkbenchError | None = None
        self.failure_is_told = False  # who runs this supervisor prints `failure` itself
        self.link: RegistryLink | None = None
        self.followers = 0  # clients of the stream of events now
        self.at_end: Callable[[int], None] = lambda code: None  # called when the last steps begin, with the exit code
        self.rooms = Rooms()
        self.reaper = Reaper()
        self._exit: asyncio.Future[int] | None = None
        self._exit_code: int | None = None
        self._descriptors = 0
        self._put_together(start_method, Shell(layers.settings(), strict=strict, reload_jobs=reload_jobs))

    def _put_together(self, start_method: str | None, shell: Shell) -> None:
        self.shell = shell
        self.core, self.state, self.logs = self.shell.core, self.shell.state, self.shell.logs
        self.logs.mask.learn(secrets_of(self.layers, os.environ))
        self.listeners = self.shell.listeners
        self.listeners.append(self._heard)
        self.bugs = Bugs(self.logs, self._end_for_a_bug)
        self.last = LastSteps(lambda text: self.logs.note("CRITICAL", text))
        self.shell.carry_out, self.shell.words, self.shell.bug = self._carry_out, self._words, self.bugs.note
        self.code = Reloading(
            self.shell, self.layers, self.target, start_method, self.waits_for_save, self._use, self._give_up,
            lambda number: self.children.abandon_unborn(number),
        )  # fmt: skip
        self.code_loaded = self.code.loaded
        self.live = LiveChanges(
            self.layers, lambda: self.settings, self._use,
            lambda level, text: self.publish(ev.Noted(at=time.time(), level=level, text=text)),
        )  # fmt: skip
        self.children = Children(
            self.shell, self.rooms, self.reaper, self.code.not_started,
            lambda process_id: self.sampler.forget(process_id),
        )  # fmt: skip
        self.watchdog = Watchdog(self.shell, self.children, lambda: self.code.root)
        self.sampler = self.watchdog.sampler
        self.details = Details(self.shell, self.children, lambda: self.code.root)
        self.listeners.append(self.details.heard)
        self.bases = Bases(
            self.reaper, self.children.lifeline_read, self.children.beats_fd, self._order,
            lambda base, lines, records: self.code.wrote(base, lines, records), self.logs.note,
        )  # fmt: skip
        self.loader = Loader(
            self.reaper, self.bases, self._order, self.code.told, self.children.forked,
            lambda generation, lines, records: self.code.wrote(generation.zygote, lines, records),
        )  # fmt: skip
        hearing = Hearing(self.shell, self.rooms, self._child_ready, lambda: self.code.root)
        self.children.connect(self.loader, hearing)
        self.code.connect(self.loader)

    # --- what others look at --------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The options in force."""
        return self.shell.settings

    @property
    def serving(self) -> Generation | None:
        """The generation that serves."""
        return self.code.serving

    @property
    def loading(self) -> Generation | None:
        """The generation on its way."""
        return self.code.loading

    @property
    def project_root(self) -> str:
        """The agent's folder; empty before it was found."""
        return self.code.root

    @property
    def agent_files(self) -> list[str]:
        """The project's files that the newest loaded generation imported."""
        return self.code.files

    @property
    def failed_root_files(self) -> list[str]:
        """Those of the generation that failed last."""
        return self.code.failed_files

    # --- life -----------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the first zygote: it loads the agent while this process imports the rest.

        Raises:
            WorkbenchError: no process could be started.
        """
        self._descriptors = descriptors.raise_limit()
        try:
            self.code.boot()
        except OSError as error:
            text = f"no process could be started to load the agent: {descriptors.words(error)}"
            raise WorkbenchError(text) from None

    async def run(self) -> int:
        """Serve until the worker has ended; its exit code."""
        loop = asyncio.get_running_loop()
        self._exit = loop.create_future()
        if self._exit_code is not None:
            self._exit.set_result(self._exit_code)
        loop.set_exception_handler(self.bugs.in_a_callback)
        self.reaper.start()
        if self.loading is None:
            self.boot()
        self.code.listen()
        sampling = asyncio.ensure_future(self.sampler.run())
        sampling.add_done_callback(self._sampler_ended)
        try:
            code = await self._exit
            self.at_end(code)
            return code
        finally:
            await self.last.take(
                Step("the clock", self.shell.close),
                Step("the live changes", self.live.close),
                Step("the zygotes", self.code.close),
                *self.children.last_steps(),
                Step("the measuring", lambda: ended(sampling)),
                Step("the watch for bugs", lambda: loop.set_exception_handler(None)),
            )

    def started(self, socket: str) -> None:
        """The routes are open: the first events."""
        now = time.time()
        self.publish(
            ev.WorkerStarted(
                at=now, agent_id=self.settings.options.agent_id, worker_id=self.worker_id, version=__version__,
                pid=os.getpid(), target=self.target, socket=socket, start_job=self.start_job,
                reload_jobs=self.core.reload_jobs, folder=self.layers.folder,
            )
        )  # fmt: skip
        self.publish(ev.OptionsChanged(at=now, options=self.live.table(self.settings)))
        self.publish(ev.LinkChanged(at=now, state="local", why=NOT_REGISTERED, attempt=0, retry_at=None))

    def on_signal(self, number: int) -> None:
        """SIGTERM or SIGINT came."""
        name = signal.Signals(number).name
        jobs, signals = plural(len(self.state.active_jobs()), "job"), self.core.closing.signals
        if signals == 0:
            limit = self.settings.options.drain_timeout
            self.logs.note("WARNING", f"{name}: draining, {jobs} running, at most {limit:g} s; again to stop now")
        elif signals == 1:
            self.logs.note("WARNING", f"{name} again: stopping {jobs} now; a third time to kill")
        else:
            self.logs.note("WARNING", f"{name} a third time: killing everything")
        self.core.signalled(number, name, self.shell.now())
        self.shell.flush()

    def finish(self, code: int) -> None:
        """End `run` with this exit code."""
        if self._exit_code is None:
            self._exit_code = code
        if self._exit is not None and not self._exit.done():
            self._exit.set_result(code)

    # --- what others ask ------------------------------------------------------------------------

    def publish(self, event: ev.Event) -> None:
        """A fact the core need not hear of."""
        self.shell.publish(event)

    def submit(
        self,
        room_id: str | None,
        metadata: dict[str, Any],
        *,
        force: bool = False,
        own: bool = False,
        early: bool = False,
        job_id: str | None = None,
        token: str = "",
        room_options: dict[str, Any] | None = None,
        wait: bool = False,
    ) -> Job | Verdict:
        """Take a job, or say why not.

        Args:
            job_id: what the registry that assigned it calls it.
            token: for the job's room; it goes to the job alone.
            room_options: fields of `RoomOptions`, laid over those of the agent's file.
            wait: whoever gives the job counts it as running only when its room is joined.
        """
        from_registry = job_id is not None
        job_id = job_id or f"job-{uuid.uuid4().hex[:12]}"
        room = room_id or f"room-{uuid.uuid4().hex[:8]}"
        now, kept = self._measured(), job_id in self.core.reservations
        verdict = self.core.submit(
            job_id, room, metadata, now, force=force, own=own, early=early, assigned=from_registry
        )  # fmt: skip
        if job_id in self.state.jobs:
            self.logs.mask.lend(token)
            assigned = Assigned(room_id or "", token, room_options or {}, wait)
            self.rooms.open(room, job_id, lambda frame: self.children.tell_job(job_id, frame), now.mono, assigned)
            if not kept:
                self.sampler.job_accepted()
        self.shell.flush()
        return self.state.jobs.get(job_id, verdict)

    def reserve(self, job_id: str) -> Verdict:
        """Keep a slot for a job that a registry offers, or say why not; `ready` means kept."""
        verdict = self.core.reserve(job_id, self._measured())
        if verdict.status == "ready":
            self.sampler.job_accepted()
        self.shell.flush()
        return verdict

    def release(self, job_id: str, why: str) -> bool:
        """Give a reserved slot back; False when none is kept for that job."""
        released = self.core.release(job_id, why, self.shell.now())
        self.shell.flush()
        return released

    def release_all(self, why: str) -> None:
        """Give all reserved slots back."""
        self.core.release_all(why, self.shell.now())
        self.shell.flush()

    def end_job(self, job_id: str) -> None:
        """Start its stop ladder, or move one rung down."""
        self.core.end_job(job_id, self.shell.now())
        self.shell.flush()

    def pin_job(self, job_id: str, pinned: bool) -> None:
        """Leave a job on its code when newer code is promoted, or no longer so."""
        self.core.pin_job(job_id, pinned, self.shell.now())
        self.shell.flush()

    def kill_process(self, pid: int) -> bool:
        """Kill a process and everything below it; False when there is none of that pid."""
        child = self.children.by_pid.get(pid)
        if child is None:
            return False
        self.core.kill_process(child.id, self.shell.now())
        self.shell.flush()
        return True

    def drain(self, why: str, *, then_exit: bool = False) -> None:
        """Take no new jobs."""
        self.core.drain(why, self.shell.now(), then_exit=then_exit)
        self.shell.flush()

    def admit(self) -> bool:
        """Take jobs again; False when the worker is ending."""
        done = self.core.admit(self.shell.now())
        self.shell.flush()
        return done

    def stop(self, why: str, code: int = 0) -> None:
        """End now: ladder of at most 5 s."""
        self.core.stop(why, code, self.shell.now())
        self.shell.flush()

    @property
    def ending(self) -> bool:
        """The worker ends, now or after its last job."""
        return self.core.closing.begun

    def set_live(self, values: dict[str, Any], source: str = "live", for_s: float | None = None) -> None:
        """Change options live; all or none, and with `for_s` only for so long.

        Raises:
            OptionsError: an impossible value or a contradiction.
        """
        self.live.set(values, source, for_s)

    def take_back(self, names: list[str]) -> None:
        """Take live changes back; all or none.

        Raises:
            WorkbenchError: there is none of that option, or another one depends on it.
        """
        self.live.take_back(names)

    def reload(self, changed: list[str]) -> int:
        """Load the agent again beside the running generation; the new generation's number."""
        number = self.code.reload(changed)
        self.shell.flush()
        return number

    # --- inside ---------------------------------------------------------------------------------

    def _measured(self) -> Now:
        """The time; others may have been taken since the last tick, and the core knows what that means for the load."""
        now = self.shell.now()
        if self.settings.options.load == "cpu":
            self.core.load_measured(self.sampler.load(now.mono), now)
        return now

    def _carry_out(self, effect: fx.Effect) -> None:
        child = self.children.by_id.get(getattr(effect, "process_id", 0))
        match effect:
            case fx.Spawn():
                self.children.spawn(effect)
            case fx.CloseRoom():
                job, room = self.state.jobs.get(effect.job_id), self.rooms.of_job(effect.job_id)
                token = room.assigned.token if room is not None else ""
                self.rooms.close(effect.job_id, (job.reason if job else None) or "")
                self.logs.mask.give_back(token)
            case fx.RollBack():
                self.code.roll_back(effect.generation, effect.why)
            case fx.Settle():
                self.code.settled(effect.generation)
            case fx.Exit():
                self.finish(effect.code)
            case _ if child is None:
                return
            case fx.Launch():
                if self.link is not None:
                    self.link.launching(effect.job_id)
                self.children.launch(child, effect)
            case fx.AskEnd():
                child.send({"t": "end", "job": effect.job_id, "why": effect.why})
            case fx.CancelJob():
                child.send({"t": "cancel", "job": effect.job_id})
            case fx.Terminate():
                terminate(child)
            case fx.Dismiss():
                child.send({"t": "exit"})
            case fx.Kill():
                self.children.kill(child)

    def _child_ready(self, child: Child) -> None:
        self.sampler.memory.learn(child)
        self.code.child_ready(child)

    def _heard(self, event: ev.Event) -> None:
        if isinstance(event, ev.JobRequeued) and (room := self.rooms.of_job(event.id)) is not None:
            room.await_attempt()
        if isinstance(event, ev.PoolHeld) and event.degraded and self.core.strict:
            spent = f"the restart budget is used up ({event.failures} failures in {WINDOW_S:g} s): {event.why}"
            self.failure = self.failure or RestartBudgetSpent(spent)

    def _order(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "arguments": self.arguments,
            "log_level": self.settings.options.log_level,
            "descriptors": self._descriptors,
            "check": [],
            "layers": False,
            "spawn": self.code.start_method == "spawn",
        }

    def _use(self, settings: Settings) -> None:
        self.logs.mask.learn(secrets_of(self.layers, os.environ))
        level_changed = settings.options.log_level != self.settings.options.log_level
        self.shell.settings = settings
        self.core.desk.tell(ev.OptionsChanged(at=time.time(), options=self.live.table(settings)))
        self.core.set_options(settings.options, self.shell.now())
        if level_changed:
            for child in list(self.children.by_id.values()):
                child.send({"t": "level", "level": settings.options.log_level})
        self.shell.flush()

    def _words(self, event: ev.Event) -> tuple[str, str] | None:
        fatal = isinstance(event, ev.ReloadFailed) and self.serving is None and not self.waits_for_save
        return None if fatal and self.failure_is_told else words_of(event, self.state)

    def _give_up(self, failure: WorkbenchError) -> None:
        """The worker cannot go on: `run` ends, and who runs it finds `failure`."""
        self.failure = failure
        self.finish(failure.exit_code)

    def _sampler_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self.bugs.fatal(f"the sampler failed: {task.exception()!r}; limits are not enforced")

    def _end_for_a_bug(self, text: str) -> None:
        self.failure = WorkbenchError(text)
        asyncio.get_running_loop().call_later(FORCED_CLOSE_S + 2.0, self.finish, 1)  # if the bug stands in the way
        self.stop("a bug of ours", 1)
