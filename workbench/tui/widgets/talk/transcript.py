"""A conversation as it is shown: messages that may still grow, and marks between them."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from workbench.model.text import clean_lines, clean_text, plural

KEPT = 500
SEEN = 2 * KEPT  # ids of messages: a line that is joined again tells its history again
LONGEST = 16_000
MOST_AGAIN = 50


@dataclass(slots=True)
class Entry:
    """A message, or a mark (`role` is `mark`).

    Attributes:
        latency_s: how long the first words of a reply took.
        whole_s: how long a reply took to its end, if it was seen to grow.
        begins: a mark from which on other code answers.
        again: what is said again from this mark on.
    """

    id: str
    role: str
    sender: str
    lines: list[str]
    at: float
    partial: bool = False
    latency_s: float | None = None
    whole_s: float | None = None
    begins: bool = False
    again: tuple[str, ...] = ()


@dataclass(slots=True)
class Transcript:
    """One room's conversation. `asked` counts what users said in it, `attempts` how often its job began again."""

    entries: list[Entry] = field(default_factory=list)
    ended: str | None = None
    asked: int = 0
    attempts: int = 0
    _asked_at: float | None = None
    _seen: dict[str, None] = field(default_factory=dict)

    def take(self, news: dict[str, Any]) -> bool:
        """Fold what the room sent; kinds that are not known are left out. True when the agent said something new."""
        kind = news.get("type")
        if kind == "message" and isinstance(news.get("message"), dict):
            return self._message(news["message"])
        if kind == "attempt" and int(news.get("attempt") or 0) > 1:
            self.attempts += 1
            self._mark(f"generation {news.get('generation')} from here", begins=True)
        elif kind == "ended":
            self.ended = clean_text(str(news.get("reason") or ""), 200)
            self._mark(f"the room has ended: {self.ended}")
        return False

    def _message(self, said: dict[str, Any]) -> bool:
        entry = Entry(
            id=str(said.get("id")),
            role="user" if said.get("role") == "user" else "agent",
            sender=clean_text(str(said.get("sender") or ""), 40),
            lines=clean_lines(str(said.get("text") or "")[:LONGEST]),
            at=float(said.get("at") or 0.0),
            partial=bool(said.get("partial")),
        )
        if entry.id in self._seen:
            self._grow(entry)
            return False
        self._seen[entry.id] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
        self._time(entry)
        self._append(entry)
        return entry.role == "agent"

    def _grow(self, newer: Entry) -> None:
        known = next((old for old in reversed(self.entries) if old.id == newer.id), None)
        if known is None:
            return  # it was forgotten
        if known.partial and known.latency_s is not None:
            known.whole_s = max(newer.at - known.at + known.latency_s, known.latency_s)
        known.lines, known.partial = newer.lines, newer.partial

    def _time(self, entry: Entry) -> None:
        if entry.role == "user":
            self.asked += 1
            self._asked_at = entry.at
        elif self._asked_at is not None:
            entry.latency_s, self._asked_at = max(entry.at - self._asked_at, 0.0), None

    def mark_again(self, texts: tuple[str, ...]) -> None:
        """These are said again from here on."""
        self._mark(f"{plural(len(texts), 'message')} said again from here", again=texts)

    def _mark(self, words: str, *, begins: bool = False, again: tuple[str, ...] = ()) -> None:
        self._append(Entry("", "mark", "", [clean_text(words, 200)], 0.0, begins=begins, again=again))

    def _append(self, entry: Entry) -> None:
        self.entries.append(entry)
        del self.entries[:-KEPT]

    # --- reading --------------------------------------------------------------------------------

    @property
    def answered(self) -> bool:
        """The last one who said something is the agent, and it has said all of it."""
        said = next((entry for entry in reversed(self.entries) if entry.role != "mark"), None)
        return said is not None and said.role == "agent" and not said.partial

    def median_s(self) -> float | None:
        """How long first words take here."""
        times = [entry.latency_s for entry in self.entries if entry.latency_s is not None]
        return median(times) if times else None

    def said_now(self) -> list[str]:
        """What users said since the code that answers now began."""
        return script(self._parts()[-1])

    def said_before(self) -> list[str]:
        """What users said to the code before: the last time they said anything to any."""
        parts = map(script, reversed(self._parts()[:-1]))
        return next((said for said in parts if said), [])

    def said_last(self) -> list[str]:
        """What users said the last time they said anything."""
        return self.said_now() or self.said_before()

    def _parts(self) -> list[list[Entry]]:
        parts: list[list[Entry]] = [[]]
        for entry in self.entries:
            if entry.begins:
                parts.append([])
            parts[-1].append(entry)
        return parts


def script(entries: list[Entry]) -> list[str]:
    """What users said there; what was being said again counts as a whole, even if not all of it was."""
    again: tuple[str, ...] = ()
    besides: list[str] = []
    repeated = 0
    for entry in entries:
        text = "\n".join(entry.lines)
        if entry.again:
            again, besides, repeated = entry.again, [], 0
        elif entry.role == "user" and repeated < len(again) and text == again[repeated]:
            repeated += 1
        elif entry.role == "user":
            besides.append(text)
    return [*again, *besides][-MOST_AGAIN:]
