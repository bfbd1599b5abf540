"""The tasks of a loop and where each of them waits, written as stack dumps are."""

import asyncio
from types import FrameType
from typing import Any

from workbench.model.text import clean_text

MOST_TASKS = 50
MOST_FRAMES = 20
LONGEST_LINE = 300


def told_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Every task that is not done, its innermost frame first."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines: list[str] = []
    for task in tasks[:MOST_TASKS]:
        lines.append(_line(f"Task {task.get_name()!r} (most recent call first):"))
        frames = _frames(task.get_coro())
        lines += [_line(_place(frame)) for frame in reversed(frames)]
    if len(tasks) > MOST_TASKS:
        lines.append(f"and {len(tasks) - MOST_TASKS} more tasks")
    return lines


def _frames(awaited: Any) -> list[FrameType]:
    """Down the chain of what awaits what, to where it waits for the loop itself."""
    frames: list[FrameType] = []
    while awaited is not None and len(frames) < MOST_FRAMES:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(awaited, f"{kind}_frame")), None)
        frame = getattr(awaited, f"{kind}_frame") if kind is not None else None
        if frame is None:
            break
        frames.append(frame)
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
    return frames


def _place(frame: FrameType) -> str:
    return f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}'


def _line(text: str) -> str:
    """As in the log: files and functions are named as their author likes."""
    return clean_text(text, LONGEST_LINE)
