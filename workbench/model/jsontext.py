"""JSON from outside and to outside: what every reader can read, and nothing that nests without end.

Python's own reader takes NaN and infinity, which no other reader does, and its writer gives up (by an
exception, wherever that may strike) on values nested some hundred levels deep.
"""

import json
import math
from typing import Any

MAX_DEPTH = 64
MAX_REPORT_BYTES = 4096  # of all that a job shows of its progress


def parse(text: str | bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        ValueError: what is wrong with it, in words for its sender.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(decoded, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from None
    if too_deep(value):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Objects and lists in one another more than `limit` levels deep."""
    level = [value]
    for _ in range(limit + 1):
        boxes = [item for item in level if isinstance(item, dict | list | tuple)]
        if not boxes:
            return False
        level = [child for box in boxes for child in (box.values() if isinstance(box, dict) else box)]
    return True


def plain(value: Any) -> Any:
    """A copy of `value` as plain JSON.

    Raises:
        ValueError: it holds itself, or nests too deep.
    """
    try:
        copied = json.loads(dump(value))
    except RecursionError:
        raise ValueError("it holds itself, or is nested too deep for JSON") from None
    if too_deep(copied):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return copied


def dump(value: Any) -> str:
    """One line of JSON: infinity and NaN are null, and what is no JSON value is its text."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_without_infinity(value), default=str)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return number


def _without_infinity(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(item) for item in value]
    return value
