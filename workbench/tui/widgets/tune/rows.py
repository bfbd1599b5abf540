"""The rows of the tuning pane, and what stands below them about the one under the cursor."""

from collections.abc import Mapping
from typing import Any

from workbench.model.option_words import value_words
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, fit, pad, width_of, wrap
from workbench.tui.tuning import default_of, differs, meaning, needs_restart, range_words

PENDING, BACK = fmt.PENDING_MARK, "↺"
NAME, VALUE, DEFAULT, EFFECT = 21, 20, 10, 9
LEAST_ORIGIN = 10
FOR_A_TIME_S = 600.0
ONE = {"processes": "process", "jobs": "job", "tries": "try"}


def columns(width: int) -> tuple[int, ...]:
    """The widths of value, default and effect; 0 leaves a column out where there is no room."""
    for default, effect in ((DEFAULT, EFFECT), (0, EFFECT), (0, 0)):
        if width >= 3 + NAME + VALUE + default + effect + LEAST_ORIGIN:
            return VALUE, default, effect
    return max(width - 3 - NAME - LEAST_ORIGIN, 8), 0, 0


def head(width: int) -> Line:
    """The names of the columns."""
    value, default, effect = columns(width)
    words = pad("option", NAME) + pad("value", value) + pad("default", default) + pad("effect", effect)
    return fit([(f"   {words}from", "faint")], width)


def row(name: str, board: Board, lead: tuple[str, str], width: int) -> Line:
    """One option."""
    item, tuning = board.state.options[name], board.tuning
    value, default, effect = columns(width)
    pending = name in tuning.pending
    changed = differs(name, item)
    sign, tone = (PENDING, "accent") if pending else ("•", "strong") if changed else (" ", "")
    line: Line = [lead, (f"{sign} ", tone), (pad(clean(name, 60), NAME), "plain" if changed or pending else "dim")]
    line += [(pad(value_cell(name, board), value - 1) + " ", tone or "dim")]
    if default:
        line.append((pad(default_words(name, item), default - 1) + " ", "faint"))
    if effect:
        line.append((pad(effect_of(item), effect), "faint"))
    return fit([*line, *origin_cell(name, board)], width)


def value_cell(name: str, board: Board) -> str:
    """`5 processes`, or `5 → 7 processes` while that is tried."""
    item, pending = board.state.options[name], board.tuning.pending
    last = words = value_words(name, item["value"])
    if name in pending:
        last = value_words(name, pending[name])
        words += f" → {last}"
    unit = str(item.get("unit", ""))
    if last == "1":
        unit = ONE.get(unit, unit)
    return clean(f"{words} {unit}" if unit and words not in ("-", "inf") else words, 60)


def origin_cell(name: str, board: Board) -> Line:
    """Where the value comes from, or what is going to become of it."""
    item, tuning = board.state.options[name], board.tuning
    if name in tuning.pending:
        return [("pending", "accent"), (" restart" if needs_restart(name) else "", "faint")]
    if name in tuning.saved:
        return [(f"next start {clean(value_words(name, tuning.saved[name]), 40)}", "info")]
    if (left := left_s(item, board.clock())) is not None:
        return [(f"{BACK} {fmt.age(left)} → {below_words(name, item)}", "info")]
    origin = clean(item["origin"], 60)
    return [(origin, "info" if origin == "live" else "faint" if origin == "default" else "dim")]


def effect_of(item: Mapping[str, Any]) -> str:
    """When a change takes hold."""
    return clean(item.get("effect") or "", 12)


def left_s(item: Mapping[str, Any], now: float) -> float | None:
    """How long a live change still holds; None when it has no end."""
    at = item.get("revert_at")
    return max(at - now, 0.0) if at is not None else None


def default_words(name: str, item: Mapping[str, Any]) -> str:
    """The default, as the worker tells it."""
    return clean(value_words(name, default_of(name, item)), 40)


def below_words(name: str, item: Mapping[str, Any]) -> str:
    """The value without the live change."""
    return clean(value_words(name, (item.get("below") or {}).get("value")), 40)


def detail(name: str, board: Board, width: int, height: int) -> list[Line]:
    """Meaning, range, and how it stands with the option; where there is no room for all the range gives way."""
    item = board.state.options.get(name)
    if item is None:
        return []
    lines: list[Line] = [[(f" {text}", "plain")] for text in wrap(meaning(name), width - 2)]
    allowed: Line = [(" may be ", "faint"), (range_words(name), "dim")]
    if width_of(allowed) < width - 24:
        allowed += [("   default ", "faint"), (default_words(name, item), "dim")]
    state = standing(name, item, board)
    lines = lines[: max(height - bool(state), 1)]
    if len(lines) + bool(state) < height:
        lines.append(allowed)
    return [fit(line, width) for line in (*lines, *([state] if state else []))]


def standing(name: str, item: Mapping[str, Any], board: Board) -> Line:
    """What is wrong, pending, or going to happen."""
    tuning = board.tuning
    if tuning.error[0] == name:
        return [(f" ✗ {clean(tuning.error[1], 200)}", "bad")]
    if tuning.said:
        return [(f" ✓ {clean(tuning.said, 200)}", "good")]
    if name in tuning.pending:
        now, then = (value_words(name, value) for value in (item["value"], tuning.pending[name]))
        how = "w saves it for the next start" if needs_restart(name) else "a applies, A for 10 minutes"
        return [(f" {PENDING} {clean(now, 40)} → {clean(then, 40)}", "accent"), (f"   {how}, Esc drops", "dim")]
    if needs_restart(name):
        return [(" cannot change while the worker runs: Enter edits it, w saves it for the next start", "dim")]
    below = item.get("below")
    if below:
        origin = f"{below_words(name, item)} ({clean(below.get('origin', ''), 60)})"
        left = left_s(item, board.clock())
        words = f"falls back to {origin} in {fmt.age(left)}" if left is not None else f"live; without it {origin}"
        return [(f" {BACK} {words}" if left is not None else f" • {words}", "info")]
    if str(item["origin"]) not in ("default", ""):
        return [(f" from {clean(item['origin'], 120)}", "dim")]
    return []


def running(board: Board) -> Line:
    """The countdown of what is live for a time only: the first of them to fall back."""
    now = board.clock()
    left = {name: s for name, item in board.state.options.items() if (s := left_s(item, now)) is not None}
    if not left:
        return []
    first = min(left, key=left.__getitem__)
    what = clean(first, 40) if len(left) == 1 else f"{len(left)} options"
    return [(f"{BACK} {what} back in {fmt.age(left[first])}", "info")]
