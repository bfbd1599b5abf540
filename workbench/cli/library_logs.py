"""What libraries log in the supervisor's process goes where its own lines go, never straight to the terminal."""

import logging
import sys

from workbench.supervisor.logs import LogStore, Source


class LibraryLogs(logging.Handler):
    """Sits on the root logger of the supervisor."""

    def __init__(self, logs: LogStore) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record as lines of the log; a stranger's malformed request is no trouble of ours."""
        error = record.exc_info[1] if record.exc_info else None
        try:
            text = record.getMessage()
        except Exception:  # what it was given does not fit together, and that must not come back to the one who logs
            text = f"{record.msg!r} (its arguments do not fit)"
        if error is not None:
            text = f"{text}: {type(error).__name__}: {error}"
        level = "DEBUG" if error is not None and _of_a_request(error) else record.levelname
        lines = [line.encode("utf-8", "backslashreplace") for line in text.split("\n") if line.strip()]
        self._logs.add(Source(), level, record.name, lines)


def _of_a_request(error: BaseException) -> bool:
    if "aiohttp.web" not in sys.modules:
        return False  # and not imported for that: until then, there are no requests
    from aiohttp.http_exceptions import HttpProcessingError
    from aiohttp.web import RequestPayloadError

    return isinstance(error, HttpProcessingError | RequestPayloadError)
