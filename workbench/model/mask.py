"""What must never be told: the values of secrets, masked in every text that leaves the worker."""

import itertools
import json
import re
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from workbench.model.jsontext import dump

HIDDEN = "********"
RETURNED_KEPT = 64  # secrets of ended jobs that are still hidden
SHORTEST = 6  # characters; a shorter secret would mask ordinary words
OURS = frozenset({"type", "status", "state", "reason"})  # fields that hold words of ours only
FOREIGN = frozenset(
    {"metadata", "report", "fields", "data", "environment"}
)  # objects whose keys are an agent's or a caller's
ENDINGS = ("_TOKEN", "_SECRET", "_KEY", "_PASSWORD")
CUT = re.compile(b" ?\xe2\x80\xa6")  # how a text goes on where it was cut: with the mark of `text.cut` and its like


def is_secret_variable(name: str) -> bool:
    """A variable of our own environment that holds a secret."""
    return name == "VIDEOSDK_AUTH_TOKEN" or (name.startswith("WORKBENCH_") and name.endswith(ENDINGS))


class Mask:
    """Knows the secrets and hides them: as they are, and as Python, JSON and URLs write them.

    The beginning of one is hidden only where a text was cut, as its mark tells: elsewhere it may be a word as any.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._lent: Counter[str] = Counter()  # of jobs that have not ended: how many have it
        self._returned: deque[str] = deque()  # of the last jobs that have
        self._forms: list[bytes] = []
        self._heads: list[bytes] = []  # how a form begins: what all text is searched for
        self._pattern: re.Pattern[bytes] | None = None
        self._begins: re.Pattern[bytes] | None = None

    def learn(self, values: Iterable[str | None]) -> None:
        """These are secrets from now on, and stay so: what was replaced may still be printed."""
        new = {value for value in values if value and len(value) >= SHORTEST} - self._values
        if not new:
            return
        self._values |= new
        self._build()

    def lend(self, value: str) -> None:
        """It is a secret for as long as a job has it, and for a while after that: there may be one for each job."""
        if len(value) >= SHORTEST:
            self._lent[value] += 1
            if self._lent[value] == 1 and value not in self._returned:
                self._build()

    def give_back(self, value: str) -> None:
        """The job that had it has ended."""
        if self._lent[value] > 1:
            self._lent[value] -= 1
            return
        if self._lent.pop(value, 0):
            self._returned.append(value)
        if len(self._returned) > RETURNED_KEPT:
            self._returned.popleft()  # the forms are built again when there is a new one

    def _build(self) -> None:
        values = {*self._values, *self._lent, *self._returned}
        forms = {form.encode("utf-8", "surrogatepass") for value in values for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._heads = sorted({form[:SHORTEST] for form in forms})
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self._begins = re.compile(b"(?=" + b"|".join(map(re.escape, self._heads)) + b")")  # also one within another

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """As many lines, without secrets."""
        if not self._heads or not self._suspects(lines[0] if len(lines) == 1 else b"\n".join(lines)):
            return lines
        return [self._hide(line) for line in lines]

    def text(self, text: str, unfinished: bool = False) -> str:
        """The text without secrets.

        Args:
            unfinished: more of it will be told later, so it may end within a secret.
        """
        if not self._heads:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        return self._hide(raw, unfinished).decode("utf-8", "surrogatepass") if self._suspects(raw) else text

    def json(self, text: str) -> str:
        """A JSON text without secrets in its values and in the keys that are not ours."""
        if not self._heads or not self._suspects(text.encode("utf-8", "surrogatepass")):
            return text
        return dump(self._value(json.loads(text)))

    def _suspects(self, raw: bytes) -> bool:
        return any(map(raw.__contains__, self._heads))

    def _hide(self, line: bytes, unfinished: bool = False) -> bytes:
        assert self._pattern is not None
        line = self._pattern.sub(HIDDEN.encode(), line)
        ends = [mark.start() for mark in CUT.finditer(line)] + ([len(line)] if unfinished else [])
        parts, done = [], 0
        for before, end in itertools.pairwise([0, *ends]):
            at = self._beginning(line, before, end)
            if at is not None:
                parts += [line[done:at], HIDDEN.encode()]
                done = end
        return b"".join([*parts, line[done:]])

    def _beginning(self, line: bytes, start: int, end: int) -> int | None:
        """Where, after `start`, a secret begins that goes on at least until `end`; only what can reach is looked at."""
        assert self._begins is not None
        for begin in self._begins.finditer(line, max(start, end - len(self._forms[0])), end):
            if any(form.startswith(line[begin.start() : end]) for form in self._forms):
                return begin.start()
        return None

    def _value(self, value: Any, foreign: bool = False, unfinished: bool = False) -> Any:
        if isinstance(value, str):
            return self.text(value, unfinished)
        if isinstance(value, list):
            return [self._value(item, foreign) for item in value]
        if not isinstance(value, dict):
            return value
        unfinished = value.get("partial") is True and not foreign  # a message that is still being written
        return {
            (self.text(key) if foreign else key): item
            if key in OURS and isinstance(item, str) and not foreign
            else self._value(item, foreign or key in FOREIGN, unfinished)
            for key, item in value.items()
        }


def _forms(value: str) -> set[str]:
    written = {value, repr(value)[1:-1]}
    as_json = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in written for ascii in (True, False)}
    return written | as_json | {quote(value), quote(value, safe="")}
