"""What the core wants done. The supervisor's shell carries these out; repeating one is harmless."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to do in the world."""


@dataclass(frozen=True, slots=True)
class Spawn(Effect):
    """Make the process whose slot is taken already."""

    process_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class Launch(Effect):
    """Send a job to an idle process."""

    process_id: int
    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class AskEnd(Effect):
    """Rung 0: the job's room ends and `run_until_shutdown()` returns."""

    process_id: int
    job_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelJob(Effect):
    """Rung 1: the entrypoint's task is cancelled."""

    process_id: int
    job_id: str


@dataclass(frozen=True, slots=True)
class Terminate(Effect):
    """SIGTERM to the process group."""

    process_id: int


@dataclass(frozen=True, slots=True)
class Kill(Effect):
    """SIGKILL to the whole tree."""

    process_id: int


@dataclass(frozen=True, slots=True)
class Dismiss(Effect):
    """Ask an idle process to leave."""

    process_id: int


@dataclass(frozen=True, slots=True)
class CloseRoom(Effect):
    """The job is over: nobody answers in its room any more."""

    job_id: str


@dataclass(frozen=True, slots=True)
class RollBack(Effect):
    """The generation before this one serves again: the processes of this one do not stay."""

    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class Settle(Effect):
    """The promoted generation has proved itself: nothing will be made from the one before it again."""

    generation: int


@dataclass(frozen=True, slots=True)
class Exit(Effect):
    """The worker is done."""

    code: int
    why: str
