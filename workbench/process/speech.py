"""What a child can say, understood or refused: nothing of a child's frame goes further without its type checked."""

import math
from dataclasses import dataclass
from typing import Any

from workbench.agent.problem import Problem
from workbench.model.ending import End
from workbench.model.jsontext import MAX_REPORT_BYTES, dump
from workbench.model.text import cut
from workbench.process.wire import VERSION, WireError

REASONS = frozenset({"returned", "cancelled", "raised", "exited"})
LONGEST_ERROR = 8192
LONGEST_ID = 200
MOST_TASK_LINES = 1100
LONGEST_TASK_LINE = 300


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Loaded, prewarmed and rehearsed, in so many milliseconds."""

    ms: float


@dataclass(frozen=True, slots=True)
class InitFailed:
    """It cannot become ready."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Started:
    """The next thing is the entrypoint's first line; `at` is monotonic."""

    job_id: str
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class Over:
    """The entrypoint has ended; `seen`: it knew that it was asked to."""

    job_id: str
    attempt: int
    end: End
    seen: bool


@dataclass(frozen=True, slots=True)
class Free:
    """Ready for another job."""


@dataclass(frozen=True, slots=True)
class Report:
    """`ctx.report(**fields)`."""

    job_id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Say:
    """A message in the job's room."""

    job_id: str
    message_id: str
    text: str
    data: Any
    at: float
    partial: bool


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """Where the tasks of its loop wait, in lines as of a stack dump."""

    lines: list[str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A kind of frame that this version does not know."""

    kind: str


Said = Hello | Ready | InitFailed | Started | Over | Free | Report | Say | Pong | Tasks | Unknown


def understand(message: dict[str, Any]) -> Said:
    """The meaning of one frame.

    Raises:
        WireError: it says less, or something else, than its kind must.
    """
    try:
        return _understand(message)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
        raise WireError(f"a bad {cut(repr(message['t']), 40)}: {cut(repr(error), 200)}") from None


def _understand(message: dict[str, Any]) -> Said:
    match message["t"]:
        case "say":
            return Say(
                _id(message["job"]), _id(message["id"]), str(message["text"]), message.get("data"),
                _finite(message["at"]), bool(message["partial"]),
            )  # fmt: skip
        case "started":
            return Started(_id(message["job"]), int(message["attempt"]), _finite(message["at"]))
        case "over":
            return Over(_id(message["job"]), int(message["attempt"]), _end(message), bool(message["seen"]))
        case "free":
            return Free()
        case "report":
            return Report(_id(message["job"]), _fields(message["fields"]))
        case "pong":
            return Pong()
        case "tasks":
            return Tasks([cut(str(line), LONGEST_TASK_LINE) for line in message["lines"][:MOST_TASK_LINES]])
        case "ready":
            return Ready(_finite(message["ms"]))
        case "init_failed":
            return InitFailed(Problem.from_json(message["problem"]))
        case "hello":
            if message["version"] != VERSION:
                raise ValueError(f"protocol version {cut(repr(message['version']), 20)}, not {VERSION}")
            return Hello()
        case kind:
            return Unknown(kind)


def _end(message: dict[str, Any]) -> End:
    reason, error, code = message["reason"], message.get("error"), message.get("exit_code")
    if reason not in REASONS:
        raise ValueError(f"unknown reason {cut(repr(reason), 40)}")
    return End(reason, cut(str(error), LONGEST_ERROR) if error else None, None if code is None else _exit_code(code))


def _exit_code(value: Any) -> int:
    code = int(value)
    if not -(2**31) <= code < 2**31:
        raise ValueError(f"{cut(repr(value), 40)} is no exit code")
    return code


def _fields(value: Any) -> dict[str, Any]:
    """What `ctx.report()` lets pass: every ended job keeps its own."""
    fields, size = dict(value), len(dump(value))
    if size > MAX_REPORT_BYTES:
        raise ValueError(f"a report of {size} bytes; at most {MAX_REPORT_BYTES}")
    return fields


def _id(value: Any) -> str:
    return str(value)[:LONGEST_ID]


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no time")
    return number
