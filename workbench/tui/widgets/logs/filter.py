"""What of the log is shown: text (`!` inverts, `re:` is a regular expression), least level, one process."""

import re
from dataclasses import dataclass, field, replace
from typing import Protocol

RANKS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
STEPS = ("", "INFO", "WARNING", "ERROR")


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


@dataclass(frozen=True, slots=True)
class LogFilter:
    """A filter; `error` says why its text cannot be used, and such a text hides nothing."""

    text: str = ""
    level: str = ""
    process_id: int | None = None
    error: str = ""
    _needle: str = ""
    _pattern: re.Pattern[str] | None = None
    _inverted: bool = False
    _any_case: bool = field(default=True)

    def with_text(self, text: str) -> "LogFilter":
        """The same filter with another text."""
        inverted = text.startswith("!")
        body = text[1:] if inverted else text
        pattern, error = None, ""
        if body.startswith("re:"):
            try:
                pattern = re.compile(body[3:])
            except re.error as problem:
                error = f"not a regular expression: {problem}"
            body = ""
        any_case = body == body.lower()
        return replace(
            self,
            text=text,
            error=error,
            _needle=body,
            _pattern=pattern,
            _inverted=inverted,
            _any_case=any_case,
        )

    def next_level(self) -> "LogFilter":
        """The same filter, one step stricter, and round again."""
        return replace(self, level=STEPS[(STEPS.index(self.level) + 1) % len(STEPS)])

    def of_process(self, process_id: int | None) -> "LogFilter":
        """The same filter for one process, or for all."""
        return replace(self, process_id=process_id)

    def shows(self, record: Filterable) -> bool:
        """Whether the record is let through."""
        if self.process_id is not None and record.process_id != self.process_id:
            return False
        if self.level and RANKS.get(record.level, 20) < RANKS[self.level]:
            return False
        if self._pattern is None and not self._needle:
            return True
        return self._matches(record.text) != self._inverted

    def _matches(self, text: str) -> bool:
        if self._pattern is not None:
            return self._pattern.search(text) is not None
        return self._needle in (text.lower() if self._any_case else text)
