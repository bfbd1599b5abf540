"""The stop ladder of a job: asked, cancelled, terminated, killed; each rung at its time or when asked again."""

from dataclasses import dataclass

from workbench.model import effects as fx

RUNGS = ("end", "cancel", "terminate", "kill")
DEADLY = RUNGS[2:]  # of the process, not of the job alone
POLITE_S = 2.0
KILL_AFTER_TERM_S = 1.0


@dataclass(slots=True)
class Ladder:
    """A job's way down: the reason it was asked to end for, and when each rung is due. `rung` is the next one."""

    reason: str
    due: list[float]
    rung: int = 0

    @classmethod
    def start(cls, reason: str, close_s: float, now: float) -> "Ladder":
        """The whole ladder, its first rung due at once."""
        return cls(reason, _times(close_s, now))

    def hasten(self, close_s: float, now: float) -> None:
        """No rung later than on a ladder that starts now; rungs already taken stay taken."""
        self.due = [min(pair) for pair in zip(self.due, _times(close_s, now), strict=True)]

    def skip(self, now: float) -> None:
        """The next rung is due now, the ones after it keep their times."""
        if self.rung < len(RUNGS):
            self.due[self.rung] = now

    @property
    def next_due(self) -> float | None:
        """When the next rung is due; None when all are taken."""
        return self.due[self.rung] if self.rung < len(RUNGS) else None

    def step(self, now: float) -> str:
        """Take the next rung; its name. If that is late, as after a standstill, the rungs after it are later, too."""
        name, late_s = RUNGS[self.rung], now - self.due[self.rung]
        self.due = [due + late_s if number > self.rung else due for number, due in enumerate(self.due)]
        self.rung += 1
        return name


def effect_of(rung: str, process_id: int, job_id: str, why: str) -> fx.Effect:
    """What a rung does."""
    if rung == "end":
        return fx.AskEnd(process_id, job_id, why)
    if rung == "cancel":
        return fx.CancelJob(process_id, job_id)
    return fx.Terminate(process_id) if rung == "terminate" else fx.Kill(process_id)


def _times(close_s: float, now: float) -> list[float]:
    return [now, now + min(POLITE_S, close_s / 2), now + close_s, now + close_s + KILL_AFTER_TERM_S]
