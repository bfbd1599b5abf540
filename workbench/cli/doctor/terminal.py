"""The terminal: whether the screen can open here, how large, and what it can show."""

import os
import sys
from collections.abc import Mapping

from workbench.cli.doctor.finding import NOTE, OK, Finding

LEAST = (50, 20)
ROOMY = (112, 30)
SIGNS = "✓✗┃┊▁█"
NAMES = ("stdin", "stdout", "stderr")
COLOURS = {None: "no colours", "standard": "16 colours", "256": "256 colours", "truecolor": "all colours"}


def check_terminal(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """What `workbench AGENT` would do here."""
    no_terminal = [name for fd, name in enumerate(NAMES) if not os.isatty(fd)]
    term = environment.get("TERM", "")
    figures = {"term": term, "not_a_terminal": no_terminal}
    if no_terminal or term == "dumb":
        why = f"no terminal at {', '.join(no_terminal)}" if no_terminal else "TERM is dumb"
        text = f"{why[0].upper()}{why[1:]}: here `workbench AGENT` runs headless, as with --no-tui."
        return [Finding("terminal", NOTE, text, "For the screen, run it in a terminal, with nothing piped.", figures)]
    opens = Finding("terminal", OK, f"stdin, stdout and stderr are a terminal (TERM={term}).", "", figures)
    return [opens, _size(), _signs(), _colours(environment)]


def _size() -> Finding:
    columns, lines = os.get_terminal_size(2)  # the screen is drawn on stderr
    figures = {"columns": columns, "lines": lines}
    found = f"{columns} columns and {lines} lines."
    if columns < LEAST[0] or lines < LEAST[1]:
        return Finding("size", NOTE, found, f"The screen needs {LEAST[0]} by {LEAST[1]}: make it larger.", figures)
    if columns < ROOMY[0] or lines < ROOMY[1]:
        follows = f"Logs, talk and events share one place; from {ROOMY[0]} by {ROOMY[1]} each has its own."
        return Finding("size", OK, found, follows, figures)
    return Finding("size", OK, found, "", figures)


def _signs() -> Finding:
    encoding = sys.stderr.encoding
    try:
        SIGNS.encode(encoding)
    except UnicodeEncodeError:
        cure = "Bars and signs cannot be shown. Set LANG to one that ends in UTF-8, for example C.UTF-8."
        return Finding("signs", NOTE, f"Text is written as {encoding}.", cure, {"encoding": encoding})
    return Finding("signs", OK, f"Text is written as {encoding}.", "", {"encoding": encoding})


def _colours(environment: Mapping[str, str]) -> Finding:
    from rich.console import Console  # the same judgement as the screen's

    system = Console(stderr=True).color_system
    figures = {"colours": system, "no_color": bool(environment.get("NO_COLOR"))}
    if figures["no_color"]:
        return Finding("colours", OK, "NO_COLOR is set: the screen is drawn without colours.", "", figures)
    found = f"The terminal says that it has {COLOURS.get(system, system)}."
    if system in (None, "standard"):
        cure = "If it has more, set TERM=xterm-256color, or COLORTERM=truecolor."
        return Finding("colours", NOTE, found, cure, figures)
    return Finding("colours", OK, found, "", figures)
