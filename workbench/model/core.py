"""The decisions of a worker: given this state, this news and this time, these effects. No I/O.

The shell tells what happened by the methods below, then takes what is to be told to every client (the state has
it already) and what is to be done. Slots are taken here, before anything is awaited, so over-accepting is
impossible. Jobs, pool and closing each know their side; this is the door to all of them.
"""

import math
import random
from typing import Any

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.admission import LoadGate, Verdict, judge
from workbench.model.closing import FORCED_CLOSE_S, Closing
from workbench.model.desk import Desk, Now
from workbench.model.ending import End
from workbench.model.jobs import Jobs, how
from workbench.model.options import Options
from workbench.model.pool import Pool
from workbench.model.reservations import Reservations
from workbench.model.state import Process, State

__all__ = ["Core", "Now"]


class Core:
    """One worker's decisions.

    Args:
        strict: a worker whose processes die again and again drains and ends (exit 5) instead of trying on.
        reload_jobs: `keep` lets running jobs end on their code, `restart` starts them again on promoted code.
    """

    def __init__(
        self,
        options: Options,
        rng: random.Random | None = None,
        *,
        strict: bool = False,
        reload_jobs: str = "keep",
    ) -> None:
        self.strict, self.reload_jobs = strict, reload_jobs
        self.desk = Desk(options)
        self.state: State = self.desk.state
        self.pool = Pool(self.desk, rng or random.Random(), strict=strict)
        self.jobs = Jobs(self.desk, self.pool)
        self.closing = Closing(self.desk, self.pool, self.jobs)
        self.reservations = Reservations(self.desk)
        self.gate = LoadGate()

    def take(self) -> tuple[list[ev.Event], list[fx.Effect]]:
        """What is to be told and done since the last call."""
        events, effects = self.desk.events, self.desk.effects
        self.desk.events, self.desk.effects = [], []
        return events, effects

    @property
    def has_news(self) -> bool:
        """`take` would have something."""
        return bool(self.desk.events or self.desk.effects)

    @property
    def options(self) -> Options:
        """As they are now."""
        return self.desk.options

    # --- jobs -----------------------------------------------------------------------------------

    def judge(self, *, forced: bool = False) -> Verdict:
        """Whether a job would be taken now."""
        return judge(self.state, self.options, self.gate, forced=forced)

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
        assigned: bool = False,
    ) -> Verdict:
        """Take a job or refuse it; `ready` means taken.

        Args:
            force: whatever the load is.
            own: the workbench started it for itself.
            early: it may wait for the first generation.
            assigned: a registry gave it; the slot that is kept for it, if one is, becomes its own.
        """
        kept = self.reservations.release(job_id, "assigned", now)
        verdict = self.judge(forced=force or kept)
        if kept and verdict.status == "draining":  # it was accepted before
            verdict = Verdict("ready", verdict.why)
        room = self.slots_taken < self.options.max_processes
        if verdict.status != "ready" and not (early and room and verdict.status == "starting"):
            self.desk.tell(ev.JobRefused(at=now.at, reason=verdict.status, text=verdict.why))
            return verdict
        self.jobs.queue(job_id, room_id, metadata, own, assigned, now)
        self._settle(now)
        return Verdict("ready", verdict.why)

    def reserve(self, job_id: str, now: Now) -> Verdict:
        """Keep a slot for a job that a registry offers, or say why not; `ready` means kept."""
        verdict = self.judge()
        if verdict.status == "ready":
            self.reservations.take(job_id, now)
            self._settle(now)
        else:
            self.desk.tell(ev.JobRefused(at=now.at, reason=verdict.status, text=verdict.why))
        return verdict

    def release(self, job_id: str, why: str, now: Now) -> bool:
        """Give a reserved slot back; False when none is kept for that job."""
        released = self.reservations.release(job_id, why, now)
        self._settle(now)
        return released

    def release_all(self, why: str, now: Now) -> None:
        """Give all reserved slots back: whoever was to assign them cannot any more."""
        self.reservations.release_all(why, now)
        self._settle(now)

    def end_job(self, job_id: str, now: Now, reason: str = "cancelled") -> None:
        """Start a job's stop ladder, or move it one rung down."""
        job = self.state.jobs[job_id]
        if job.active:
            self.jobs.ask_end(job, reason, self.options.close_timeout, now)
            self._settle(now)
        else:
            self.jobs.asked_too_late(job, reason, now)

    def pin_job(self, job_id: str, pinned: bool, now: Now) -> None:
        """Leave a job on its generation when newer code is promoted, or no longer so."""
        job = self.state.jobs[job_id]
        if job.active and job.pinned != pinned:
            self.desk.tell(ev.JobPinned(at=now.at, id=job_id, pinned=pinned))

    def job_taken(self, process_id: int, job_id: str, now: Now) -> None:
        """The child has read it: if it dies from here on, the job may have had its part in that."""
        if self.jobs.of(process_id, job_id, "taken", now) is not None:
            self.jobs.launches[job_id].taken = True

    def job_started(self, process_id: int, job_id: str, attempt: int, latency_ms: float, now: Now) -> None:
        """The child is about to run the entrypoint's first line."""
        job = self.jobs.of(process_id, job_id, "started", now)
        if job is not None and self.jobs.started(job, attempt, latency_ms, now):
            self.pool.heal(now)
            if job.generation == self.pool.serving:
                self.pool.proven()
            self._settle(now)

    def job_reported(self, process_id: int, job_id: str, fields: dict[str, Any], now: Now) -> None:
        """`ctx.report()`."""
        job = self.jobs.of(process_id, job_id, "report", now)
        if job is not None and self.jobs.report_fits(job, fields, now):
            self.desk.tell(ev.JobReported(at=now.at, id=job_id, fields=fields))

    def job_over(self, process_id: int, job_id: str, attempt: int, said: End, seen: bool, now: Now) -> None:
        """The child says how its entrypoint ended, or why it could not begin."""
        job = self.jobs.of(process_id, job_id, said.reason, now)
        if job is None or not self.jobs.over(job, attempt, said, seen, now):
            return
        process = self.state.processes[process_id]
        if process.state == "busy" and not self._reusable(process):
            self.pool.dismiss(process, "its job is over", now)
        self._settle(now)

    # --- processes ------------------------------------------------------------------------------

    def process_forked(self, process_id: int, pid: int, now: Now) -> None:
        """The kernel gave it a pid."""
        if process_id in self.state.processes:
            self.pool.forked(process_id, now)
            self.desk.tell(ev.ProcessForked(at=now.at, id=process_id, pid=pid))

    def process_ready(self, process_id: int, warm_ms: float, now: Now) -> bool:
        """It loaded, prewarmed and rehearsed; False when nobody wants it any more."""
        process = self.state.processes.get(process_id)
        if process is None or process.state != "starting" or self.pool.slots[process_id].going:
            return False
        self.pool.ready(process_id, now)
        self.desk.tell(ev.ProcessReady(at=now.at, id=process_id, warm_ms=warm_ms))
        self._settle(now)
        return True

    def process_free(self, process_id: int, now: Now) -> None:
        """A process that runs several jobs is ready for the next."""
        process = self.state.processes.get(process_id)
        if process is not None and process.state == "busy" and self.jobs.held_by(process) is None:
            if self._reusable(process):
                self.desk.tell(ev.ProcessFreed(at=now.at, id=process_id))
            else:  # newer code serves since its job ended
                self.pool.dismiss(process, "its job is over", now)
            self._settle(now)

    def process_lost(self, process_id: int) -> None:
        """It has ended, or cannot be reached any more: nothing is given to it while its end is being told."""
        slot = self.pool.slots.get(process_id)
        if slot is not None:
            slot.lost = True

    def process_exited(
        self, process_id: int, exit_code: int | None, signal: str | None, now: Now, words: str = ""
    ) -> None:
        """It was reaped, or could not be made (neither code nor signal)."""
        process = self.state.processes.get(process_id)
        if process is None:
            return
        slot, job, state = self.pool.slots.pop(process_id), self.jobs.held_by(process), process.state
        probe = process.generation == self.pool.probing and self.pool.ever_ready  # its generation fails, not the pool
        unexpected = job is None and not (slot.expected or probe or state == "stopping")
        why = slot.doom_words or words
        self.desk.tell(
            ev.ProcessExited(
                at=now.at, id=process_id, exit_code=exit_code, signal=signal, why=why, unexpected=unexpected
            )
        )
        if probe and state == "starting":
            self.pool.dropped()
        if (job is None or job.status == "starting") and self.pool.on_trial(process, slot, now):
            died = f"a process died while {'idle' if job is None else state} ({how(exit_code, signal)})"
            self.pool.roll_back(f"{died}: {why}" if why else died, now)
        elif unexpected and self.pool.died(process.generation, state, slot, how(exit_code, signal), why, now):
            self._budget_spent(self.state.worker.held_why, now)
        if job is not None:
            self.jobs.process_gone(job, slot, exit_code, signal, words, now)
        self._settle(now)

    def doom(self, process_id: int, reason: str, words: str, now: Now) -> None:
        """Kill a process for a reason that its job will end with."""
        slot = self.pool.slots.get(process_id)
        if slot is None:
            return
        if slot.doom is None:
            slot.doom, slot.doom_words = reason, words
        self.desk.want(fx.Kill(process_id))
        self._settle(now)

    def kill_process(self, process_id: int, now: Now) -> None:
        """An operator's kill: its job ends `signalled`, and the pool does not count a failure."""
        slot = self.pool.slots.get(process_id)
        if slot is not None:
            slot.expected = True
            slot.doom_words = slot.doom_words or "killed by the operator"
            self.desk.want(fx.Kill(process_id))
            self._settle(now)

    def memory_marks(self, process_id: int) -> tuple[float, float]:
        """The megabytes at which a process tree is killed, and the ones at which the next warning is due."""
        limit, warn = self.options.memory_limit_mb, self.options.memory_warn_mb
        warned = self.state.processes[process_id].warned_mb or 0.0
        return limit or math.inf, max(warn, warned + max(0.1 * warn, 10.0)) if warn > 0 else math.inf

    def memory_measured(self, process_id: int, memory_mb: float, now: Now) -> None:
        """Compare a process tree with the marks; called for every sample."""
        if process_id not in self.state.processes:
            return
        limit, warn = self.memory_marks(process_id)
        if memory_mb >= limit:
            if self.pool.slots[process_id].doom is None:
                self._over_limit(process_id, f"held {memory_mb:.0f} MB, over {limit:g} MB (memory_limit_mb)", now)
        elif memory_mb >= warn:
            mark = self.options.memory_warn_mb
            self.desk.tell(ev.MemoryCrossed(at=now.at, id=process_id, memory_mb=round(memory_mb, 1), warn_mb=mark))

    # --- code -----------------------------------------------------------------------------------

    def generation_loaded(self, generation: int, start_method: str, now: Now, limit_s: float | None = None) -> None:
        """A generation can be forked from; one probe shows whether it also boots.

        Args:
            limit_s: its own `initialize_timeout`; None for the one that holds.
        """
        self.pool.loaded(generation, start_method, self.options.initialize_timeout if limit_s is None else limit_s)
        self._settle(now)

    def generation_promoted(self, generation: int, now: Now) -> None:
        """The generation serves: idle processes of older ones leave, jobs that are to have its code move over.

        Those are the workbench's own job, and with `reload_jobs="restart"` all, as far as they are not pinned.
        """
        self.pool.promoted(generation, now)
        for job in self.state.active_jobs():
            moves = (job.own or self.reload_jobs == "restart") and not job.pinned
            if not moves or job.status == "queued" or (job.generation or 0) >= generation:
                continue
            if job.id not in self.jobs.ladders:
                close_s = FORCED_CLOSE_S if job.own else self.options.close_timeout
                self.jobs.ask_end(job, "reloaded", close_s, now)
        self._settle(now)

    def generation_dropped(self, now: Now) -> None:
        """The generation being loaded or probed failed, or a newer one takes its place."""
        self.pool.dropped()
        self._settle(now)

    def zygote_gone(self, generation: int) -> None:
        """Nothing can be made from this generation any more. Before the ends of what was asked of it are told."""
        if generation == self.pool.probing:
            self.pool.dropped()
        if generation == self.pool.serving:
            self.pool.serving = 0
        if generation == self.pool.fallback:
            self.pool.fallback = 0

    def zygote_lost(self, why: str, now: Now) -> float:
        """The serving generation's zygote ended; the seconds until another try to load the agent."""
        self.pool.proven()  # as far as anybody can tell: the same code is loaded again
        self.pool.serving = 0
        if self.pool.failed(why, now):
            self._budget_spent(why, now)
        self._settle(now)
        return max(0.0, self.pool.backoff.held_until - now.mono)

    @property
    def boot_failed(self) -> bool:
        """Processes of the first generation keep dying before any was ever ready."""
        return self.pool.boot_failed

    # --- the worker -----------------------------------------------------------------------------

    def drain(self, why: str, now: Now, *, then_exit: bool) -> None:
        """Take no new jobs; with `then_exit` end after the last one, or cut at `drain_timeout`."""
        self.closing.drain(why, now, then_exit=then_exit)
        self._settle(now)

    def admit(self, now: Now) -> bool:
        """Undo a drain that is not an ending; False when it is one."""
        if self.closing.begun:
            return False
        if self.state.worker.draining:
            self.desk.tell(ev.DrainCancelled(at=now.at))
            self._settle(now)
        return True

    def stop(self, why: str, code: int, now: Now) -> None:
        """End: every job is put on the ladder, with at most 5 s before it is killed."""
        self.closing.stop(why, code, now)
        self._settle(now)

    def signalled(self, number: int, name: str, now: Now) -> None:
        """SIGTERM or SIGINT: drain, then the ladder, then kill the tree."""
        self.closing.signalled(number, name, now)
        self._settle(now)

    def close(self) -> None:
        """The worker is being taken down: no process is made any more, whatever ends."""
        self.pool.closed = True

    def set_options(self, options: Options, now: Now) -> None:
        """Options changed live."""
        before, self.desk.options = self.desk.options, options
        self.closing.drain_may_take(options.drain_timeout - before.drain_timeout, now)
        for process in self.pool.available("idle"):
            if self._worn(process):
                self.pool.dismiss(process, "it has run as many jobs as max_jobs_per_process now allows", now)
        self._settle(now)

    def load_measured(self, load: float | None, now: Now) -> None:
        """A new value of the load the threshold is held against."""
        self.gate.update(self.jobs_load if self.options.load == "jobs" else load, self.options.load_threshold, now.mono)
        self._settle(now)

    @property
    def jobs_load(self) -> float:
        """What `load = "jobs"` means; known here at any time."""
        return round(self.slots_taken / self.options.max_processes, 3)

    @property
    def slots_taken(self) -> int:
        """Jobs that have not ended, and slots kept for offered ones."""
        return len(self.state.active_jobs()) + self.state.worker.reserved

    # --- time -----------------------------------------------------------------------------------

    def next_wakeup(self) -> float | None:
        """The monotonic time at which `tick` has something to do; None when only news can change anything."""
        if self.pool.closed:
            return None
        due = [*self.jobs.due(), *self.pool.due(), *self.closing.due(), *self.reservations.due()]
        return min((time for time in due if time is not None), default=None)

    def tick(self, now: Now) -> None:
        """Do what is due by the clock."""
        for job in self.jobs.timed_out(now):
            self.jobs.ask_end(job, "timeout", self.options.close_timeout, now)
        self.reservations.tick(now)
        self.pool.tick(now)
        self.closing.tick(now)
        self._settle(now)

    def heal_check(self, now: Now) -> None:
        """Called as time passes: an idle process that stayed ends a hold."""
        if self.pool.heal_if_stayed(now):
            self._settle(now)

    # --- inside ---------------------------------------------------------------------------------

    def _settle(self, now: Now) -> None:
        """Bring the worker to where the state says it should be. Idempotent; runs after every news."""
        self.jobs.climb(now)
        self.jobs.launch_waiting(now)
        self.pool.settle(now)
        if self.options.load == "jobs":  # not only when somebody measures: a burst of jobs is faster than that
            self.gate.update(self.jobs_load, self.options.load_threshold, now.mono)
        verdict, worker = self.judge(), self.state.worker
        if (verdict.status, verdict.why) != (worker.status, worker.why):
            self.desk.tell(ev.AdmissionChanged(at=now.at, status=verdict.status, why=verdict.why))
        self.closing.settle(now)

    def _budget_spent(self, why: str, now: Now) -> None:
        self.jobs.fail_waiting(why, now)
        if self.strict:
            self.closing.drain("the restart budget is used up (--strict)", now, then_exit=True, code=5)

    def _over_limit(self, process_id: int, words: str, now: Now) -> None:
        process = self.state.processes[process_id]
        if self.jobs.held_by(process) is None:  # no end of a job tells of it
            text = f"process {process.pid} is killed: what its job left behind {words}"
            self.desk.tell(ev.Noted(at=now.at, level="WARNING", text=text))
            self.pool.slots[process_id].expected = True  # it is no failure to start either
        self.doom(process_id, "oom_limit", words, now)

    def _reusable(self, process: Process) -> bool:
        if process.generation != self.state.worker.generation or self.pool.slots[process.id].going:
            return False
        return not self._worn(process) and self.closing.stop_code is None

    def _worn(self, process: Process) -> bool:
        most = self.options.max_jobs_per_process
        return 0 < most <= process.jobs_done
