"""The decisions of a worker: given this state, this news and this time, these effects. No I/O.

The shell tells what happened by the methods below, then takes `events` (to be told to every client; the
state has them already) and `effects` (to be carried out). Slots are taken here, before anything is awaited,
so over-accepting is impossible.
"""

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import LoadGate, Verdict, judge
from workbench.model.backoff import Backoff
from workbench.model.ending import End, from_exit, from_report
from workbench.model.options import Options
from workbench.model.state import Job, Process, State

MIN_UPTIME_S = 5.0  # a process that dies younger than this without having had a job counts as a failure
LAUNCH_TRIES = 3
RUNGS = ("end", "cancel", "terminate", "kill")
POLITE_S = 2.0
KILL_AFTER_TERM_S = 1.0
LEAVE_S = 5.0  # an idle process may take this long to leave
FORCED_CLOSE_S = 5.0  # the stop ladder after a second signal
BOOT_TRIES = 3  # deaths before the first process ever became ready, until the boot counts as failed


class Now(NamedTuple):
    """One reading of both clocks: `mono` for deadlines, `at` for what people read."""

    mono: float
    at: float


@dataclass(slots=True)
class Ladder:
    """A job's way down: the reason it was asked to end for, and when each rung is due."""

    reason: str
    due: list[float]
    rung: int = 0


@dataclass(slots=True)
class Slot:
    """What the core knows of a process beyond its public record."""

    born: float
    deadline: float | None = None  # of starting, or of leaving
    doom: str | None = None
    doom_words: str = ""
    expected: bool = False  # we told it to leave
    result: End | None = None


@dataclass
class Core:
    """One worker's decisions. `limit_starting` bounds how many processes boot at once."""

    options: Options
    state: State = field(default_factory=State)
    rng: random.Random = field(default_factory=random.Random)
    limit_starting: int = 8
    events: list[ev.Event] = field(default_factory=list)
    effects: list[fx.Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = LoadGate()
        self.backoff = Backoff(self.rng)
        self.slots: dict[int, Slot] = {}
        self.ladders: dict[str, Ladder] = {}
        self.launch_tries: dict[str, int] = {}
        self.timeouts: dict[str, float] = {}
        self.start_method = "zygote"
        self.generation = 0  # the newest that may be forked from
        self.probing = 0  # a generation that must show one ready process before it serves
        self.ever_ready = False
        self._next_process = 1
        self._exit_when_drained: float | None = None
        self._drain_deadline: float | None = None
        self._stop_code: int | None = None
        self._exited = False
        self._signals = 0

    # --- jobs -----------------------------------------------------------------------------------

    def judge(self, *, forced: bool = False) -> Verdict:
        """Whether a job would be taken now."""
        return judge(self.state, self.options, self.gate.closed, forced=forced)

    def submit(
        self,
        job_id: str,
        room_id: str,
        metadata: dict[str, Any],
        now: Now,
        *,
        force: bool = False,
        own: bool = False,
        early: bool = False,
    ) -> Verdict:
        """Take a job or refuse it; `ready` means taken. `early`: it may wait for the first generation."""
        verdict = self.judge(forced=force)
        if verdict.status != "ready" and not (early and verdict.status == "starting"):
            self._emit(ev.JobRefused(at=now.at, reason=verdict.status, text=verdict.why))
            return verdict
        self._emit(ev.JobQueued(at=now.at, id=job_id, room_id=room_id, metadata=metadata, own=own))
        self._settle(now)
        return Verdict("ready", verdict.why)

    def end_job(self, job_id: str, now: Now, reason: str = "cancelled", close_s: float | None = None) -> None:
        """Start a job's stop ladder, or move it one rung down."""
        job = self.state.jobs[job_id]
        if not job.active:
            return
        ladder = self.ladders.get(job_id)
        if ladder is not None:
            ladder.due[ladder.rung] = now.mono if ladder.rung < len(RUNGS) else 0.0
        elif job.status == "queued":
            self._end_job(job, End(reason), now)
        else:
            close = self.options.close_timeout if close_s is None else close_s
            due = [now.mono, now.mono + min(POLITE_S, close / 2), now.mono + close]
            self.ladders[job_id] = Ladder(reason, [*due, due[2] + KILL_AFTER_TERM_S])
        self._settle(now)

    def job_started(self, process_id: int, job_id: str, attempt: int, latency_ms: float, now: Now) -> None:
        """The child is about to run the entrypoint's first line."""
        job = self._job_of(process_id, job_id, "started", now)
        if job is not None and job.status == "starting":
            self._emit(ev.JobStarted(at=now.at, id=job_id, attempt=attempt, start_latency_ms=latency_ms))
            if self.options.job_timeout > 0:
                self.timeouts[job_id] = now.mono
            self.backoff.healed()

    def job_reported(self, process_id: int, job_id: str, fields: dict[str, Any], now: Now) -> None:
        """`ctx.report()`."""
        if self._job_of(process_id, job_id, "report", now) is not None:
            self._emit(ev.JobReported(at=now.at, id=job_id, fields=fields))

    def job_over(self, process_id: int, job_id: str, attempt: int, said: End, seen: bool, now: Now) -> None:
        """The child says how its entrypoint ended."""
        job = self._job_of(process_id, job_id, said.reason, now)
        if job is None:
            return
        if job.attempt != attempt:
            self._emit(ev.LateReport(at=now.at, id=job_id, text=f"{said.reason} of attempt {attempt}"))
            return
        ladder = self.ladders.get(job_id)
        if ladder is not None and ladder.reason == "reloaded" and said.reason in ("returned", "cancelled"):
            self._requeue(job, "reloaded", now)
        else:
            asked = ladder.reason if ladder is not None else None
            self._end_job(job, from_report(said, None if asked == "reloaded" else asked, seen), now)
        process = self.state.processes[process_id]
        if process.state == "busy" and not self._reusable(process):
            self._leaving(process, "its job is over", now, self.options.close_timeout)
            self.effects.append(fx.Dismiss(process_id))
        self._settle(now)

    def process_free(self, process_id: int, now: Now) -> None:
        """A process that runs several jobs is ready for the next."""
        process = self.state.processes.get(process_id)
        if process is not None and process.state == "busy" and not self._holds_job(process):
            self._emit(ev.ProcessFreed(at=now.at, id=process_id))
            self._settle(now)

    # --- processes ------------------------------------------------------------------------------

    def process_forked(self, process_id: int, pid: int, now: Now) -> None:
        """The kernel gave it a pid."""
        if process_id in self.state.processes:
            self._emit(ev.ProcessForked(at=now.at, id=process_id, pid=pid))

    def process_ready(self, process_id: int, warm_ms: float, now: Now) -> None:
        """It loaded, prewarmed and rehearsed."""
        process = self.state.processes.get(process_id)
        if process is None or process.state != "starting":
            return
        self.slots[process_id].deadline = None
        self._emit(ev.ProcessReady(at=now.at, id=process_id, warm_ms=warm_ms))
        self.ever_ready = True
        if process.generation == self.probing:
            self.probing = 0
        self._settle(now)

    def process_exited(
        self, process_id: int, exit_code: int | None, signal: str | None, now: Now, words: str = ""
    ) -> None:
        """It was reaped, or could not be made (neither code nor signal)."""
        process = self.state.processes.get(process_id)
        if process is None:
            return
        slot = self.slots.pop(process_id)
        job = self.state.jobs.get(process.job_id or "")
        held = job is not None and job.active and job.process_id == process_id
        unexpected = not slot.expected and not held and process.state != "stopping"
        early = process.state == "starting" or now.mono - slot.born < MIN_UPTIME_S
        self._emit(
            ev.ProcessExited(
                at=now.at, id=process_id, exit_code=exit_code, signal=signal,
                why=slot.doom_words or words, unexpected=unexpected,
            )
        )  # fmt: skip
        if unexpected:
            self._note_failure(process, early, _how(exit_code, signal), slot.doom_words or words, now)
        if held and job is not None:
            self._end_by_exit(job, slot, exit_code, signal, words, now)
        self._settle(now)

    def doom(self, process_id: int, reason: str, words: str, now: Now) -> None:
        """Kill a process for a reason that its job will end with."""
        slot = self.slots.get(process_id)
        if slot is None:
            return
        if slot.doom is None:
            slot.doom, slot.doom_words = reason, words
        self.effects.append(fx.Kill(process_id))
        self._settle(now)

    def kill_process(self, process_id: int, now: Now) -> None:
        """An operator's kill: its job ends `signalled`, and the pool does not count a failure."""
        slot = self.slots.get(process_id)
        if slot is not None:
            slot.expected = True
            slot.doom_words = "killed by the operator"
            self.effects.append(fx.Kill(process_id))

    def memory_measured(self, process_id: int, memory_mb: float, now: Now) -> None:
        """Compare a process tree with the limits; called for every sample."""
        limit, warn = self.options.memory_limit_mb, self.options.memory_warn_mb
        process = self.state.processes.get(process_id)
        if process is None:
            return
        if limit > 0 and memory_mb >= limit:
            slot = self.slots[process_id]
            if slot.doom is None:
                self.doom(process_id, "oom_limit", f"{memory_mb:.0f} MB, memory_limit_mb {limit:g}", now)
        elif warn > 0 and memory_mb >= max(warn, (process.warned_mb or 0.0) + max(0.1 * warn, 10.0)):
            self._emit(ev.MemoryCrossed(at=now.at, id=process_id, memory_mb=round(memory_mb, 1), warn_mb=warn))

    # --- code -----------------------------------------------------------------------------------

    def generation_loaded(self, generation: int, start_method: str, now: Now) -> None:
        """A generation can be forked from; one probe shows whether it also boots."""
        self.generation, self.probing, self.start_method = generation, generation, start_method
        self._settle(now)

    def generation_promoted(self, generation: int, now: Now) -> None:
        """The generation serves: idle processes of older ones leave, the workbench's own job moves over."""
        for process in self.state.live("idle"):
            if process.generation < generation:
                self._dismiss(process, f"generation {generation} serves", now)
        for job in self.state.active_jobs():
            if job.own and job.status != "queued" and (job.generation or 0) < generation:
                self.end_job(job.id, now, "reloaded", close_s=FORCED_CLOSE_S)
        self._settle(now)

    def generation_dropped(self, back_to: int, now: Now) -> None:
        """The newest generation failed: go on with `back_to`."""
        for process in self.state.live("starting", "idle"):
            if process.generation > back_to:
                self.slots[process.id].expected = True
                self.effects.append(fx.Kill(process.id))
        self.generation, self.probing = back_to, 0
        self._settle(now)

    # --- the worker -----------------------------------------------------------------------------

    def drain(self, why: str, now: Now, *, then_exit: bool) -> None:
        """Take no new jobs; with `then_exit` end after the last one, or cut at `drain_timeout`."""
        deadline = now.at + self.options.drain_timeout if then_exit else None
        if then_exit:
            self._drain_deadline = now.mono + self.options.drain_timeout
            self._exit_when_drained = now.mono
        self._emit(ev.DrainStarted(at=now.at, why=why, deadline_at=deadline))
        if then_exit:  # nobody waits for the job that the workbench started for itself
            for job in self.state.active_jobs():
                if job.own:
                    self.end_job(job.id, now, close_s=FORCED_CLOSE_S)
        self._settle(now)

    def admit(self, now: Now) -> bool:
        """Undo a drain that is not an ending; False when it is one."""
        if self._exit_when_drained is not None or self._stop_code is not None:
            return False
        if self.state.worker.draining:
            self._emit(ev.DrainCancelled(at=now.at))
            self._settle(now)
        return True

    def stop(self, why: str, code: int, now: Now, close_s: float = FORCED_CLOSE_S) -> None:
        """End: every job is put on the ladder, with at most `close_s` before it is killed."""
        if self._stop_code is None:
            self._stop_code = code
            self._emit(ev.StopStarted(at=now.at, why=why))
        close = min(close_s, self.options.close_timeout)
        for job in self.state.active_jobs():
            ladder = self.ladders.pop(job.id, None)
            self.end_job(job.id, now, ladder.reason if ladder and ladder.reason != "reloaded" else "drain_cut", close)
        self._settle(now)

    def signalled(self, number: int, name: str, now: Now) -> None:
        """SIGTERM or SIGINT: drain, then the ladder, then kill the tree."""
        self._signals += 1
        if self._signals == 1:
            self.drain(f"{name} received", now, then_exit=True)
        elif self._signals == 2:
            self.stop(f"{name} received twice", 128 + number, now)
        else:
            for process in list(self.state.processes.values()):
                self.slots[process.id].expected = True
                self.slots[process.id].doom = self.slots[process.id].doom or "drain_cut"
                self.effects.append(fx.Kill(process.id))

    def set_options(self, options: Options, now: Now) -> None:
        """Options changed live."""
        self.options = options
        self._settle(now)

    def load_measured(self, load: float | None, now: Now) -> None:
        """A new value of the load the threshold is held against."""
        self.gate.update(load, self.options.load_threshold, now.mono)
        self._settle(now)

    def next_wakeup(self) -> float | None:
        """The monotonic time at which `tick` has something to do; None when only news can change anything."""
        times = [ladder.due[ladder.rung] for ladder in self.ladders.values() if ladder.rung < len(RUNGS)]
        times += [slot.deadline for slot in self.slots.values() if slot.deadline is not None]
        if self.options.job_timeout > 0:
            times += [began + self.options.job_timeout for began in self.timeouts.values()]
        if self._drain_deadline is not None and self._stop_code is None:
            times.append(self._drain_deadline)
        if self.backoff.held_until and self._wants_process():
            times.append(self.backoff.held_until)
        return min(times, default=None)

    def tick(self, now: Now) -> None:
        """Do what is due by the clock."""
        for job_id, began in list(self.timeouts.items()):
            if 0 < self.options.job_timeout <= now.mono - began and job_id not in self.ladders:
                self.end_job(job_id, now, "timeout")
        for process_id, slot in list(self.slots.items()):
            if slot.deadline is not None and now.mono >= slot.deadline:
                slot.deadline = None
                self._deadline_passed(self.state.processes[process_id], slot)
        drain_over = self._drain_deadline is not None and now.mono >= self._drain_deadline
        if drain_over and self._stop_code is None:
            self.stop("drain_timeout passed", 7 if self.state.active_jobs() else 0, now)
        self._settle(now)

    # --- inside ---------------------------------------------------------------------------------

    def _emit(self, event: ev.Event) -> None:
        self.state.apply(event)
        self.events.append(event)

    def _settle(self, now: Now) -> None:
        """Bring the pool to where the state says it should be. Idempotent; runs after every news."""
        self._climb_ladders(now)
        self._launch_waiting(now)
        self._fill_pool(now)
        verdict = self.judge()
        worker = self.state.worker
        if (verdict.status, verdict.why) != (worker.status, worker.why):
            self._emit(ev.AdmissionChanged(at=now.at, status=verdict.status, why=verdict.why))
        self._maybe_exit()

    def _climb_ladders(self, now: Now) -> None:
        for job_id, ladder in list(self.ladders.items()):
            job = self.state.jobs[job_id]
            while job.process_id and ladder.rung < len(RUNGS) and now.mono >= ladder.due[ladder.rung]:
                self._step(job, ladder, now)

    def _step(self, job: Job, ladder: Ladder, now: Now) -> None:
        process_id, rung = job.process_id or 0, RUNGS[ladder.rung]
        ladder.rung += 1
        self._emit(ev.JobEndAsked(at=now.at, id=job.id, rung=rung, why=ladder.reason))
        step: fx.Effect
        if rung == "end":
            step = fx.AskEnd(process_id, job.id, ladder.reason)
        elif rung == "cancel":
            step = fx.CancelJob(process_id, job.id)
        elif rung == "terminate":
            step = fx.Terminate(process_id)
        else:
            step = fx.Kill(process_id)
        self.effects.append(step)

    def _launch_waiting(self, now: Now) -> None:
        waiting = [job for job in self.state.jobs.values() if job.status == "queued"]
        idle = [p for p in self.state.live("idle") if p.generation >= self.state.worker.generation > 0]
        for job, process in zip(waiting, idle, strict=False):
            warm = self.launch_tries.get(job.id, 0) == 0 and process.since <= job.queued_at
            self._emit(ev.JobStarting(at=now.at, id=job.id, process_id=process.id, warm=warm))
            self.effects.append(fx.Launch(process.id, job.id, job.attempt + 1))

    def _counts(self) -> tuple[int, int, int]:
        """Jobs without a process, processes that boot or idle on current code, processes with a job."""
        queued = sum(job.status == "queued" for job in self.state.jobs.values())
        newest = self.generation
        ready = sum(p.generation == newest for p in self.state.live("starting", "idle"))
        return queued, ready, len(self.state.live("busy"))

    def _target(self) -> int:
        queued, _, busy = self._counts()
        ending = self._stop_code is not None or self._exit_when_drained is not None
        idle = 0 if ending else self.options.num_idle_processes
        return max(0, min(queued + idle, self.options.max_processes - busy))

    def _wants_process(self) -> bool:
        _, ready, _ = self._counts()
        if self.generation == 0 or self._exited:
            return False
        if self.probing:
            return ready == 0
        return ready < self._target()

    def _fill_pool(self, now: Now) -> None:
        while self._wants_process() and self.backoff.may_start(now.mono):
            if len(self.state.live("starting")) >= self.limit_starting:
                return
            self._spawn(now)
        if not self.probing:
            self._shrink(now)

    def _spawn(self, now: Now) -> None:
        process_id, self._next_process = self._next_process, self._next_process + 1
        self.slots[process_id] = Slot(now.mono, now.mono + self.options.initialize_timeout)
        self._emit(
            ev.ProcessSpawning(at=now.at, id=process_id, generation=self.generation, start_method=self.start_method)
        )
        if self.backoff.degraded:
            self.backoff.held_until = now.mono + 30.0  # one probe, and the next only after that
        self.effects.append(fx.Spawn(process_id, self.generation))

    def _shrink(self, now: Now) -> None:
        _, ready, _ = self._counts()
        surplus = ready - self._target()
        for process in reversed(self.state.live("idle")):
            if surplus <= 0:
                return
            if process.generation == self.generation:
                self._dismiss(process, "more idle processes than wanted", now)
                surplus -= 1

    def _dismiss(self, process: Process, why: str, now: Now) -> None:
        self._leaving(process, why, now, LEAVE_S)
        self.effects.append(fx.Dismiss(process.id))

    def _leaving(self, process: Process, why: str, now: Now, within_s: float) -> None:
        slot = self.slots[process.id]
        slot.expected, slot.deadline = True, now.mono + within_s
        self._emit(ev.ProcessStopping(at=now.at, id=process.id, why=why))

    def _deadline_passed(self, process: Process, slot: Slot) -> None:
        if process.state == "starting":
            slot.doom = "init_failed"
            slot.doom_words = f"not ready within initialize_timeout {self.options.initialize_timeout:g} s"
        self.effects.append(fx.Kill(process.id))

    def _reusable(self, process: Process) -> bool:
        most = self.options.max_jobs_per_process
        fresh = process.generation == self.state.worker.generation
        return (most == 0 or process.jobs_done < most) and fresh and self._stop_code is None

    def _holds_job(self, process: Process) -> bool:
        job = self.state.jobs.get(process.job_id or "")
        return job is not None and job.active and job.process_id == process.id

    def _job_of(self, process_id: int, job_id: str, what: str, now: Now) -> Job | None:
        """The job a child speaks of, if it is the one it has; anything else is late."""
        job = self.state.jobs.get(job_id)
        if job is not None and job.active and job.process_id == process_id:
            return job
        self._emit(ev.LateReport(at=now.at, id=job_id, text=f"{what} from process {process_id} came too late"))
        return None

    def _end_by_exit(
        self, job: Job, slot: Slot, exit_code: int | None, signal: str | None, words: str, now: Now
    ) -> None:
        ladder = self.ladders.get(job.id)
        if job.status == "starting" and slot.doom is None and ladder is None and not slot.expected:
            tries = self.launch_tries[job.id] = self.launch_tries.get(job.id, 0) + 1
            if tries < LAUNCH_TRIES:
                self._requeue(job, "launch_failed", now)
                return
            words = f"{tries} processes died before its entrypoint began ({_how(exit_code, signal)})"
            self._end_job(job, End("init_failed", words, exit_code, signal), now)
            return
        asked = ladder.reason if ladder is not None else None
        if asked == "reloaded" and slot.doom is None:
            self._requeue(job, "reloaded", now)
            return
        self._end_job(job, from_exit(exit_code, signal, slot.doom, asked, slot.doom_words or words), now)

    def _requeue(self, job: Job, reason: str, now: Now) -> None:
        self.ladders.pop(job.id, None)
        self.timeouts.pop(job.id, None)
        self._emit(ev.JobRequeued(at=now.at, id=job.id, reason=reason))

    def _end_job(self, job: Job, end: End, now: Now) -> None:
        tables: tuple[dict[str, Any], ...] = (self.ladders, self.launch_tries, self.timeouts)
        for table in tables:
            table.pop(job.id, None)
        self._emit(
            ev.JobEnded(
                at=now.at, id=job.id, status=end.status, reason=end.reason,
                error=end.error, exit_code=end.exit_code, signal=end.signal,
            )
        )  # fmt: skip
        self.effects.append(fx.CloseRoom(job.id))

    def _note_failure(self, process: Process, early: bool, how: str, words: str, now: Now) -> None:
        if not early:
            return  # it had lived: its replacement may start at once
        was_degraded = self.backoff.degraded
        delay = self.backoff.failed(now.mono)
        why = f"a process of generation {process.generation} died while {process.state} ({how})"
        why = f"{why}: {words}" if words else why
        degraded = self.backoff.degraded
        if delay > 0 or degraded:
            text = f"{why}; next try in {delay:.1f} s"
            count = len(self.backoff.failures)
            self._emit(ev.PoolHeld(at=now.at, failures=count, until_at=now.at + delay, degraded=degraded, why=text))
        if degraded and not was_degraded:
            for job in [j for j in self.state.jobs.values() if j.status == "queued" and not j.own]:
                self._end_job(job, End("init_failed", why), now)

    def heal_check(self, now: Now) -> None:
        """Called as time passes: an idle process that stayed ends a hold."""
        stayed = any(now.mono - self.slots[p.id].born >= MIN_UPTIME_S for p in self.state.live("idle"))
        if stayed and self.backoff.failures and self.backoff.healed():
            self._emit(ev.PoolHealed(at=now.at))
            self._settle(now)

    @property
    def boot_failed(self) -> bool:
        """Processes of the first generation keep dying before any was ever ready."""
        return not self.ever_ready and len(self.backoff.failures) >= BOOT_TRIES

    def _maybe_exit(self) -> None:
        if self._exited or self.state.active_jobs():
            return
        if self._stop_code is None and self._exit_when_drained is None:
            return
        for process in self.state.live("idle", "starting"):
            self.slots[process.id].expected = True
            self.effects.append(fx.Kill(process.id))  # nothing runs in it
        if any(p.state == "busy" for p in self.state.processes.values()):
            return
        self._exited = True
        code = self._stop_code if self._stop_code is not None else 0
        self.effects.append(fx.Exit(code, "all jobs have ended"))


def _how(exit_code: int | None, signal: str | None) -> str:
    if signal:
        return signal
    return "never came to be" if exit_code is None else f"exit code {exit_code}"
