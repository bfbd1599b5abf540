"""How a job's end gets its name: from what the child said, how its process went, and what we did to it."""

from dataclasses import dataclass

STATUS_OF = {"returned": "completed", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class End:
    """An end of a job in the contract's words."""

    reason: str
    error: str | None = None
    exit_code: int | None = None
    signal: str | None = None

    @property
    def status(self) -> str:
        """`completed` only for a return of the job's own code, `cancelled` only when asked for."""
        return STATUS_OF.get(self.reason, "failed")


def from_report(said: End, asked_for: str | None, seen: bool) -> End:
    """The end of a job whose entrypoint is over by the child's own word.

    Args:
        said: `returned`, `cancelled`, `raised` or `exited`, as the child reported it.
        asked_for: the reason for which the job was asked to end, if it was.
        seen: the child knew of that request when the entrypoint ended. An end before that is the job's own.
    """
    if said.reason in ("returned", "cancelled") and asked_for is not None and seen:
        return End(asked_for, _cut_words(asked_for, ""))
    if said.reason == "cancelled":
        return End("raised", said.error or "CancelledError: the entrypoint cancelled itself")
    return said


def from_exit(exit_code: int | None, signal: str | None, doom: str | None, asked_for: str | None, words: str) -> End:
    """The end of a job whose process went without a word.

    Args:
        doom: why we killed the process (`hung`, `oom_limit`, ...), if we did.
        asked_for: the reason for which the job was asked to end, if it was.
        words: detail for the error.
    """
    if doom is not None:
        return End(doom, words or None, exit_code, signal)
    if asked_for is not None:
        how = f"ended by {signal}" if signal else f"exit code {exit_code}"
        return End(asked_for, _cut_words(asked_for, how), exit_code, signal)
    if signal is not None:
        return End("signalled", words or f"the job's process was killed by {signal}", None, signal)
    return End("exited", words or f"the job's process left with exit code {exit_code}", exit_code, None)


def _cut_words(reason: str, how: str) -> str | None:
    text = {
        "timeout": "job_timeout passed",
        "drain_cut": "cut: the worker had to end",
    }.get(reason, "")
    return f"{text} ({how})" if text and how else text or how or None
