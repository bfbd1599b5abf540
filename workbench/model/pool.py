"""Which processes there should be: how many, of which generation, how soon after deaths. No I/O."""

import random
from dataclasses import dataclass

from workbench.model import effects as fx
from workbench.model import events as ev
from workbench.model.backoff import Backoff
from workbench.model.desk import Desk, Now
from workbench.model.state import Process
from workbench.model.surplus import STAY_S, Surplus

MIN_UPTIME_S = 5.0  # a process that dies sooner after it was ready, and not while it has a job, counts as a failure
LEAVE_S = 5.0  # a process that has had no job may take this long to leave
LEAVE_AT_LEAST_S = 1.0  # one that has had a job, if `close_timeout` is less
BOOT_TRIES = 3  # deaths before the first process ever became ready, until the boot counts as failed
PROBE_EVERY_S = 30.0  # when degraded
STARTING = 8  # processes that start at the same time, as long as a start costs next to nothing
SLOW_START_S = 0.5  # from this long on, each that starts needs a CPU to itself
STARTS_WITHIN_S = 5.0  # one that takes longer, and twice as long as the last that did it, waits for something else
LEAVES_WITHIN_S = 1.0  # for one that takes longer nobody waits


@dataclass(slots=True)
class Slot:
    """What the core knows of a process beyond its public record."""

    born: float
    deadline: float | None = None  # of starting, or of leaving
    awaited_until: float | None = None  # others wait for it until then, if it starts or leaves
    overdue: bool = False  # they do so no longer
    ready_at: float | None = None  # since then it could have had a job
    doom: str | None = None
    doom_words: str = ""
    expected: bool = False  # we told it to leave, or killed it for no fault of its own
    late: int = 0  # messages for a job that it has no more
    lost: bool = False  # it is dead or out of reach, and its end not told yet

    @property
    def condemned(self) -> bool:
        """Its end is our doing."""
        return self.expected or self.doom is not None

    @property
    def going(self) -> bool:
        """It is on its way out, whatever its state says: it must be given nothing more."""
        return self.condemned or self.lost

    def stayed(self, now: Now) -> bool:
        """It has been ready for so long that its end is no failure to start. How long the start took says nothing."""
        return self.ready_at is not None and now.mono - self.ready_at >= MIN_UPTIME_S


class Pool:
    """Keeps the number of processes where options, jobs and generations want it.

    Three generations may be alive: `serving`, from which processes are made (0: none can be); `probing`, a newer
    one that must show one ready process before it serves, while the serving one is kept full; and `fallback`, which
    served before and does so again if processes of the serving one die as soon as they are ready (0: it has proved
    itself). What `fallback` has ready is replaced one by one.
    """

    def __init__(self, desk: Desk, rng: random.Random, *, strict: bool = False) -> None:
        self._desk, self._state, self._strict = desk, desk.state, strict
        self.backoff = Backoff(rng)
        self._surplus = Surplus()
        self.slots: dict[int, Slot] = {}
        self.serving = 0
        self.probing = 0
        self._probe_limit_s = 0.0
        self.fallback = 0
        self._trial_until = 0.0
        self.methods: dict[int, str] = {}
        self.cpus = STARTING  # that this worker may use
        self._start_s = 0.0  # how long the last start took
        self.ever_ready = False
        self.boot_deaths = 0
        self.ending = False  # no process is made for idling any more
        self.closed = False  # none at all
        self._next = 1

    # --- filling --------------------------------------------------------------------------------

    def settle(self, now: Now) -> None:
        """Make and dismiss processes until their number is right."""
        if self.closed:
            return
        if self.probing and self._wants_probe() and (self.ever_ready or self.backoff.may_start(now.mono)):
            self._spawn(self.probing, now)
        while self._short() and self.backoff.may_start(now.mono) and self._may_boot():
            self._spawn(self.serving, now)
        self._replace_older(now)
        self._shrink(now)

    def due(self) -> list[float | None]:
        """When something here is to be done by the clock."""
        held = self.backoff.held_until
        waits = self._short() or (self.probing and not self.ever_ready and self._wants_probe())
        since = self._surplus.since
        return [
            *(slot.deadline for slot in self.slots.values()),
            *(slot.awaited_until for slot in self.slots.values()),
            held if held and waits else None,
            self._trial_until if self.fallback else None,
            since + self._stay_s() if since is not None else None,
        ]

    def available(self, *states: str) -> list[Process]:
        """Processes in any of `states` that are not on their way out."""
        return [p for p in self._state.live(*states) if not self.slots[p.id].going]

    def _wants_probe(self) -> bool:
        """There is none. One that is on its way out still is the probe: its end decides what follows."""
        return not self.boot_failed and not any(
            p.generation == self.probing for p in self._state.live("starting", "idle", "busy")
        )

    def _ready(self) -> int:
        return sum(p.generation == self.serving for p in self.available("starting", "idle"))

    def _target(self) -> int:
        """Booting and idle processes that should exist."""
        idle = 0 if self.ending else self._desk.options.num_idle_processes
        if self.backoff.degraded and not self.ending:
            idle = max(1, idle)  # somebody has to show that processes live again
        return max(0, min(self._queued() + idle, self._desk.options.max_processes - len(self._state.live("busy"))))

    def _queued(self) -> int:
        return sum(job.status == "queued" for job in self._state.active_jobs())

    def _short(self) -> bool:
        return not self.closed and self._wants_more() and self._has_room()

    def _wants_more(self) -> bool:
        return bool(self.serving) and self._ready() < self._target()

    def _has_room(self) -> bool:
        most = self._desk.options.max_processes
        alive = [p for p in self._state.processes.values() if p.generation != self.probing]
        # Those that have just begun to leave count, too. A job does not wait for what another's threads still do,
        # as long as no more are left over than may run.
        left_over = sum(p.state == "stopping" and self.slots[p.id].overdue for p in alive)
        return len(alive) - min(left_over, most) < most

    def _replace_older(self, now: Now) -> None:
        """Let a ready process of an older generation go for each that the serving one has, or has no room for."""
        if not self.serving:
            return  # nothing takes their place
        older = [process for process in self.available("idle") if process.generation < self.serving]
        if not older:
            return
        ready = sum(process.generation == self.serving for process in self.available("idle"))
        too_many = max(0, len(older) - max(0, self._target() - ready))
        if self._wants_more() and not self._has_room():
            under_way = len(self._state.live("starting", "stopping"))
            too_many = max(max(1, self._queued()) - under_way, too_many)
        for process in older[:too_many]:
            self.dismiss(process, f"generation {self.serving} serves", now)

    def _may_boot(self) -> bool:
        """Slow starts share no CPU: all at once, each would take many times what `initialize_timeout` is set for."""
        starting = [self.slots[p.id] for p in self.available("starting") if p.generation != self.probing]
        if self._start_s < SLOW_START_S and self.methods[self.serving] != "spawn":
            return len(starting) < STARTING
        return sum(not slot.overdue for slot in starting) < self.cpus  # one that hangs uses no CPU

    def _spawn(self, generation: int, now: Now) -> None:
        process_id, self._next = self._next, self._next + 1
        self.slots[process_id] = Slot(now.mono)
        self._begin_start(self.slots[process_id], generation, now)
        method = self.methods[generation]
        self._desk.tell(ev.ProcessSpawning(at=now.at, id=process_id, generation=generation, start_method=method))
        if self.backoff.degraded and generation == self.serving:
            self.backoff.held_until = now.mono + PROBE_EVERY_S  # one probe, and the next only after that
        self._desk.want(fx.Spawn(process_id, generation))

    def _shrink(self, now: Now) -> None:
        unneeded = self._surplus.unneeded(self._ready() - self._target(), now.mono, self._stay_s())
        idle = [process for process in self.available("idle") if process.generation == self.serving]
        for process in idle[::-1][:unneeded]:
            self.dismiss(process, "more idle processes than wanted", now)

    def _stay_s(self) -> float:
        return 0.0 if self.ending or self._desk.options.max_jobs_per_process == 1 else STAY_S

    def forked(self, process_id: int, now: Now) -> None:
        """It exists: from now on its start is its own, and not that of those that were made before it."""
        slot = self.slots[process_id]
        slot.born = now.mono
        if slot.deadline is not None and not slot.condemned:
            self._begin_start(slot, self._state.processes[process_id].generation, now)

    def _begin_start(self, slot: Slot, generation: int, now: Now) -> None:
        slot.deadline = now.mono + self._limit_s(generation)
        slot.awaited_until, slot.overdue = now.mono + max(STARTS_WITHIN_S, 2 * self._start_s), False

    def _limit_s(self, generation: int) -> float:
        return self._probe_limit_s if generation == self.probing else self._desk.options.initialize_timeout

    def ready(self, process_id: int, now: Now) -> None:
        """It has started."""
        slot = self.slots[process_id]
        slot.deadline, slot.ready_at, self.ever_ready = None, now.mono, True
        slot.awaited_until, slot.overdue = None, False
        self._start_s = now.mono - slot.born

    # --- leaving --------------------------------------------------------------------------------

    def dismiss(self, process: Process, why: str, now: Now) -> None:
        """Ask a process without a job to leave."""
        slot = self.slots[process.id]
        had_a_job = process.job_id is not None or process.jobs_done > 0  # which may have left threads behind
        leave_s = max(self._desk.options.close_timeout, LEAVE_AT_LEAST_S) if had_a_job else LEAVE_S
        slot.expected, slot.deadline = True, now.mono + leave_s
        slot.awaited_until = now.mono + LEAVES_WITHIN_S
        self._desk.tell(ev.ProcessStopping(at=now.at, id=process.id, why=why))
        self._desk.want(fx.Dismiss(process.id))

    def kill(self, process: Process) -> None:
        """End a process for no fault of its own."""
        self.slots[process.id].expected = True
        self._desk.want(fx.Kill(process.id))

    def tick(self, now: Now) -> None:
        """Kill what is not ready, or has not left, in time; long before that, let nobody wait for it."""
        for process_id, slot in list(self.slots.items()):
            if slot.awaited_until is not None and now.mono >= slot.awaited_until:
                slot.awaited_until, slot.overdue = None, True
            if slot.deadline is not None and now.mono >= slot.deadline:
                slot.deadline = None
                process = self._state.processes[process_id]
                if process.state == "starting" and slot.doom is None:
                    limit = self._limit_s(process.generation)
                    text = f"not ready within initialize_timeout {limit:g} s; raise it if a start takes longer"
                    slot.doom, slot.doom_words = "init_failed", text
                    self._start_s = max(self._start_s, SLOW_START_S)
                elif process.state == "stopping":
                    text = f"process {process.pid} has not left in time: it is killed"
                    self._desk.tell(ev.Noted(at=now.at, level="WARNING", text=text))
                self._desk.want(fx.Kill(process_id))
        if self.fallback and now.mono >= self._trial_until:
            self.proven()
        if self.backoff.may_start(now.mono):
            self.backoff.held_until = 0.0  # it is over: nothing is to wake up for it again

    # --- generations ----------------------------------------------------------------------------

    def loaded(self, generation: int, start_method: str, limit_s: float) -> None:
        """A generation can be made processes from; one probe shows within `limit_s` whether it also boots."""
        self.probing, self.methods[generation], self._probe_limit_s = generation, start_method, limit_s
        if not self.ever_ready:
            self.backoff.healed()  # other code: what its predecessor died of is no evidence
            self.boot_deaths = 0

    def promoted(self, generation: int, now: Now) -> None:
        """The generation serves: processes of older ones that have no job leave, as they are replaced."""
        self.proven()
        self.fallback, self.serving, self.probing = self.serving, generation, 0
        self._trial_until = now.mono + MIN_UPTIME_S
        self.methods = {number: self.methods[number] for number in (generation, self.fallback) if number}
        for process in self.available("starting"):
            if process.generation < generation:
                self.kill(process)
        self.heal(now)

    def proven(self) -> None:
        """The serving generation needs none to fall back on."""
        if self.fallback:
            self._desk.want(fx.Settle(self.serving))
            self.fallback = 0

    def on_trial(self, process: Process, slot: Slot, now: Now) -> bool:
        """The end of this process, which had not begun a job, speaks against its generation."""
        return bool(self.fallback) and process.generation == self.serving and not (slot.condemned or slot.stayed(now))

    def roll_back(self, why: str, now: Now) -> None:
        """The generation before serves again."""
        failed, self.serving, self.fallback = self.serving, self.fallback, 0
        self._desk.want(fx.RollBack(failed, why))
        for process in self.available("idle", "starting"):
            if process.generation == failed:
                self.kill(process)
        self.heal(now)

    def dropped(self) -> None:
        """The generation being probed is given up."""
        for process in self.available("starting", "idle"):
            if process.generation == self.probing:
                self.kill(process)
        self.probing = 0

    # --- deaths ---------------------------------------------------------------------------------

    def died(self, generation: int, state: str, slot: Slot, how: str, words: str, now: Now) -> bool:
        """Note the unexpected end of a process without a job; True when the budget is used up by it."""
        if slot.stayed(now):
            return False  # it had lived: its replacement may start at once
        if not self.ever_ready:  # one that waits for ever would do so again, and each time for the whole time
            self.boot_deaths += BOOT_TRIES if slot.doom == "init_failed" else 1
        why = f"a process of generation {generation} died while {state} ({how})"
        return self.failed(f"{why}: {words}" if words else why, now)

    def failed(self, why: str, now: Now) -> bool:
        """Hold back the next start, ever longer; True when the budget is used up by this failure."""
        was_degraded = self.backoff.degraded
        delay = self.backoff.failed(now.mono)
        degraded = self.backoff.degraded
        then = "--strict ends the worker" if degraded and self._strict else f"next try in {delay:.1f} s"
        if delay > 0 or degraded:
            self._desk.tell(
                ev.PoolHeld(
                    at=now.at, failures=len(self.backoff.failures), until_at=now.at + delay, degraded=degraded,
                    why=f"{why}; {then}",
                )
            )  # fmt: skip
        return degraded and not was_degraded

    def heal(self, now: Now) -> None:
        """Processes start and stay again."""
        if self.backoff.healed():
            self._desk.tell(ev.PoolHealed(at=now.at))

    def heal_if_stayed(self, now: Now) -> bool:
        """As time passes: an idle process that stayed ends a hold. True when it did."""
        if not self.backoff.failures:
            return False
        if not any(self.slots[p.id].stayed(now) for p in self.available("idle")):
            return False
        self.heal(now)
        return True

    @property
    def boot_failed(self) -> bool:
        """Processes of the first generation keep dying before any was ever ready."""
        return not self.ever_ready and self.boot_deaths >= BOOT_TRIES
