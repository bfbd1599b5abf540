"""What must never be told: the values of secrets, masked in every text that leaves the worker."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from workbench.model.jsontext import dump

HIDDEN = "********"
SHORTEST = 6  # characters; a shorter secret would mask ordinary words
OURS = frozenset({"type", "status", "state", "reason"})  # fields that hold words of ours only
FOREIGN = frozenset({"metadata", "report", "fields", "data"})  # objects whose keys are an agent's or a caller's
ENDINGS = ("_TOKEN", "_SECRET", "_KEY", "_PASSWORD")
CUT = (b"\xe2\x80\xa6", b" \xe2\x80\xa6")  # how a text goes on where it was cut


def is_secret_variable(name: str) -> bool:
    """A variable of our own environment that holds a secret."""
    return name == "VIDEOSDK_AUTH_TOKEN" or (name.startswith("WORKBENCH_") and name.endswith(ENDINGS))


class Mask:
    """Knows the secrets and hides them: as they are, as Python, JSON and URLs write them, and cut at a text's end."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._forms: list[bytes] = []
        self._heads: list[bytes] = []  # how a form begins: what all text is searched for
        self._pattern: re.Pattern[bytes] | None = None

    def learn(self, values: Iterable[str | None]) -> None:
        """These are secrets from now on, and stay so: what was replaced may still be printed."""
        new = {value for value in values if value and len(value) >= SHORTEST} - self._values
        if not new:
            return
        self._values |= new
        forms = {form.encode("utf-8", "surrogatepass") for value in self._values for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._heads = sorted({form[:SHORTEST] for form in forms})
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """As many lines, without secrets."""
        if not self._heads or not self._suspects(lines[0] if len(lines) == 1 else b"\n".join(lines)):
            return lines
        return [self._hide(line) for line in lines]

    def text(self, text: str) -> str:
        """The text without secrets."""
        if not self._heads:
            return text
        raw = text.encode("utf-8", "surrogatepass")
        return self._hide(raw).decode("utf-8", "surrogatepass") if self._suspects(raw) else text

    def json(self, text: str) -> str:
        """A JSON text without secrets in its values and in the keys that are not ours."""
        if not self._heads or not self._suspects(text.encode("utf-8", "surrogatepass")):
            return text
        return dump(self._value(json.loads(text)))

    def _suspects(self, raw: bytes) -> bool:
        return any(map(raw.__contains__, self._heads))

    def _hide(self, line: bytes) -> bytes:
        assert self._pattern is not None
        line = self._pattern.sub(HIDDEN.encode(), line)
        for form in self._forms:
            line = _without_beginning(line, form)
        return line

    def _value(self, value: Any, foreign: bool = False) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(item, foreign) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            (self.text(key) if foreign else key): item
            if key in OURS and isinstance(item, str) and not foreign
            else self._value(item, foreign or key in FOREIGN)
            for key, item in value.items()
        }


def _forms(value: str) -> set[str]:
    written = {value, repr(value)[1:-1]}
    as_json = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in written for ascii in (True, False)}
    return written | as_json | {quote(value), quote(value, safe="")}


def _without_beginning(line: bytes, form: bytes) -> bytes:
    """The line without the beginning of a secret that it was cut in."""
    at = line.find(form[:SHORTEST])
    while at >= 0:
        end = at + next(n for n in range(len(form), 0, -1) if line.startswith(form[:n], at))
        if end == len(line) or line.startswith(CUT, end):
            return line[:at] + HIDDEN.encode() + line[end:]
        at = line.find(form[:SHORTEST], at + 1)
    return line
