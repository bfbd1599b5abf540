"""Slots kept for jobs that were offered and accepted, until they are assigned or it is plain that none will come."""

from workbench.model import events as ev
from workbench.model.desk import Desk, Now

HELD_S = 7.5  # what VideoSDK's own worker waits for an assignment


class Reservations:
    """Who holds which slot, and until when. A slot is taken before anything is awaited."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._until: dict[str, float] = {}  # job id -> monotonic

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._until

    def take(self, job_id: str, now: Now) -> None:
        """From here on the slot is that job's."""
        self._until[job_id] = now.mono + HELD_S
        self._desk.tell(ev.SlotReserved(at=now.at, id=job_id, held_s=HELD_S))

    def release(self, job_id: str, why: str, now: Now) -> bool:
        """Free it: `assigned`, or why it is not; False when it is not held."""
        if self._until.pop(job_id, None) is None:
            return False
        self._desk.tell(ev.SlotReleased(at=now.at, id=job_id, why=why))
        return True

    def release_all(self, why: str, now: Now) -> None:
        """Free all of them."""
        for job_id in list(self._until):
            self.release(job_id, why, now)

    def tick(self, now: Now) -> None:
        """Free those for which no assignment came."""
        for job_id in [job_id for job_id, until in self._until.items() if now.mono >= until]:
            self.release(job_id, "expired", now)

    def due(self) -> list[float | None]:
        """When the next of them expires."""
        return list(self._until.values())
