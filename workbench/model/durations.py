"""Spans of time as people write them: `30s`, `10m`, `2h`."""

import math
import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"\s*(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|h)?\s*")
DURATION_WORDS = "a number with s, m or h behind it: 30s, 10m, 2h"
DAY_S = 86_400.0


def seconds_of(text: str, *, bare: bool = False) -> float | None:
    """The seconds that `30s`, `10m` or `2h` mean; None when it means nothing.

    Args:
        bare: a number alone is seconds.
    """
    found = DURATION.fullmatch(text)
    if found is None or not (found[2] or bare):
        return None
    return float(found[1]) * UNITS[found[2] or "s"]


def duration(seconds: float) -> str:
    """`45s`, `10m`, `1m30s`, `2h`: what `seconds_of` reads, and the parts of it where one unit is not enough."""
    if not math.isfinite(seconds) or 0 < seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number]
    return "".join(parts) or "0s"
