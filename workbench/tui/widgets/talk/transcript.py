"""A conversation as it is shown: messages that may still grow, and marks between them."""

from dataclasses import dataclass, field
from typing import Any

from workbench.model.text import clean_lines, clean_text

KEPT = 500
LONGEST = 16_000


@dataclass(slots=True)
class Entry:
    """A message, or a mark (`role` is `mark`). `latency_s`: how long the first words of a reply took."""

    id: str
    role: str
    sender: str
    lines: list[str]
    at: float
    partial: bool = False
    latency_s: float | None = None


@dataclass(slots=True)
class Transcript:
    """One room's conversation."""

    entries: list[Entry] = field(default_factory=list)
    ended: str | None = None
    _asked_at: float | None = None

    def take(self, news: dict[str, Any]) -> None:
        """Fold what the room sent; kinds that are not known are left out."""
        kind = news.get("type")
        if kind == "message" and isinstance(news.get("message"), dict):
            self._message(news["message"])
        elif kind == "attempt" and int(news.get("attempt") or 0) > 1:
            self._mark(f"generation {news.get('generation')} from here")
        elif kind == "ended":
            self.ended = clean_text(str(news.get("reason") or ""), 200)
            self._mark(f"the room has ended: {self.ended}")

    def _message(self, said: dict[str, Any]) -> None:
        entry = Entry(
            id=str(said.get("id")),
            role="user" if said.get("role") == "user" else "agent",
            sender=clean_text(str(said.get("sender") or ""), 40),
            lines=clean_lines(str(said.get("text") or "")[:LONGEST]),
            at=float(said.get("at") or 0.0),
            partial=bool(said.get("partial")),
        )
        known = next((old for old in reversed(self.entries) if old.id == entry.id), None)
        if known is not None:
            known.lines, known.partial = entry.lines, entry.partial
            return
        self._time(entry)
        self._append(entry)

    def _time(self, entry: Entry) -> None:
        if entry.role == "user":
            self._asked_at = entry.at
        elif self._asked_at is not None:
            entry.latency_s, self._asked_at = max(entry.at - self._asked_at, 0.0), None

    def _mark(self, words: str) -> None:
        self._append(Entry("", "mark", "", [clean_text(words, 200)], 0.0))

    def _append(self, entry: Entry) -> None:
        self.entries.append(entry)
        del self.entries[:-KEPT]
