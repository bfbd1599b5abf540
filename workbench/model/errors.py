"""The errors a user may meet, each with the exit code a script can rely on."""

import difflib
from collections.abc import Iterable

LONGEST_NAME = 80


class WorkbenchError(Exception):
    """Something a user can understand and mend: says what, where and how; never shown as a traceback."""

    exit_code = 1


class UsageError(WorkbenchError):
    """A flag, option, variable or file that cannot be used as given."""

    exit_code = 2


class AgentError(WorkbenchError):
    """The agent file cannot be loaded, or holds nothing that can be run."""

    exit_code = 3


class AddressInUse(WorkbenchError):
    """Somebody else listens where the worker was told to listen."""

    exit_code = 4


class RestartBudgetSpent(WorkbenchError):
    """The agent's processes died too often, and `--strict` said to give up then."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause like `; did you mean 'x'?` naming the closest of `known`, or the empty string."""
    if len(name) > LONGEST_NAME:
        return ""  # nobody meant that, and comparing it would take its length squared
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
