"""How the worker itself ends: drained, stopped, or killed by ever more impatient signals. No I/O."""

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.desk import Desk, Now
from workbench.model.ending import End
from workbench.model.jobs import Jobs
from workbench.model.pool import Pool

FORCED_CLOSE_S = 5.0  # the stop ladder after a second signal
EXIT_GRACE_S = 1.0  # when the last job is over its process may still leave by itself
UNKILLABLE_S = 2.0  # after the third signal


class Closing:
    """The worker's end, once somebody wanted it."""

    def __init__(self, desk: Desk, pool: Pool, jobs: Jobs) -> None:
        self._desk, self._state, self._pool, self._jobs = desk, desk.state, pool, jobs
        self.signals = 0
        self.drains_to_exit = False
        self.stop_code: int | None = None
        self._drained_code = 0
        self._drain_deadline: float | None = None
        self._exit_by: float | None = None
        self._give_up_at: float | None = None

    @property
    def begun(self) -> bool:
        """The worker ends, now or after its last job."""
        return self.drains_to_exit or self.stop_code is not None

    def drain(self, why: str, now: Now, *, then_exit: bool, code: int = 0) -> None:
        """Take no new jobs; with `then_exit` end with `code` after the last one, or cut at `drain_timeout`."""
        if then_exit and not self.drains_to_exit:
            self.drains_to_exit = self._pool.ending = True
            self._drained_code = code
            self._drain_deadline = now.mono + self._desk.options.drain_timeout
        deadline = now.at + self._drain_deadline - now.mono if self._drain_deadline is not None else None
        self._desk.tell(ev.DrainStarted(at=now.at, why=why, deadline_at=deadline))
        if then_exit:  # nobody waits for the job that the workbench started for itself
            for job in self._state.active_jobs():
                if job.own:
                    self._jobs.hasten_end(job, "cancelled", self._close_s(), now)

    def drain_may_take(self, more_s: float, now: Now) -> None:
        """`drain_timeout` changed: it holds for a drain that has begun, too."""
        if self._drain_deadline is not None and self.stop_code is None and more_s:
            self._drain_deadline += more_s
            at = now.at + self._drain_deadline - now.mono
            self._desk.tell(ev.DrainStarted(at=now.at, why=self._state.worker.drain_why, deadline_at=at))

    def stop(self, why: str, code: int, now: Now) -> None:
        """End: every job is put on the ladder, with at most 5 s before it is killed."""
        if self.stop_code is None:
            self.stop_code, self._pool.ending = code, True
            self._desk.tell(ev.StopStarted(at=now.at, why=why))
        for job in self._state.active_jobs():
            # nobody waits for the job that the workbench started for itself: its end cuts nothing
            self._jobs.hasten_end(job, "cancelled" if job.own else "drain_cut", self._close_s(), now)

    def signalled(self, number: int, name: str, now: Now) -> None:
        """SIGTERM or SIGINT: drain, then the ladder, then kill the tree."""
        self.signals += 1
        if self.signals == 1:
            self.drain(f"{name} received", now, then_exit=True)
        elif self.signals == 2:
            if self.stop_code is not None:  # an end that was under way already is now a forced one
                self.stop_code = 128 + number
            self.stop(f"{name} received twice", 128 + number, now)
        else:
            self._kill_everything(now)

    def tick(self, now: Now) -> None:
        """Cut a drain at its deadline; give up what cannot even be killed."""
        if self.stop_code is None and self._drain_deadline is not None and now.mono >= self._drain_deadline:
            self.stop("drain_timeout passed", self._drained_code or (7 if self._state.active_jobs() else 0), now)
        if self._give_up_at is not None and now.mono >= self._give_up_at:
            for job in self._state.active_jobs():
                self._jobs.end(job, End("drain_cut", "its process could not be killed"), now)
            self._exit_by = now.mono

    def settle(self, now: Now) -> None:
        """Leave when nothing is left to wait for."""
        kept = self._state.worker.reserved and self.stop_code is None  # a job that was accepted may still come
        if self._pool.closed or not self.begun or self._state.active_jobs() or kept:
            return
        for process in self._pool.available("idle", "starting"):
            self._pool.kill(process)  # nothing runs in it
        if self._exit_by is None:
            self._exit_by = now.mono + EXIT_GRACE_S
        if self._state.live("busy", "stopping") and now.mono < self._exit_by:
            return
        self._pool.closed = True
        self._desk.want(
            fx.Exit(self.stop_code if self.stop_code is not None else self._drained_code, "all jobs have ended")
        )

    def due(self) -> list[float | None]:
        """When something here is to be done by the clock."""
        return [self._drain_deadline if self.stop_code is None else None, self._exit_by, self._give_up_at]

    def _close_s(self) -> float:
        return min(FORCED_CLOSE_S, self._desk.options.close_timeout)

    def _kill_everything(self, now: Now) -> None:
        for process in self._state.processes.values():
            slot = self._pool.slots[process.id]
            slot.expected, slot.doom = True, slot.doom or "drain_cut"
            self._desk.want(fx.Kill(process.id))
        self._give_up_at = self._give_up_at or now.mono + UNKILLABLE_S
