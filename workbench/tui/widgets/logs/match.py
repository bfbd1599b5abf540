"""What a typed text finds: itself, in any case unless it has a capital, or `re:` a regular expression."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Matcher:
    """A text to look for; `error` says why it cannot be used, and such a text is not `active`: it finds nothing."""

    text: str = ""
    error: str = ""
    active: bool = False
    _needle: str = ""
    _pattern: re.Pattern[str] | None = None
    _any_case: bool = True

    @classmethod
    def of(cls, text: str) -> "Matcher":
        """What was typed."""
        if not text.startswith("re:"):
            return cls(text, "", text != "", text, None, text == text.lower())
        try:
            return cls(text, "", True, "", re.compile(text[3:]))
        except (re.error, OverflowError, RecursionError) as problem:  # too large a number, too many brackets
            return cls(text, f"not a regular expression: {problem}")

    def finds(self, text: str) -> bool:
        """Whether it is in there."""
        if self._pattern is not None:
            return self._pattern.search(text) is not None
        return bool(self._needle) and self._needle in (text.lower() if self._any_case else text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it is in there, from left to right; a pattern that finds an empty text has no place."""
        pattern = self._pattern
        if pattern is None:
            if not self._needle:
                return []
            pattern = re.compile(re.escape(self._needle), re.IGNORECASE if self._any_case else 0)
        return [found.span() for found in pattern.finditer(text) if found.end() > found.start()]
