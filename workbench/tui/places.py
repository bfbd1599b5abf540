"""Which row of the table a process stands in: a place is kept until its process is gone."""

from dataclasses import dataclass, field

from workbench.model.events import ProcessExited
from workbench.model.state import Job, Process, State


@dataclass(slots=True)
class Place:
    """One row: its process, if any, and how the last job there ended. `process_id` is the last one's.

    `gone` is the process before, `end` how the last one that ended here did.
    """

    process: Process | None = None
    job: Job | None = None
    last_job: Job | None = None
    process_id: int = 0
    gone: Process | None = None
    end: ProcessExited | None = None


@dataclass(slots=True)
class Places:
    """All rows, in an order that no event changes."""

    rows: list[Place] = field(default_factory=list)

    def take(self, state: State) -> None:
        """Follow the state: free the places of the gone, give new ones the first free place."""
        self._resize(int(state.option("max_processes") or 0))
        seated = set()
        for place in self.rows:
            self._follow(place, state)
            if place.process is not None:
                seated.add(place.process.id)
        for process in state.processes.values():
            if process.id not in seated:
                self._seat(process, state)
        while len(self.rows) > int(state.option("max_processes") or 0) and self.rows[-1].process is None:
            self.rows.pop()

    def exited(self, event: ProcessExited) -> None:
        """A process has ended; its place may be another's already."""
        for place in self.rows:
            if place.gone is not None and place.gone.id == event.id:
                place.end = event

    def _resize(self, least: int) -> None:
        while len(self.rows) < least:
            self.rows.append(Place())

    def _follow(self, place: Place, state: State) -> None:
        if place.process is None:
            if place.last_job is not None and place.last_job.process_id != place.process_id:
                place.last_job = None  # it went on elsewhere: its end is not this place's
            return
        before = place.process
        place.process = state.processes.get(before.id)
        if place.process is None:
            place.gone, place.end = before, None
        place.job = state.jobs.get(place.process.job_id or "") if place.process else None
        known = place.last_job.id if place.last_job else ""
        seen = place.job.id if place.job else known
        place.last_job = state.jobs.get(seen)

    def _seat(self, process: Process, state: State) -> None:
        free = next((place for place in self.rows if place.process is None), None)
        if free is None:
            free = Place()
            self.rows.append(free)
        free.process, free.process_id = process, process.id
        free.job = state.jobs.get(process.job_id or "")
        free.last_job = free.job or free.last_job
