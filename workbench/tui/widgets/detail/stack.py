"""A stack dump as people read it: the user's own frames stand out, files by their last parts."""

import re
from typing import Any

from workbench.tui import format as fmt
from workbench.tui.lines import Line, clean, cut, gated
from workbench.tui.widgets.detail.subject import Subject

_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
PARTS = 2  # of a path that are shown


def stack_lines(subject: Subject, width: int) -> list[Line]:
    """The last dump, or how to have one."""
    dump = subject.get("dump")
    if dump is None:
        hint = "no stack was dumped" if subject.process is None else "s dumps the stack now"
        return [[(f"  {hint}", "faint")]]
    mine = set(dump["mine"])
    lines: list[Line] = [[(f"  of {fmt.clock_time(dump['at'])}", "dim"), *_place(dump)]]
    for line in [*dump["lines"], *(dump["tasks"] or ())]:
        lines.append(_line(line, line in mine, width))
    return lines


def _place(dump: dict[str, Any]) -> Line:
    if not dump["file"]:
        return [("   no line of the agent's own is on it", "dim")]
    place = f"{_short(dump['file'])}:{dump['number']} in {clean(dump['name'], 80)}"
    return [
        ("   ", ""),
        (place, "strong"),
        ("   o", "accent"),
        (" opens it, ", "dim"),
        ("y", "accent"),
        (" copies", "dim"),
    ]


def _line(line: str, mine: bool, width: int) -> Line:
    found = _FRAME.fullmatch(line)
    if found is None:
        return [(f"  {cut(clean(line.removesuffix(' (most recent call first):'), 200), width - 2)}", "dim")]
    text = f"{_short(found[1])}:{found[2]} in {clean(found[3], 120)}"
    sign = "▸" if mine else " "
    return [(f"  {sign} ", "accent"), (cut(text, width - 4), "strong" if mine else "dim")]


def _short(path: str) -> str:
    return clean("/".join(path.split("/")[-PARTS:]), 120)


def copied(dump: dict[str, Any]) -> str:
    """The dump as text for the clipboard: whole paths, nothing left out."""
    return "\n".join(gated(str(line)) for line in (*dump["lines"], *(dump["tasks"] or ())))
