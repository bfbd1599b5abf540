"""What a state looks like: a sign and a tone beside its word, so that colour alone never carries it."""

from typing import Any, NamedTuple

from workbench.model.paths import shortest
from workbench.model.state import Job, Process, State
from workbench.tui import format as fmt
from workbench.tui.lines import Line, clean, cut

LONGEST_NAME = 28
SUSPENDED = "saves of "
ASSIGNED = "⇄"  # before what a registry gave to this worker


class Look(NamedTuple):
    """Sign, word and tone of a state."""

    sign: str
    word: str
    tone: str

    @property
    def line(self) -> Line:
        """Sign and word together."""
        return [(f"{self.sign} {self.word}", self.tone)]


_UNKNOWN = "?"
_PROCESS = {
    "starting": ("◌", "info"),
    "idle": ("○", "good"),
    "busy": ("●", "busy"),
    "stopping": ("◐", "warn"),
    "dead": ("✗", "bad"),
    "stalled": ("▲", "bad"),
}
_ADMISSION = {
    "ready": ("●", "good"),
    "starting": ("◌", "info"),
    "full": ("◆", "warn"),
    "over_load": ("▲", "warn"),
    "draining": ("◐", "warn"),
    "degraded": ("✗", "bad"),
    "stopping": ("◐", "warn"),
}
_JOB = {
    "queued": ("◌", "info"),
    "starting": ("◌", "info"),
    "running": ("●", "busy"),
    "completed": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("■", "dim"),
}
_LINK = {
    "local": ("○", "dim"),
    "connecting": ("◌", "info"),
    "connected": ("●", "good"),
    "waiting": ("◐", "warn"),
    "failed": ("✗", "bad"),
}
_LEVELS = {"DEBUG": "dim", "INFO": "info", "WARNING": "warn", "ERROR": "bad", "CRITICAL": "bad"}


def _look(table: dict[str, tuple[str, str]], word: str) -> Look:
    sign, tone = table.get(word, (_UNKNOWN, "warn"))
    return Look(sign, word, tone)


def process_look(process: Process) -> Look:
    """A process; one whose loop stands still is `stalled` before anything else."""
    return _look(_PROCESS, "stalled" if process.stalled and process.state != "stopping" else process.state)


def admission_look(state: State) -> Look:
    """Whether jobs are taken, in capitals as the first thing to read."""
    look = _look(_ADMISSION, state.worker.status)
    return look._replace(word=look.word.replace("_", " ").upper())


def job_look(status: str) -> Look:
    """A job's status."""
    return _look(_JOB, status)


def link_look(state: str) -> Look:
    """The registry link."""
    return _look(_LINK, state)


def retry_words(state: State, now: float) -> str:
    """Which try to reach the registry is next, and when: `retry 3/16 in 4s`."""
    link = state.link
    return f"retry {link.attempt}/{state.option('max_retry') or '∞'} in {fmt.age((link.retry_at or now) - now)}"


def level_tone(level: str) -> str:
    """The tone of a log level."""
    return _LEVELS.get(level, "plain")


def job_story(job: Job) -> str:
    """How a job ended and why; an error that only says the same again is left out."""
    how = job_end(job.status, job.reason, job.signal, job.exit_code)
    told = job.error if job.error and not job.error.startswith("the job's process") else ""
    return f"{how}: {told}" if told else how


def job_end(status: str, reason: str | None, signal: str | None, exit_code: int | None) -> str:
    """How a job ended, in the contract's words: `failed / signalled SIGKILL`, `failed / exited 3`.

    A signal that we sent ourselves (a job over its limits) tells nothing more than the reason does.
    """
    detail = {"signalled": signal, "oom_kernel": signal, "exited": exit_code}.get(reason or "")
    detail = "" if detail is None else detail
    return f"{status} / {reason} {detail}".rstrip() if reason else status


def pending_words(files: list[str]) -> str:
    """Saved files that no generation has loaded: `bot.py changed, r loads it`."""
    if len(files) == 1:
        return f"{cut(clean(files[0]), LONGEST_NAME)} changed, r loads it"
    return f"{len(files)} files changed, r loads them"


def suspended_words(files: dict[str, str]) -> str:
    """Files whose saves load nothing any more, the first with its reason."""
    (name, why), more = next(iter(files.items())), len(files) - 1
    others = f" (and {more} more)" if more else ""
    again = f"r takes {'them' if more else 'it'} up again"
    return f"{SUSPENDED}{clean(name, 80)}{others} load nothing, {again}: {clean(why, 160)}"


def problem_place(problem: dict[str, Any]) -> str:
    """`bot.py:38:12 in entrypoint`."""
    file, line, column = problem.get("file"), problem.get("line"), problem.get("column")
    if not file:
        return ""
    place = clean(shortest(str(file)), 200) + (f":{line}" if line else "") + (f":{column}" if line and column else "")
    frame = clean(problem.get("frame") or "", 80)
    return f"{place} in {frame}" if frame and frame != "<module>" else place
