"""What of the log is shown: text (`!` inverts, `re:` is a regular expression), level, process, job, code."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from workbench.tui.widgets.logs.match import Matcher

RANKS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
STEPS = ("", "INFO", "WARNING", "ERROR")
MARK = "\0mark"  # the level of a line that the user set, and that no output can have: it passes every filter


class Filterable(Protocol):
    """What a filter looks at."""

    @property
    def text(self) -> str:
        """The line."""
        ...

    @property
    def level(self) -> str:
        """Its level's name."""
        ...

    @property
    def process_id(self) -> int:
        """Whose it is."""
        ...

    @property
    def job_id(self) -> str:
        """In which job it was said."""
        ...

    @property
    def generation(self) -> int:
        """By which generation of the code."""
        ...


def is_error(level: str) -> bool:
    """ERROR or above."""
    return RANKS.get(level, 20) >= RANKS["ERROR"]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A filter; `error` says why its text cannot be used, and such a text hides nothing."""

    text: str = ""
    level: str = ""
    process_id: int | None = None
    job_id: str = ""
    generation: int = 0
    _matcher: Matcher = field(default=Matcher())
    _inverted: bool = False

    @property
    def error(self) -> str:
        """Why its text cannot be used."""
        return self._matcher.error

    @property
    def hides(self) -> bool:
        """Whether there is anything that it may hide."""
        return self != LogFilter()

    def with_text(self, text: str) -> "LogFilter":
        """The same filter with another text."""
        inverted = text.startswith("!")
        return replace(self, text=text, _matcher=Matcher.of(text[1:] if inverted else text), _inverted=inverted)

    def next_level(self) -> "LogFilter":
        """The same filter, one step stricter, and round again."""
        return replace(self, level=STEPS[(STEPS.index(self.level) + 1) % len(STEPS)])

    def of_process(self, process_id: int | None) -> "LogFilter":
        """The same filter for one process, or for all."""
        return replace(self, process_id=process_id)

    def of_job(self, job_id: str) -> "LogFilter":
        """The same filter for one job, or for all."""
        return replace(self, job_id=job_id)

    def of_generation(self, generation: int) -> "LogFilter":
        """The same filter for one generation of the code, or for all."""
        return replace(self, generation=generation)

    def parts(self) -> "list[LogFilter]":
        """What it is made of, each as a filter of its own."""
        text = LogFilter().with_text(self.text)
        of = (LogFilter(level=self.level), LogFilter().of_process(self.process_id), LogFilter().of_job(self.job_id))
        return [part for part in (*of, LogFilter().of_generation(self.generation), text) if part.hides]

    def shows(self, record: Filterable) -> bool:
        """Whether the record is let through."""
        if record.level == MARK:
            return True
        if not self._admits(record, RANKS.get(record.level, 20)):
            return False
        return not self._matcher.active or self._matcher.finds(record.text) != self._inverted

    def shows_traceback(self, head: Filterable, texts: Iterable[str]) -> bool:
        """Whether a traceback is let through: as an error, and as a whole."""
        if not self._admits(head, max(RANKS.get(head.level, 20), RANKS["ERROR"])):
            return False
        return not self._matcher.active or any(map(self._matcher.finds, texts)) != self._inverted

    def _admits(self, record: Filterable, rank: int) -> bool:
        if self.process_id is not None and record.process_id != self.process_id:
            return False
        if self.job_id and record.job_id != self.job_id:
            return False
        if self.generation and record.generation != self.generation:
            return False
        return not self.level or rank >= RANKS[self.level]
