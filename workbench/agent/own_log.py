"""What the workbench itself logs in a process of the agent."""

import contextlib
import logging
import sys
from typing import Any


class OwnLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls never raise.

    The handlers and filters of the root logger are the agent's, and one of them may raise: that is told on stderr, and
    must not become the end of a job or keep its other shutdown callbacks from running.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and tell where that failed."""
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception as error:
            with contextlib.suppress(Exception):  # stderr is the agent's, too, and so is the error's text
                sys.stderr.write(f"a logging handler of the agent failed: {error!r}\n")
