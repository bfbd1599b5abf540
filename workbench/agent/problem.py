"""Why an agent cannot be loaded, in the words and lines of the agent's own file."""

import linecache
import os
import re
import traceback
from collections import deque
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any

from workbench.model.errors import AgentError, UsageError, WorkbenchError
from workbench.model.options import OptionsError
from workbench.model.paths import seen_from, shortest
from workbench.model.text import cut

AROUND = 2
LONGEST_MESSAGE = 2000
LONGEST_TRACEBACK = 8000
LONGEST_LINE = 200
LONGEST_ERROR = 8000  # and its place beside it: a job's error is 8 KB
# Whose messages need no name of the exception in front: they are ours, or say it all.
OURS = frozenset({"", "AgentError", "OptionsError", "UsageError", "sys.exit"})
WITHOUT_SDK = (
    "; to run an agent of the VideoSDK SDK as it stands, install that beside the workbench: "
    "pip install 'agent-workbench[sdk]'; or change the import to `from workbench import ...`"
)
SECRET = re.compile(r"""((?:auth|control)_token["']?\s*[=:]\s*\w{0,2}(["'])).*?(?=\2|$)""")


@dataclass(slots=True)
class Problem:
    """What is wrong, where, and how the lines around it look. `kind` is the exception's name."""

    kind: str
    message: str
    exit_code: int = 3
    file: str = ""
    line: int = 0
    column: int = 0
    frame: str = ""
    source: list[tuple[int, str]] = field(default_factory=list)
    traceback: str = ""

    def to_json(self) -> dict[str, Any]:
        """The problem as it travels."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Problem":
        """The problem a message stands for.

        Raises:
            TypeError: something in it is of another kind than it must be; `ValueError` likewise.
        """
        made = cls(**{**data, "source": [(int(n), str(text)) for n, text in data.get("source", [])]})
        for name, default in asdict(cls("", "")).items():
            if type(getattr(made, name)) is not type(default):
                raise TypeError(f"{name!r} of a problem is {cut(repr(getattr(made, name)), 40)}")
        return made

    @property
    def where(self) -> str:
        """`bot.py:38 in entrypoint`, as far as it is known."""
        place = shortest(self.file) + (f":{self.line}" if self.line else "")
        return f"{place} in {self.frame}" if self.frame and self.frame != "<module>" else place

    def headline(self) -> str:
        """One line for a log or a terminal."""
        text = ": ".join(part for part in ("" if self.kind in OURS else self.kind, self.message) if part)
        return f"{text} ({self.where})" if self.where else text

    def excerpt(self) -> list[str]:
        """The source lines around the place, numbered, with a caret under the column."""
        lines = []
        for number, text in self.source:
            mark = ">" if number == self.line else " "
            lines.append(f"{mark} {number:>4} | {text}")
            if number == self.line and 0 < self.column <= len(text) + 1:
                before = text[: self.column - 1].replace("\t", "    ")  # as wide as it is shown
                lines.append(f"       | {' ' * len(before)}^")
        return lines


def problem_of(error: BaseException, root: str) -> Problem:
    """Describe an error that ended the loading of a file below `root`."""
    made = Problem(type(error).__name__, cut(_message(error), LONGEST_MESSAGE))
    if isinstance(error, WorkbenchError):
        made.exit_code = error.exit_code if isinstance(error, AgentError | UsageError) else 3
    if isinstance(error, OptionsError):
        made.kind = "OptionsError"
    if isinstance(error, SystemExit):
        made.kind, made.message = "sys.exit", f"the file called sys.exit({_repr(error.code)}) while it was loading"
    if isinstance(error, SyntaxError) and error.filename:
        made.file, made.line, made.column = error.filename, error.lineno or 0, error.offset or 0
    else:
        _place(made, error.__traceback__, root)
    if isinstance(error, ModuleNotFoundError) and error.name in ("videosdk", "videosdk.agents"):
        made.message += WITHOUT_SDK
    made.source = source_around(made.file, made.line)
    made.traceback = _hide_secrets(_last_lines("".join(traceback.format_exception(error))))
    return made


def source_around(file: str, line: int) -> list[tuple[int, str]]:
    """The lines of a file around one of them, without the secrets that stand in them."""
    if not line:
        return []
    linecache.checkcache(file)
    numbers = range(max(1, line - AROUND), line + AROUND + 1)
    return [(n, _short(text)) for n in numbers if (text := linecache.getline(file, n))]


def user_frame(trace: TracebackType | None, root: str) -> tuple[str, int, str] | None:
    """File, line and function of the innermost frame that lies in the project; without a root there is none."""
    found = None
    for frame, line in traceback.walk_tb(trace):
        file = frame.f_code.co_filename
        if root and file.startswith(root + os.sep) and not any(part in file for part in ("site-packages", "/.venv")):
            found = (file, line, frame.f_code.co_name)
    return found


def error_line(error: BaseException, root: str) -> str:
    """`ValueError: boom (bot.py:38 in entrypoint)`, of the error at most 8 KB."""
    message = _message(error)
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    text = cut(text, LONGEST_ERROR)
    frame = user_frame(error.__traceback__, root)
    if frame is None:
        return text
    file, line, name = frame
    return f"{text} ({seen_from(file, root)}:{line} in {name})"


def _place(made: Problem, trace: TracebackType | None, root: str) -> None:
    frame = user_frame(trace, root)
    if frame is not None:
        made.file, made.line, made.frame = frame


def _message(error: BaseException) -> str:
    try:
        text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
    except BaseException as broken:  # an exception's own __str__ may raise; the job's end must still be told
        return f"(its text cannot be shown: {type(broken).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()


def _repr(value: object) -> str:
    try:
        return cut(repr(value), 200)
    except BaseException as broken:  # as above
        return f"{type(value).__name__} object, which cannot be shown: {type(broken).__name__}"


def _short(line: str) -> str:
    line = _hide_secrets(line.rstrip("\n"))
    return cut(line, LONGEST_LINE)


def _last_lines(text: str) -> str:
    """The end of a traceback: whole lines, because one that begins within a secret would tell the rest of it."""
    lines, room = deque[str](), LONGEST_TRACEBACK
    for line in reversed(text.splitlines(keepends=True)):
        short = line if len(line) <= LONGEST_MESSAGE else cut(line, LONGEST_MESSAGE) + "\n"
        room -= len(short)
        if room < 0:
            break
        lines.appendleft(short)
    return "".join(lines)


def _hide_secrets(text: str) -> str:
    return SECRET.sub(r"\1********", text)
