"""The processes of a worker: made as the core wants, heard while they live, let go of when they have ended."""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from workbench.model import effects as fx
from workbench.process import beats as beatpage
from workbench.process import descriptors, mark
from workbench.process.child import Child
from workbench.process.launcher import Zygote
from workbench.process.oom import OomCounter
from workbench.process.reaper import ExitStatus, Reaper
from workbench.process.tree import kill_tree, parent_of
from workbench.supervisor.bases import BASE
from workbench.supervisor.generations import Loader
from workbench.supervisor.hearing import Hearing
from workbench.supervisor.helpers import Helpers
from workbench.supervisor.last_steps import Step
from workbench.supervisor.rooms import Rooms
from workbench.supervisor.shell import Shell

FAULT = "Fatal Python error: "
GONE_S = 5.0  # a killed process may take this long to go
FATAL = frozenset({"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"})


class Children:
    """The table of children by process id.

    Args:
        not_started: called when a process never became ready: (generation, words, the agent's own problem).
        forget: called with the id of every process that is let go.
    """

    def __init__(
        self,
        shell: Shell,
        rooms: Rooms,
        reaper: Reaper,
        not_started: Callable[..., None],
        forget: Callable[[int], None],
    ) -> None:
        self._shell, self._core, self._rooms, self._reaper = shell, shell.core, rooms, reaper
        self._not_started, self._forget = not_started, forget
        self.by_id: dict[int, Child] = {}
        self.by_pid: dict[int, Child] = {}
        self.spawned: dict[int, Zygote] = {}
        self.beats_fd = beatpage.create()
        self.beats = beatpage.Beats(self.beats_fd)
        self.lifeline_read, self._lifeline_write = os.pipe()
        self.helpers = Helpers(reaper, self._lives, self.beats.note_helpers)
        self.oom = OomCounter()
        self._free_slots = list(range(beatpage.SLOTS - 1, -1, -1))

    def connect(self, loader: Loader, hearing: Hearing) -> None:
        """Where zygotes are found, and who hears the children."""
        self._loader, self._hearing = loader, hearing

    # --- making ---------------------------------------------------------------------------------

    def spawn(self, effect: fx.Spawn) -> None:
        """Make the process whose place is taken already."""
        generation = self._loader.by_number.get(effect.generation)
        if generation is None:
            self._never_born_for_want_of_a_zygote(effect.process_id)
            return
        try:
            child = Child(effect.process_id, effect.generation, self._free_slots[-1], self._hearing)
        except OSError as error:
            self._never_born(effect.process_id, f"no descriptors for it: {descriptors.words(error)}")
            return
        self._free_slots.pop()
        self.beats.clear(child.beat_slot)
        self.by_id[child.id] = child
        try:
            if self._shell.state.processes[child.id].start_method == "spawn":
                self._spawn_whole(child)
            else:
                generation.zygote.hand_over(self._request(child), child.far_fds())
                child.handed_over()
        except OSError as error:
            self._discard(child)
            self._never_born(child.id, f"it could not be made: {descriptors.words(error)}")

    def _request(self, child: Child) -> dict[str, Any]:
        return {
            "id": child.id, "generation": child.generation, "slot": child.beat_slot,
            "log_level": self._shell.settings.options.log_level, "mark": mark.of_process(os.getpid(), child.id),
        }  # fmt: skip

    def _spawn_whole(self, child: Child) -> None:
        """Start method `spawn`: a program of its own that loads the agent for itself."""
        zygote = Zygote(
            child.generation,
            lambda z, message: self._whole_said(child, message),
            lambda z, status: self._whole_gone(child, status),
            lambda z, lines, records: (self._hearing.child_logged if records else self._hearing.child_wrote)(
                child, lines, 0
            ),
        )
        sources = self._loader.sources_of(child.generation)
        order = {**self._loader.order(), "become": True, "sources": sources}
        zygote.start(self.lifeline_read, self.beats_fd, order, mark.of_process(os.getpid(), child.id))
        self.spawned[child.id] = zygote
        zygote.listen(self._reaper, with_group=True)
        self._born(child, zygote.pid)
        try:
            zygote.hand_over(self._request(child), child.far_fds())
        except OSError:
            zygote.kill()  # it is there, but can never be talked to; the reaper tells of its end
        child.handed_over()

    def _whole_said(self, child: Child, message: dict[str, Any]) -> None:
        if message["t"] == "failed":
            child.init_problem = self._loader.problem_in(message)

    def _whole_gone(self, child: Child, status: ExitStatus) -> None:
        del self.spawned[child.id]
        self._dying(child)
        self._exited(child, status)

    def forked(self, answer: dict[str, Any]) -> None:
        """A zygote's answer to a request."""
        child = self.by_id.get(answer["id"])
        if child is None:
            pid = answer.get("pid", 0)
            if parent_of(pid) == os.getpid() and not self._reaper.is_claimed(pid):
                kill_tree(pid)  # it was given up meanwhile
        elif child.pid:
            return  # it was announced already
        elif "error" in answer or not self._is_ours(answer["pid"]):
            why = answer.get("error") or f"pid {answer['pid']} is no child of the worker; the agent keeps its children"
            self._discard(child)
            self._never_born(child.id, f"fork: {why}")
        else:
            self._born(child, answer["pid"])
            self._reaper.claim(
                child.pid, lambda status: self._exited(child, status), since=child.asked_at,
                dying=lambda: self._dying(child), with_group=True,
            )  # fmt: skip
            if self._core.pool.slots[child.id].condemned:
                self.kill(child)  # it was given up before it had a pid
            self._hearing.child_ready(child)
        self._shell.flush()

    def _is_ours(self, pid: int) -> bool:
        """A child of this process, or one that has ended already."""
        return parent_of(pid) in (os.getpid(), 0)

    def _born(self, child: Child, pid: int) -> None:
        self.by_pid[pid] = child
        self._core.process_forked(child.id, pid, self._shell.now())
        try:
            child.born(pid)
        except OSError as error:  # nobody would see what it uses
            self._core.doom(
                child.id, "init_failed", f"it cannot be watched: {descriptors.words(error)}", self._shell.now()
            )

    def _dying(self, child: Child) -> None:
        child.ended = True
        self._core.process_lost(child.id)

    def _never_born(self, process_id: int, why: str) -> None:
        """There will be no such process."""
        process = self._shell.state.processes.get(process_id)
        self._core.process_exited(process_id, None, None, self._shell.now(), why)
        if process is not None:
            self._not_started(process.generation, f"no process could be made: {why}")

    def _never_born_for_want_of_a_zygote(self, process_id: int) -> None:
        self._core.pool.slots[process_id].expected = True  # the zygote's end counts, and once
        self._core.process_exited(process_id, None, None, self._shell.now(), "its zygote died")

    # --- deeds ----------------------------------------------------------------------------------

    def launch(self, child: Child, effect: fx.Launch) -> None:
        """Send a job, with what was said in its room before it had a process."""
        job = self._shell.state.jobs[effect.job_id]
        child.job_id = job.id
        child.launched += 1
        room = self._rooms.of_job(job.id)
        child.send(
            {
                "t": "job", "id": job.id, "room_id": job.room_id, "attempt": effect.attempt,
                "metadata": job.metadata, "participants": room.participants if room else [],
                "close_s": self._shell.settings.options.close_timeout,
                "assigned": room.assigned.to_json() if room else {},
            }
        )  # fmt: skip
        for frame in room.unheard if room else ():
            child.send({**frame, "job": job.id})

    def tell_job(self, job_id: str, frame: dict[str, Any]) -> None:
        """News from its room for a job's process, if it has one now."""
        job = self._shell.state.jobs.get(job_id)
        child = self.by_id.get(job.process_id or 0) if job is not None and job.active else None
        if child is not None and child.job_id == job_id:
            child.send({**frame, "job": job_id})

    def kill(self, child: Child) -> None:
        """SIGKILL to the whole tree."""
        child.killed = True
        if child.pid:
            if not child.ended:
                kill_tree(child.pid)
            return
        generation = self._loader.by_number.get(child.generation)
        if generation is not None and self._core.pool.slots[child.id].doom == "init_failed":
            text = f"the zygote of generation {generation.number} has not answered for a process that it was to make"
            self._shell.logs.note("ERROR", text)
            generation.zygote.kill()

    # --- ends -----------------------------------------------------------------------------------

    def abandon_unborn(self, generation: int) -> None:
        """A zygote has ended: what it has not announced by now, it never will."""
        self._core.zygote_gone(generation)  # else each end told here would ask it for another process, without end
        for child in [c for c in self.by_id.values() if c.generation == generation and not c.pid]:
            self._discard(child)
            self._never_born_for_want_of_a_zygote(child.id)
        self._shell.flush()

    def _exited(self, child: Child, status: ExitStatus) -> None:
        """Reaped, its group with it. Its last words are read, then its end gets a name."""
        child.close()
        words, slot = self._last_words(child, status), self._core.pool.slots[child.id]
        starting = self._shell.state.processes[child.id].state == "starting"
        if starting and slot.doom == "init_failed" and (line := self._hearing.stood_at(child)):
            slot.doom_words += f"; it stood at {line}"
        if status.signal == "SIGKILL" and not child.killed and self.oom.look():
            slot.doom, slot.doom_words = "oom_kernel", "killed by the kernel: the machine or container is out of memory"
        job = self._shell.state.jobs.get(child.job_id or "")
        if job is not None and job.status == "starting" and self.beats.taken(child.beat_slot) >= child.launched:
            self._core.job_taken(child.id, job.id, self._shell.now())
        self._discard(child)
        self._core.process_exited(child.id, status.exit_code, status.signal, self._shell.now(), words)
        if starting:
            how = f"killed by {status.signal}" if status.signal else f"exit code {status.exit_code}"
            detail = slot.doom_words or words
            text = f"a process died before it was ready ({how})" + (f": {detail}" if detail else "")
            self._not_started(child.generation, text, child.init_problem)
        self.helpers.sweep()
        self._shell.flush()

    def _last_words(self, child: Child, status: ExitStatus) -> str:
        if child.init_problem is not None:
            return child.init_problem.headline()
        if status.signal not in FATAL:
            return ""
        fatal = [line for line in child.dump if line.startswith(FAULT)]  # its fault handler has written where it stood
        at = self._hearing.stood_at(child)
        return (fatal[-1].removeprefix(FAULT) + (f" at {at}" if at else "")) if fatal else ""

    def _discard(self, child: Child) -> None:
        if self.by_id.pop(child.id, None) is not None:
            self.by_pid.pop(child.pid, None)
            child.close()
            self._free_slots.append(child.beat_slot)
            self._forget(child.id)

    def _lives(self, name: str) -> bool:
        """The process (`7`) or the generation (`g2`) of a mark."""
        if name.startswith("g"):
            number = int(name[1:]) if name[1:].isdecimal() else 0
            return (
                number in self._loader.by_number
                or number == BASE
                or any(c.generation == number for c in self.by_id.values())
            )
        return name.isdecimal() and int(name) in self.by_id

    def last_steps(self) -> list[Step]:
        """Leave nothing: every child, zygote and helper is killed and reaped."""
        children, spawned = list(self.by_id.values()), list(self.spawned.values())
        return [
            *(Step(f"process {zygote.pid}", zygote.kill) for zygote in spawned),
            *(Step(f"process {child.pid or 'without a pid'}", partial(self.kill, child)) for child in children),
            # Whoever is not known yet goes by this.
            Step("the lifeline", partial(os.close, self._lifeline_write)),
            Step("what is left of the processes", self._all_gone, GONE_S),
            Step("the reaping", self._reaper.stop),
            *(Step(f"the channel of process {child.pid}", child.close) for child in children),
            Step("the beats", self.beats.close),
            *(Step("the shared descriptors", partial(os.close, fd)) for fd in (self.lifeline_read, self.beats_fd)),
        ]

    async def _all_gone(self) -> None:
        """Kill helpers and reap until the process table has nothing of ours."""
        while True:
            self._reaper.reap()
            helpers = self.helpers.kill_all()
            if self._loader.empty and not (helpers or self.by_pid or self.spawned):
                return
            await asyncio.sleep(0.002)  # SIGCHLD also comes for strangers: the table itself is the condition


def terminate(child: Child) -> None:
    """SIGTERM to the process group."""
    child.signal(signal.SIGTERM, group=True)
