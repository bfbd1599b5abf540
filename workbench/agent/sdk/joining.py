"""Joining a job's room, so that a failure is told: the SDK logs it, and waits for a participant for ever."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from workbench.agent.sdk.room import transport_of
from workbench.model.errors import WorkbenchError

JOIN_S = 30.0
TOLD_S = 1.0  # the SDK has joined, or failed, when its `connect()` returns; its word of that may come a turn later
REQUEST_S = (5.0, 15.0)  # to connect, and for each answer


class RoomNotJoined(WorkbenchError):
    """The room could not be joined."""

    def __init__(self, why: object) -> None:
        super().__init__(f"the room could not be joined: {why}")


class Joining:
    """Watches a context's `connect()`.

    Args:
        context: the SDK's.
        joined: called when the room is joined, or its server listens.

    Attributes:
        error: the first one, until a later try succeeds.
    """

    def __init__(self, context: Any, joined: Callable[[], None]) -> None:
        self.error: RoomNotJoined | None = None
        self._context, self._joined = context, joined
        self._connect, self._notify = context.connect, context.notify_meeting_joined
        self._told = asyncio.Event()
        context.connect, context.notify_meeting_joined = self.connect, self.notify

    def notify(self) -> None:
        """In place of the context's own: the SDK says that it has joined."""
        self._told.set()
        self._notify()

    async def connect(self) -> None:
        """In place of the context's own.

        Raises:
            Exception: whatever the SDK raises; `RoomNotJoined` where it only logs, or takes too long.
        """
        errors = _Errors()
        try:
            with errors.heard(), _bounded_requests():
                async with asyncio.timeout(JOIN_S):
                    await self._connect()
                    await self._until_told(errors)
        except Exception as error:
            told = self._told_of(error, errors)
            self.error = self.error or told
            _release_traces(self._context)
            if isinstance(error, TimeoutError):
                raise told from error
            raise
        self.error = None
        self._joined()

    async def _until_told(self, errors: "_Errors") -> None:
        room = self._context.room_options
        if transport_of(room) != "videosdk" or not room.join_meeting:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), TOLD_S)
        if not self._told.is_set():
            raise RoomNotJoined(errors.first or "the SDK does not say why")

    def _told_of(self, error: Exception, errors: "_Errors") -> RoomNotJoined:
        if isinstance(error, RoomNotJoined):
            return error
        if isinstance(error, TimeoutError):
            return RoomNotJoined(f"not within {JOIN_S:g} s" + (f" ({errors.first})" if errors.first else ""))
        told = RoomNotJoined(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        told.__cause__ = error
        return told


def _release_traces(context: Any) -> None:
    """Let a session be closed whose room was never joined: the SDK waits there for a trace that only a join begins."""
    flow = getattr(context.metrics_collector, "traces_flow_manager", None)
    ready = getattr(flow, "root_span_ready", None)
    if ready is not None:
        ready.set()


class _Errors(logging.Handler):
    """Keeps the first thing that the SDK logs as an error: its only word of a failed join."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging`."""
        self.first = self.first or record.getMessage()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear it while the body runs."""
        logger = logging.getLogger("videosdk")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)


@contextlib.contextmanager
def _bounded_requests() -> Iterator[None]:
    """While the body runs, `requests` gives up in time: the SDK asks for rooms by it, in the loop, without a limit."""
    import requests

    original = requests.Session.request

    def request(self: Any, *args: Any, **more: Any) -> Any:
        if more.get("timeout") is None:
            more["timeout"] = REQUEST_S
        return original(self, *args, **more)

    requests.Session.request = request
    try:
        yield
    finally:
        requests.Session.request = original
