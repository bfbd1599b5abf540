"""The supervisor: an asyncio shell round the core. It knows the world; the core knows what to do."""

import asyncio
import os
import secrets
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

from workbench import __version__
from workbench.agent.problem import Problem
from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import Verdict
from workbench.model.core import Core, Now
from workbench.model.ending import End
from workbench.model.errors import AgentError, WorkbenchError
from workbench.model.settings import Layers, Settings
from workbench.model.state import Job
from workbench.process import beats as beatpage
from workbench.process.child import Child, parse_record
from workbench.process.launcher import Zygote
from workbench.process.reaper import ExitStatus, Reaper
from workbench.process.runner import DUMP_SIGNAL
from workbench.process.sampling import environment_of
from workbench.supervisor import strays
from workbench.supervisor.generations import Generation, Loader
from workbench.supervisor.logs import LogStore, Source
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.sampler import Sampler

SILENT_S = 1.0  # a closed channel may mean that the process is just leaving
CHILD_REASONS = frozenset({"returned", "cancelled", "raised", "exited"})
LONGEST_ERROR = 8192


class Supervisor:
    """One worker. Make it, `boot` it before anything heavy is imported, then `run` it on an event loop.

    Args:
        target: the agent, as the user named it.
        layers: options of every source but the agent file.
        arguments: what follows `--` on the command line: the agent's own `sys.argv[1:]`.
        waits_for_save: a broken first generation is no end (the TUI shows it and waits for a save).
        start_method: `zygote` or `spawn` to insist on one; None goes by the evidence.
    """

    def __init__(
        self, target: str, layers: Layers, *, arguments: list[str] | None = None, waits_for_save: bool = False,
        start_method: str | None = None, start_job: bool = False,
    ) -> None:  # fmt: skip
        self.target, self.layers = target, layers
        self.arguments = arguments or []
        self.waits_for_save = waits_for_save
        self.start_method = start_method
        self.start_job = start_job
        self.settings: Settings = layers.settings()
        self.core = Core(self.settings.options)
        self.state = self.core.state
        self.worker_id = f"worker-{secrets.token_hex(4)}"
        self.logs = LogStore()
        self.rooms = Rooms()
        self.reaper = Reaper()
        self.listeners: list[Callable[[ev.Event], None]] = []
        self.children: dict[int, Child] = {}
        self.serving: Generation | None = None
        self.loading: Generation | None = None
        self.failure: WorkbenchError | None = None
        self.failure_is_told = False  # who runs this supervisor prints `failure` itself
        self.code_loaded = asyncio.Event()
        self.project_root = ""
        self.agent_files: list[str] = []
        self.failed_root_files: list[str] = []
        self._by_pid: dict[int, Child] = {}
        self._spawned: dict[int, Zygote] = {}
        self._accepted_at: dict[str, float] = {}
        self._free_slots = list(range(beatpage.SLOTS - 1, -1, -1))
        self._pings: dict[int, float] = {}
        self._beats_fd = beatpage.create()
        self._beats = beatpage.Beats(self._beats_fd)
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._exit: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False
        self._ping_task_due = 0.0
        self._noted_sdk_only = False
        self._relaunch_zygote_at = 0.0
        self.loader = Loader(
            self.reaper, self._lifeline_read, self._beats_fd, self._order, self._generation_told,
            self._forked, self._generation_wrote,
        )  # fmt: skip
        self.sampler = Sampler(self.state, self._beats, lambda: self.children.values(), self)

    # --- life -----------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the first zygote: it loads the agent while this process imports the rest."""
        self.loading = self.loader.begin([])

    async def run(self) -> int:
        """Serve until the worker has ended; its exit code."""
        loop = asyncio.get_running_loop()
        self._exit = loop.create_future()
        self.reaper.start()
        if self.loading is None:
            self.boot()
        assert self.loading is not None
        self.publish(ev.ReloadStarted(at=time.time(), generation=1, changed=[]))
        self.loader.listen(self.loading, self.settings.options.initialize_timeout)
        sampling = asyncio.ensure_future(self.sampler.run())
        sampling.add_done_callback(self._sampler_ended)
        try:
            return await self._exit
        finally:
            sampling.cancel()
            await self._close()

    def started(self, socket: str) -> None:
        """The routes are open: the first events."""
        now = time.time()
        self.publish(
            ev.WorkerStarted(
                at=now, agent_id=self.settings.options.agent_id, worker_id=self.worker_id, version=__version__,
                pid=os.getpid(), target=self.target, socket=socket, start_job=self.start_job,
            )
        )  # fmt: skip
        self.publish(ev.OptionsChanged(at=now, options=self.settings.table()))
        if self.settings.options.register:
            why = "register is set, but this version has no registry link yet"
        else:
            why = "not registered: jobs come from this machine only"
        self.publish(ev.LinkChanged(at=now, state="local", why=why, attempt=0, retry_at=None))

    def on_signal(self, number: int) -> None:
        """SIGTERM or SIGINT came."""
        name = signal.Signals(number).name
        jobs = len(self.state.active_jobs())
        if self.core._signals == 0:
            limit = self.settings.options.drain_timeout
            self.logs.note("WARNING", f"{name}: draining, {jobs} jobs running, at most {limit:g} s; again to stop now")
        else:
            self.logs.note("WARNING", f"{name} again: stopping {jobs} jobs now")
        self.core.signalled(number, name, self._now())
        self.flush()

    def finish(self, code: int) -> None:
        """End `run` with this exit code."""
        if self._exit is not None and not self._exit.done():
            self._exit.set_result(code)

    async def _close(self) -> None:
        """Leave nothing: every child, zygote and adopted helper is killed and reaped."""
        if self._timer is not None:
            self._timer.cancel()
        self.loader.close()
        for zygote in self._spawned.values():
            zygote.kill()
        for child in list(self.children.values()):
            if child.pid:
                strays.kill_tree(child.pid, [])
        os.close(self._lifeline_write)  # whoever is not known yet goes by this
        deadline = time.monotonic() + 5
        while self._left() and time.monotonic() < deadline:
            self.reaper.reap()
            strays.sweep(self.reaper.is_claimed, lambda mark: False)
            await asyncio.sleep(0.002)  # SIGCHLD also comes for strangers: the table itself is the condition
        self.reaper.stop()
        for child in list(self.children.values()):
            child.close()
        self._beats.close()
        for fd in (self._lifeline_read, self._beats_fd):
            os.close(fd)

    def _left(self) -> bool:
        return bool(self._by_pid or self.loader.by_number or self._spawned) or any(
            environment_of(pid).get(strays.MARK, "").startswith(f"{os.getpid()}-") for pid in strays.adopted()
        )

    # --- what others ask ------------------------------------------------------------------------

    def submit(
        self,
        room_id: str | None,
        metadata: dict[str, Any],
        *,
        force: bool = False,
        own: bool = False,
        early: bool = False,
    ) -> Job | Verdict:
        """Take a job, or say why not."""
        job_id = f"job-{uuid.uuid4().hex[:12]}"
        room = room_id or f"room-{uuid.uuid4().hex[:8]}"
        self._accepted_at[job_id] = time.monotonic()
        opened = self.rooms.open(room, job_id, lambda frame: self._tell_job(job_id, frame))
        verdict = self.core.submit(job_id, room, metadata, self._now(), force=force, own=own, early=early)
        if job_id not in self.state.jobs:
            del self._accepted_at[job_id]
            opened.closed = True
            self.rooms.close(job_id, "refused")
        else:
            self.sampler.job_accepted()
        self.flush()
        return self.state.jobs.get(job_id, verdict)

    def end_job(self, job_id: str) -> None:
        """Start its stop ladder, or move one rung down."""
        self.core.end_job(job_id, self._now())
        self.flush()

    def kill_process(self, pid: int) -> bool:
        """Kill a process and everything below it; False when there is none of that pid."""
        child = self._by_pid.get(pid)
        if child is None:
            return False
        self.core.kill_process(child.id, self._now())
        self.flush()
        return True

    def drain(self, why: str, *, then_exit: bool = False) -> None:
        """Take no new jobs."""
        self.core.drain(why, self._now(), then_exit=then_exit)
        self.flush()

    def admit(self) -> bool:
        """Take jobs again; False when the worker is ending."""
        done = self.core.admit(self._now())
        self.flush()
        return done

    def stop(self, why: str, code: int = 0) -> None:
        """End now: ladder of at most 5 s."""
        self.core.stop(why, code, self._now())
        self.flush()

    def set_live(self, values: dict[str, Any], source: str = "live") -> None:
        """Change options live; all or none.

        Raises:
            OptionsError: an impossible value or a contradiction.
        """
        before = dict(self.layers.by_name["live"])
        try:
            for name, value in values.items():
                self.layers.add("live", name, value, source)
            settings = self.layers.settings()
        except WorkbenchError:
            self.layers.by_name["live"] = before
            raise
        self._use(settings)

    def reload(self, changed: list[str]) -> int:
        """Load the agent again beside the running generation; the new generation's number."""
        if self.loading is not None:
            replaced, self.loading = self.loading, None  # the newest save wins
            self.core.generation_dropped(self.serving.number if self.serving else 0, self._now())
            self.loader.drop(replaced, kill=True)
        generation = self.loading = self.loader.begin(changed)
        self.publish(ev.ReloadStarted(at=time.time(), generation=generation.number, changed=changed))
        self.loader.listen(generation, self.settings.options.initialize_timeout)
        self.flush()
        return generation.number

    # --- the core's errands ---------------------------------------------------------------------

    def flush(self) -> None:
        """Tell the core's events, carry out its effects, and set the timer for its next deadline."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while self.core.events or self.core.effects:
                events, self.core.events = self.core.events, []
                for event in events:
                    self._told(event)
                effects, self.core.effects = self.core.effects, []
                for effect in effects:
                    self._carry_out(effect)
        finally:
            self._flushing = False
        self._set_timer()

    def publish(self, event: ev.Event) -> None:
        """A fact the core need not hear of."""
        self.state.apply(event)
        self._told(event)

    def _told(self, event: ev.Event) -> None:
        self._note(event)
        for listener in self.listeners:
            listener(event)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.core.next_wakeup()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.core.tick(self._now())
        self.flush()

    def _carry_out(self, effect: fx.Effect) -> None:
        child = self.children.get(getattr(effect, "process_id", 0))
        match effect:
            case fx.Spawn():
                self._spawn(effect)
            case fx.CloseRoom():
                job = self.state.jobs.get(effect.job_id)
                self.rooms.close(effect.job_id, (job.reason if job else None) or "")
                self._accepted_at.pop(effect.job_id, None)
            case fx.Exit():
                self.finish(effect.code)
            case _ if child is None:
                return
            case fx.Launch():
                self._launch(child, effect)
            case fx.AskEnd():
                child.send({"t": "end", "job": effect.job_id, "why": effect.why})
            case fx.CancelJob():
                child.send({"t": "cancel", "job": effect.job_id})
            case fx.Terminate():
                child.signal(signal.SIGTERM, group=True)
            case fx.Dismiss():
                child.send({"t": "exit"})
            case fx.Kill() if child.pid:
                strays.kill_tree(child.pid, [])

    def _spawn(self, effect: fx.Spawn) -> None:
        generation = self.loader.by_number.get(effect.generation)
        process = self.state.processes[effect.process_id]
        if generation is None:
            self._never_born(effect.process_id, "its zygote is gone")
            return
        try:
            child = Child(effect.process_id, effect.generation, self._free_slots.pop(), self)
        except OSError as error:
            self._never_born(effect.process_id, f"no descriptors for it: {error.strerror}")
            return
        self._beats.clear(child.beat_slot)
        self.children[child.id] = child
        request = {
            "id": child.id, "generation": child.generation, "slot": child.beat_slot,
            "log_level": self.settings.options.log_level, "tag": self._mark(child.id),
        }  # fmt: skip
        try:
            if process.start_method == "spawn":
                self._spawn_whole(child, request)
            else:
                generation.zygote.hand_over(request, child.far_fds())
        except OSError as error:
            self._discard(child)
            self._never_born(child.id, f"it could not be made: {error.strerror}")
            return
        child.handed_over()

    def _spawn_whole(self, child: Child, request: dict[str, Any]) -> None:
        """Start method `spawn`: a program of its own that loads the agent for itself."""
        zygote = Zygote(
            child.generation,
            lambda z, message: self._whole_said(child, message),
            lambda z, status: self._whole_gone(child, status),
            lambda z, lines, records: (self.child_logged if records else self.child_wrote)(child, lines, 0),
        )
        self._spawned[child.id] = zygote
        try:
            zygote.start(self._lifeline_read, self._beats_fd, {**self._order(), "become": True})
        except OSError:
            del self._spawned[child.id]
            raise
        zygote.listen(self.reaper)
        zygote.hand_over(request, child.far_fds())
        child.born(zygote.pid)
        self._by_pid[zygote.pid] = child
        self.core.process_forked(child.id, zygote.pid, self._now())

    def _whole_said(self, child: Child, message: dict[str, Any]) -> None:
        if message["t"] == "failed":
            child.dump = [Problem.from_json(message["problem"]).headline()]

    def _whole_gone(self, child: Child, status: ExitStatus) -> None:
        del self._spawned[child.id]
        self._child_exited(child, status)

    def _never_born(self, process_id: int, why: str) -> None:
        self.core.process_exited(process_id, None, None, self._now(), why)

    def _forked(self, answer: dict[str, Any]) -> None:
        child = self.children.get(answer["id"])
        if child is None:
            return
        if "error" in answer:
            self._discard(child)
            self._never_born(child.id, f"fork: {answer['error'] or 'it died at once'}")
            self.flush()
            return
        generation = self.loader.by_number.get(child.generation)
        child.born(answer["pid"])
        if child.files is not None and generation is not None and generation.loaded is not None:
            child.files.shared_pages = generation.loaded["rss_pages"]
        self._by_pid[child.pid] = child
        self.core.process_forked(child.id, child.pid, self._now())
        self.reaper.claim(child.pid, lambda status: self._child_exited(child, status))
        slot = self.core.slots.get(child.id)
        if slot is not None and (slot.doom is not None or slot.expected):
            strays.kill_tree(child.pid, [])  # it was given up before it had a pid
        self.flush()

    def _launch(self, child: Child, effect: fx.Launch) -> None:
        job = self.state.jobs[effect.job_id]
        room = self.rooms.of_job(job.id)
        child.job_id = job.id
        child.send(
            {
                "t": "job", "id": job.id, "room_id": job.room_id, "attempt": effect.attempt,
                "metadata": job.metadata, "participants": room.participants if room else [],
            }
        )  # fmt: skip

    def _tell_job(self, job_id: str, frame: dict[str, Any]) -> None:
        job = self.state.jobs.get(job_id)
        child = self.children.get(job.process_id or 0) if job is not None else None
        if child is not None and job is not None and job.status in ("starting", "running"):
            child.send({**frame, "job": job_id})

    # --- what children say ----------------------------------------------------------------------

    def child_said(self, child: Child, message: dict[str, Any]) -> None:
        """A frame of its channel. What breaks here is the child's fault: the caller cuts it off."""
        now, kind = self._now(), message["t"]
        if kind == "ready":
            self._child_ready(child, float(message["ms"]))
        elif kind == "started":
            self._job_started(child, message)
        elif kind == "over":
            reason = message["reason"]
            if reason not in CHILD_REASONS:
                raise ValueError(f"unknown reason {reason!r:.40}")
            error = message.get("error")
            end = End(reason, str(error)[:LONGEST_ERROR] if error else None, message.get("exit_code"))
            self.core.job_over(child.id, str(message["job"]), int(message["attempt"]), end, bool(message["seen"]), now)
            child.job_id = None
        elif kind == "free":
            self.core.process_free(child.id, now)
        elif kind == "report":
            self.core.job_reported(child.id, str(message["job"]), dict(message["fields"]), now)
        elif kind == "say":
            room = self.rooms.of_job(str(message["job"]))
            if room is not None and child.job_id == room.job_id:
                room.agent_says(message, self.state.worker.agent_id)
        elif kind == "pong":
            self._pings.pop(child.id, None)
        elif kind == "init_failed":
            child.dump = [Problem.from_json(message["problem"]).headline()]
            self._problem_of_probe = Problem.from_json(message["problem"])
        elif kind == "hello":
            if message["version"] != 1:
                raise ValueError(f"protocol version {message['version']!r:.20}")
        else:
            self.logs.note("WARNING", f"process {child.pid} sent an unknown message {kind!r:.40}")
        self.flush()

    _problem_of_probe: Problem | None = None

    def child_closed(self, child: Child) -> None:
        """Mostly it is leaving, and the reaper tells how; one that lives on without a channel is of no use."""
        asyncio.get_running_loop().call_later(SILENT_S, self._cut_off, child, "it closed its channel")

    def child_spoilt(self, child: Child, why: str) -> None:
        """It cannot be understood any more."""
        self._cut_off(child, why)

    def _cut_off(self, child: Child, why: str) -> None:
        if child.id in self.children:
            self.core.doom(child.id, "signalled", f"killed: {why}", self._now())
            self.flush()

    def child_wrote(self, child: Child, lines: list[bytes], cut: int) -> None:
        """Raw output."""
        self.logs.add(self._source(child), "INFO", "stdout", lines, cut)

    def child_logged(self, child: Child, lines: list[bytes], cut: int) -> None:
        """Structured records, and stack dumps between them."""
        source, dump = self._source(child), []
        for line in lines:
            record = parse_record(line)
            if record is None:
                dump.append(line)
                continue
            level, logger, text = record
            self.logs.add(source, level, logger, [part.encode() for part in text.split("\n")], cut)
        if dump:
            self._dumped(child, dump)

    def _dumped(self, child: Child, dump: list[bytes]) -> None:
        self.logs.add(self._source(child), "WARNING", "stack", dump)
        child.dump += [line.decode("utf-8", "backslashreplace") for line in dump]
        process = self.state.processes.get(child.id)
        if process is not None and process.stalled and not process.stack:
            line = _telling_line(child.dump, self.project_root)
            if line:
                age = process.heartbeat_age_s or 1.0
                self.publish(ev.ProcessStalled(at=time.time(), id=child.id, age_s=age, stack=line))

    def _source(self, child: Child) -> Source:
        return Source(child.id, child.pid, child.generation, child.job_id)

    def _child_ready(self, child: Child, warm_ms: float) -> None:
        self.core.process_ready(child.id, warm_ms, self._now())
        generation = self.loading
        if generation is not None and generation.number == child.generation and generation.loaded is not None:
            self._promote(generation)

    def _job_started(self, child: Child, message: dict[str, Any]) -> None:
        job_id, attempt = str(message["job"]), int(message["attempt"])
        latency_ms = (float(message["at"]) - self._accepted_at.get(job_id, float(message["at"]))) * 1e3
        self.core.job_started(child.id, job_id, attempt, round(max(0.0, latency_ms), 3), self._now())
        room = self.rooms.of_job(job_id)
        if room is not None:
            room.begin_attempt(attempt, child.generation)

    def _child_exited(self, child: Child, status: ExitStatus) -> None:
        """Reaped. Its group goes first, then its last words are read, then its end gets a name."""
        child.signal(signal.SIGKILL, group=True)
        self._by_pid.pop(child.pid, None)
        child.close()
        words = child.dump[0] if child.dump and status.signal is None else ""
        if status.signal in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT") and child.dump:
            words = " / ".join(line.strip() for line in child.dump[:3] if line.strip())
        probe = self.loading is not None and self.loading.number == child.generation
        was_ready = self.state.processes[child.id].state != "starting" if child.id in self.state.processes else True
        if probe and not was_ready and self.serving is not None and child.id in self.core.slots:
            self.core.slots[child.id].expected = True  # its generation fails, not the pool
        self._discard(child)
        self.core.process_exited(child.id, status.exit_code, status.signal, self._now(), words)
        if probe and not was_ready:
            self._probe_died(status, words)
        strays.sweep(self.reaper.is_claimed, self._mark_lives)
        self.flush()

    def _discard(self, child: Child) -> None:
        self.children.pop(child.id, None)
        self._pings.pop(child.id, None)
        self.sampler.forget(child)
        if child.pid == 0:
            child.close()
        self._free_slots.append(child.beat_slot)

    def _mark(self, process_id: int) -> str:
        return f"{os.getpid()}-{process_id}"

    def _mark_lives(self, mark: str) -> bool:
        owner, _, number = mark.partition("-")
        return owner != str(os.getpid()) or not number.isdigit() or int(number) in self.children

    # --- generations ----------------------------------------------------------------------------

    def _order(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "arguments": self.arguments,
            "log_level": self.settings.options.log_level,
        }

    def _generation_told(self, generation: Generation, news: str) -> None:
        if self._exit is not None and self._exit.done():
            return  # the worker is closing: it killed that zygote itself
        if news == "slow":
            if generation is self.loading:
                where = generation.standing_at.strip()
                self.publish(ev.ReloadStep(at=time.time(), generation=generation.number, step="loading", detail=where))
        elif news == "loaded":
            self._loaded(generation)
        elif news == "failed":
            self._failed(generation)
        elif generation is self.serving:
            self._zygote_lost(generation)
        self.flush()

    def _loaded(self, generation: Generation) -> None:
        loaded = generation.loaded or {}
        self.project_root = loaded["root"]
        self.agent_files = generation.files
        try:
            self.layers.put("code", loaded["options"], f"Options(...) in {os.path.basename(self.target)}")
            settings = self.layers.settings()
        except WorkbenchError as error:
            generation.problem = Problem("OptionsError", str(error), exit_code=error.exit_code)
            self._failed(generation)
            self.loader.drop(generation, kill=True)
            return
        self._use(settings)
        self._note_unused(loaded.get("sdk_only") or [])
        method = self.start_method or generation.start_method
        if method == "spawn":
            reasons = "; ".join(loaded["against_fork"]) or "asked for"
            self.logs.note("WARNING", f"start method spawn, not zygote: {reasons}")
        self.publish(ev.ReloadStep(at=time.time(), generation=generation.number, step="warming", detail=""))
        self.core.limit_starting = 8 if method == "zygote" else max(2, os.cpu_count() or 2)
        self.code_loaded.set()
        self.core.generation_loaded(generation.number, method, self._now())

    def _promote(self, generation: Generation) -> None:
        old, self.serving, self.loading = self.serving, generation, None
        generation.served = True
        method = self.start_method or generation.start_method
        why = "; ".join((generation.loaded or {}).get("against_fork") or []) or "nothing stands against forking"
        took_ms = (time.monotonic() - generation.began) * 1e3
        self.publish(
            ev.ReloadDone(
                at=time.time(), generation=generation.number, took_ms=round(took_ms, 1),
                start_method=method, start_method_why=why,
            )
        )  # fmt: skip
        self.core.generation_promoted(generation.number, self._now())
        if old is not None:
            self.loader.drop(old)
        self.flush()

    def _failed(self, generation: Generation) -> None:
        if generation is not self.loading:
            return  # replaced by a newer save
        self.loading = None
        problem = generation.problem or Problem("", "the agent cannot be loaded")
        self.failed_root_files = generation.files
        self.core.generation_dropped(self.serving.number if self.serving else 0, self._now())
        self.publish(ev.ReloadFailed(at=time.time(), generation=generation.number, problem=problem.to_json()))
        if self.serving is None and not self.waits_for_save:
            self.failure = AgentError("\n".join([problem.headline(), *problem.excerpt()]))
            self.failure.exit_code = problem.exit_code
            self.finish(problem.exit_code)

    def _probe_died(self, status: ExitStatus, words: str) -> None:
        """The first process of a new generation did not become ready."""
        generation = self.loading
        if generation is None or (self.serving is None and not self.core.boot_failed):
            return
        how = f"killed by {status.signal}" if status.signal else f"exit code {status.exit_code}"
        problem = self._problem_of_probe or Problem("", f"a process died before it was ready ({how}): {words}")
        self._problem_of_probe = None
        generation.problem = problem
        self.loader.drop(generation, kill=True)
        self._failed(generation)

    def _zygote_lost(self, generation: Generation) -> None:
        """The serving zygote died: its jobs run on, new processes need a new one."""
        self.logs.note("ERROR", f"the zygote of generation {generation.number} died; starting another")
        for process in self.state.live("starting"):
            child = self.children.get(process.id)
            if child is not None and child.pid == 0:
                self._discard(child)
                self._never_born(process.id, "its zygote died")
        now = time.monotonic()
        delay = max(0.0, self._relaunch_zygote_at - now)
        self._relaunch_zygote_at = now + delay + 1.0
        self.core.generation_dropped(0, self._now())
        asyncio.get_running_loop().call_later(delay, self.reload, [])

    def _generation_wrote(self, generation: Generation, lines: list[bytes], records: bool) -> None:
        source = Source(0, generation.zygote.pid, generation.number)
        if not records:
            self.logs.add(source, "INFO", "stdout", lines)
            return
        for line in lines:
            level, logger, text = parse_record(line) or (
                "WARNING",
                "stack",
                line.decode("utf-8", "backslashreplace"),
            )
            self.logs.add(source, level, logger, [part.encode() for part in text.split("\n")])

    # --- measurements ---------------------------------------------------------------------------

    def memory_of(self, child: Child, memory_mb: float) -> None:
        """A job's process tree now."""
        before = len(self.core.effects) + len(self.core.events)
        self.core.memory_measured(child.id, memory_mb, self._now())
        if len(self.core.effects) + len(self.core.events) != before:
            self.flush()

    def stalled(self, child: Child, age_s: float) -> None:
        """Its loop stands: dump its stack once; kill it at `ping_timeout`."""
        process = self.state.processes[child.id]
        if not process.stalled:
            child.dump = []
            self.publish(ev.ProcessStalled(at=time.time(), id=child.id, age_s=round(age_s, 2), stack=""))
            child.signal(DUMP_SIGNAL, group=False)
        self._maybe_hung(child, age_s, f"its loop stood still for {age_s:.1f} s")

    def resumed(self, child: Child) -> None:
        """Its loop turns again."""
        self.publish(ev.ProcessResumed(at=time.time(), id=child.id))

    def _maybe_hung(self, child: Child, age_s: float, words: str) -> None:
        limit = self.settings.options.ping_timeout
        if limit <= 0 or age_s < limit or _debugged(child.pid):
            return
        line = self.state.processes[child.id].stack
        text = f"{words}, ping_timeout {limit:g} s" + (f"; it stood at {line}" if line else "")
        self.core.doom(child.id, "hung", text, self._now())
        self.flush()

    def _ping_all(self, now: float) -> None:
        interval = self.settings.options.ping_interval
        for child_id, since in list(self._pings.items()):
            child = self.children.get(child_id)
            if child is not None and child.pid:
                self._maybe_hung(child, now - since, f"a ping was not answered for {now - since:.1f} s")
        if now < self._ping_task_due:
            return
        self._ping_task_due = now + interval
        for process in self.state.live("idle", "busy"):
            child = self.children.get(process.id)
            if child is not None and child.id not in self._pings:
                self._pings[child.id] = now
                child.send({"t": "ping", "n": 0})

    def sampled(self, figures: dict[int, dict[str, Any]], load: float | None, cpu: float | None, lag_s: float) -> None:
        """One slow tick: publish the figures, judge the load, ping."""
        options = self.settings.options
        if options.load == "jobs":
            load = round(len(self.state.active_jobs()) / options.max_processes, 3)
        total = sum(f["memory_mb"] for f in figures.values())
        self.publish(
            ev.Sampled(
                at=time.time(), processes=figures, load=load, cpu=cpu, memory_mb=round(total, 1),
                supervisor_lag_ms=round(lag_s * 1e3, 1), log_lines=self.logs.total,
                log_lines_dropped=self.logs.dropped,
            )
        )  # fmt: skip
        now = self._now()
        self.core.load_measured(load, now)
        self.core.heal_check(now)
        self._ping_all(now.mono)
        self.flush()

    def _sampler_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            self.logs.note("CRITICAL", f"the sampler failed: {error!r}; limits are not enforced, the worker ends")
            self.failure = WorkbenchError(f"a bug of ours: the sampler failed: {error!r}")
            self.stop("the sampler failed", 1)

    # --- words ----------------------------------------------------------------------------------

    def _use(self, settings: Settings) -> None:
        level_changed = settings.options.log_level != self.settings.options.log_level
        self.settings = settings
        self.publish(ev.OptionsChanged(at=time.time(), options=settings.table()))
        self.core.set_options(settings.options, self._now())
        if level_changed:
            for child in self.children.values():
                child.send({"t": "level", "level": settings.options.log_level})
        self.flush()

    def _note_unused(self, names: list[str]) -> None:
        if names and not self._noted_sdk_only:
            self._noted_sdk_only = True
            listed = ", ".join(sorted(set(names)))
            self.logs.note("WARNING", f"taken but not used here (fields of the VideoSDK SDK): {listed}")

    def _note(self, event: ev.Event) -> None:
        """The log line of an event a person may want to read later."""
        fatal = isinstance(event, ev.ReloadFailed) and self.serving is None and not self.waits_for_save
        words = None if fatal and self.failure_is_told else _words(event, self.state)
        if words is not None:
            self.logs.note(*words)

    def _now(self) -> Now:
        return Now(time.monotonic(), time.time())


def _words(event: ev.Event, state: Any) -> tuple[str, str] | None:
    match event:
        case ev.JobEnded():
            level = "INFO" if event.status == "completed" else "WARNING" if event.status == "cancelled" else "ERROR"
            detail = event.error or (f"exit code {event.exit_code}" if event.exit_code is not None else "")
            how = " ".join(part for part in (event.reason, event.signal) if part)
            return level, f"job {event.id} {event.status} / {how}" + (f": {detail}" if detail else "")
        case ev.JobRefused():
            return "WARNING", f"job refused: {event.reason}: {event.text}"
        case ev.PoolHeld():
            return ("ERROR" if event.degraded else "WARNING"), event.why
        case ev.MemoryCrossed():
            pid = state.processes[event.id].pid
            return "WARNING", f"process {pid} uses {event.memory_mb:.0f} MB, memory_warn_mb {event.warn_mb:g}"
        case ev.ProcessStalled():
            pid = state.processes[event.id].pid
            at = f" at {event.stack}" if event.stack else ""
            return "WARNING", f"process {pid}: its loop has stood still for {event.age_s:.1f} s{at}"
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
            return "WARNING", f"late: job {event.id}: {event.text}"
        case ev.DrainStarted():
            return "WARNING", f"draining: {event.why}; {len(state.active_jobs())} jobs left"
        case ev.Noted():
            return event.level, event.text
        case _:
            return None


def _telling_line(dump: list[str], root: str) -> str:
    """`agent.py:12 in entrypoint`: the innermost frame of the project, else the innermost at all."""
    frames = [line.strip() for line in dump if line.startswith("  File ")]
    mine = [line for line in frames if root and f'"{root}' in line and "site-packages" not in line]
    chosen = (mine or frames)[:1]
    if not chosen:
        return ""
    file, _, rest = chosen[0].removeprefix('File "').partition('", line ')
    line, _, name = rest.partition(" in ")
    return f"{os.path.relpath(file, root) if root else file}:{line} in {name}"


def _debugged(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return any(line.startswith("TracerPid:") and int(line.split()[1]) for line in status)
    except OSError:
        return False  # it has gone: there is nothing left to kill either
