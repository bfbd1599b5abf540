"""Every job's way from acceptance to its one end: launches, starts, stop ladders, endings. No I/O."""

from dataclasses import dataclass
from typing import Any

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.desk import Desk, Now
from workbench.model.ending import End, from_exit, from_report
from workbench.model.jsontext import MAX_REPORT_BYTES, dump
from workbench.model.ladder import DEADLY, Ladder, effect_of
from workbench.model.pool import Pool, Slot
from workbench.model.state import Job, Process

LAUNCH_TRIES = 3  # processes that may die over a job before its entrypoint began
LAUNCHES = 20  # the same, with those that died before they had even read it


@dataclass(slots=True)
class Launch:
    """How a job that has not begun fares: `taken` when its process has read it."""

    queued_at: float | None = None  # monotonic
    tries: int = 0
    launches: int = 0
    taken: bool = False


class Jobs:
    """The jobs that have not ended."""

    def __init__(self, desk: Desk, pool: Pool) -> None:
        self._desk, self._state, self._pool = desk, desk.state, pool
        self.ladders: dict[str, Ladder] = {}
        self.launches: dict[str, Launch] = {}
        self.began: dict[str, float] = {}  # when the entrypoint began, of jobs that may still time out
        self.overfull: dict[str, int] = {}  # reports that were left out, of jobs that report too much

    # --- news -----------------------------------------------------------------------------------

    def queue(self, job_id: str, room_id: str, metadata: dict[str, Any], own: bool, assigned: bool, now: Now) -> None:
        """It is accepted: from here on it has a slot."""
        self.launches[job_id] = Launch(now.mono)
        self._desk.tell(
            ev.JobQueued(at=now.at, id=job_id, room_id=room_id, metadata=metadata, own=own, assigned=assigned)
        )

    def ask_end(self, job: Job, reason: str, close_s: float, now: Now) -> None:
        """Start its stop ladder, or move it one rung down."""
        ladder = self.ladders.get(job.id)
        if ladder is not None:
            if ladder.reason == "reloaded":
                ladder.reason = reason  # it was to come back; now it is to end
            ladder.skip(now.mono)
        elif job.status == "queued":
            self.end(job, End(reason), now)
        else:
            self.ladders[job.id] = Ladder.start(reason, close_s, now.mono)
            self.began.pop(job.id, None)

    def asked_too_late(self, job: Job, reason: str, now: Now) -> None:
        """It was to end, but had ended by itself: that stands, and the request is recorded."""
        self._desk.tell(ev.LateReport(at=now.at, id=job.id, text=f"asked to end ({reason}), but it had ended already"))

    def hasten_end(self, job: Job, reason: str, close_s: float, now: Now) -> None:
        """Start its stop ladder, or make the one it is on end no later than one that starts now."""
        ladder = self.ladders.get(job.id)
        if ladder is None:
            self.ask_end(job, reason, close_s, now)
            return
        ladder.reason = reason if ladder.reason == "reloaded" else ladder.reason
        ladder.hasten(close_s, now.mono)

    def started(self, job: Job, attempt: int, latency_ms: float, now: Now) -> bool:
        """The entrypoint begins; False when that is no news."""
        if job.status != "starting" or attempt != job.attempt + 1:
            return False
        self._desk.tell(ev.JobStarted(at=now.at, id=job.id, attempt=attempt, start_latency_ms=latency_ms))
        self.launches[job.id] = Launch()
        if job.id not in self.ladders:
            self.began[job.id] = now.mono
        return True

    def report_fits(self, job: Job, fields: dict[str, Any], now: Now) -> bool:
        """It can be shown with what the job has reported before: every snapshot holds all of it."""
        size = len(dump({**job.report, **fields}))
        if size <= MAX_REPORT_BYTES:
            return True
        self.overfull[job.id] = self.overfull.get(job.id, 0) + 1
        if self.overfull[job.id] == 1:
            text = f"{job.id}: report() not shown: {size} bytes with what it has reported before, "
            text += f"at most {MAX_REPORT_BYTES}; nor are others that do not fit"
            self._desk.tell(ev.Noted(at=now.at, level="WARNING", text=text))
        return False

    def over(self, job: Job, attempt: int, said: End, seen: bool, now: Now) -> bool:
        """The child says how its entrypoint ended, or why it could not begin; False for an earlier attempt."""
        if attempt != job.attempt + (job.status == "starting"):
            self._late(job.process_id or 0, job.id, f"{said.reason} of attempt {attempt}", now)
            return False
        ladder = self.ladders.get(job.id)
        asked = ladder.reason if ladder is not None else None
        if asked == "reloaded" and seen and said.reason in ("returned", "cancelled"):
            self._requeue(job, "reloaded", now)
        else:
            if asked is not None and not seen:
                self.asked_too_late(job, asked, now)
            self.end(job, from_report(said, None if asked == "reloaded" else asked, seen), now)
        return True

    def process_gone(
        self, job: Job, slot: Slot, exit_code: int | None, signal: str | None, words: str, now: Now
    ) -> None:
        """Its process ended while it had the job."""
        ladder = self.ladders.get(job.id)
        asked = ladder.reason if ladder is not None else None
        if job.status == "starting" and ladder is None:
            if self._try_again(job, slot, now):
                return
            if not slot.condemned:
                tries = self.launches[job.id].tries
                text = f"{tries} processes died before its entrypoint began ({how(exit_code, signal)})"
                self.end(job, End("init_failed", text, exit_code, signal), now)
                return
        if job.status == "starting" and asked not in (None, "reloaded") and not self.launches[job.id].taken:
            self.end(job, End(asked), now)  # it was to end, and never began: what killed its process is not its end
            return
        if asked == "reloaded":
            if slot.doom is None:
                self._requeue(job, "reloaded", now)
                return
            asked = None
        self.end(job, from_exit(exit_code, signal, slot.doom, asked, slot.doom_words or words), now)

    def fail_waiting(self, why: str, now: Now) -> None:
        """The budget is used up: nobody knows when there will be a process for those that wait."""
        for job in self._state.active_jobs():
            if job.status == "queued" and not job.own:
                self.end(job, End("init_failed", why), now)

    # --- moving on ------------------------------------------------------------------------------

    def climb(self, now: Now) -> None:
        """Take every rung that is due."""
        for job_id, ladder in self.ladders.items():
            process_id = self._state.jobs[job_id].process_id or 0
            while ladder.next_due is not None and now.mono >= ladder.next_due:
                rung = ladder.step(now.mono)
                self._desk.tell(ev.JobEndAsked(at=now.at, id=job_id, rung=rung, why=ladder.reason))
                self._desk.want(effect_of(rung, process_id, job_id, ladder.reason))
                if rung in DEADLY and process_id in self._pool.slots:
                    self._pool.slots[process_id].expected = True  # no other job for it, whatever it still says

    def launch_waiting(self, now: Now) -> None:
        """Hand queued jobs to idle processes."""
        waiting = [job for job in self._state.active_jobs() if job.status == "queued"]
        if not waiting or self._state.worker.generation == 0:
            return
        idle = [
            p
            for p in self._pool.available("idle")
            if p.generation in (self._pool.serving, self._state.worker.generation)
        ]
        for job, process in zip(waiting, idle, strict=False):
            launch = self.launches[job.id]
            launch.launches, launch.taken = launch.launches + 1, False
            warm = launch.launches == 1 and launch.queued_at == now.mono  # the process stood there already
            self._desk.tell(ev.JobStarting(at=now.at, id=job.id, process_id=process.id, warm=warm))
            self._desk.want(fx.Launch(process.id, job.id, job.attempt + 1))

    def timed_out(self, now: Now) -> list[Job]:
        """Jobs that have run for `job_timeout`."""
        limit = self._desk.options.job_timeout
        return [self._state.jobs[id] for id, began in self.began.items() if 0 < limit <= now.mono - began]

    def due(self) -> list[float | None]:
        """When something here is to be done by the clock."""
        times = [ladder.next_due for ladder in self.ladders.values()]
        if (limit := self._desk.options.job_timeout) > 0:
            times += [began + limit for began in self.began.values()]
        return times

    def of(self, process_id: int, job_id: str, what: str, now: Now) -> Job | None:
        """The job a child speaks of, if it is the one it has; anything else is late."""
        job = self._state.jobs.get(job_id)
        if job is not None and job.active and job.process_id == process_id:
            return job
        self._late(process_id, job_id, f"{what} from process {process_id} came too late", now)
        return None

    def held_by(self, process: Process) -> Job | None:
        """The job that runs in a process."""
        job = self._state.jobs.get(process.job_id or "")
        return job if job is not None and job.active and job.process_id == process.id else None

    def end(self, job: Job, end: End, now: Now) -> None:
        """Once and for ever."""
        tables: tuple[dict[str, Any], ...] = (self.ladders, self.launches, self.began, self.overfull)
        for table in tables:
            table.pop(job.id, None)
        self._desk.tell(
            ev.JobEnded(
                at=now.at, id=job.id, status=end.status, reason=end.reason,
                error=end.error, exit_code=end.exit_code, signal=end.signal,
            )
        )  # fmt: skip
        self._desk.want(fx.CloseRoom(job.id))

    def _late(self, process_id: int, job_id: str, text: str, now: Now) -> None:
        """Note a message that concerns nobody any more: the 1st, 2nd, 4th ... of a process. What a job left behind
        in it may go on for ever."""
        count = 1
        if (slot := self._pool.slots.get(process_id)) is not None:
            count = slot.late = slot.late + 1
        if count.bit_count() == 1:
            text += f"; {count} of such so far" if count > 1 else ""
            self._desk.tell(ev.LateReport(at=now.at, id=job_id, text=text))

    def _try_again(self, job: Job, slot: Slot, now: Now) -> bool:
        """Launch a job anew whose process died before the entrypoint began, if that may not be the job's doing."""
        launch = self.launches[job.id]
        launch.tries += launch.taken
        if launch.launches >= LAUNCHES or launch.tries >= LAUNCH_TRIES or (launch.taken and slot.condemned):
            return False
        self._requeue(job, "launch_failed", now)
        return True

    def _requeue(self, job: Job, reason: str, now: Now) -> None:
        self.ladders.pop(job.id, None)
        self.began.pop(job.id, None)
        self._desk.tell(ev.JobRequeued(at=now.at, id=job.id, reason=reason))


def how(exit_code: int | None, signal: str | None) -> str:
    """A process's end in two words."""
    if signal:
        return signal
    return "never came to be" if exit_code is None else f"exit code {exit_code}"
