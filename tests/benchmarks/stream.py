"""A worker's stream of events, followed in the background with the time of every frame."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from workbench.client.client import Client, ClientError
from workbench.model.events import Event, JobEnded, Sampled
from workbench.model.state import Job, State

LIMIT_S = 60.0  # a bound on hanging, never on speed


class Seen(NamedTuple):
    """Something and the monotonic time at which a client had it."""

    at: float
    what: Any


class Watch:
    """One stream of events. `events` keeps all of them but the measurements."""

    def __init__(self) -> None:
        self.state = State()
        self.events: list[Seen] = []
        self._waiting: list[tuple[Callable[[Event | None], Any], asyncio.Future[Seen]]] = []

    async def follow(self, client: Client) -> None:
        """Until the stream ends; who still waits then is told so."""
        with contextlib.suppress(ClientError):
            async for frame in client.frames():
                self._take(frame.state, frame.event)
        for _, waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(RuntimeError("the worker's stream ended"))

    def _take(self, state: State, event: Event | None) -> None:
        at, self.state = time.monotonic(), state
        if event is not None and not isinstance(event, Sampled):
            self.events.append(Seen(at, event))
        for check, waiting in self._waiting:
            if not waiting.done() and (found := check(event)):
                waiting.set_result(Seen(at, found))
        self._waiting = [pair for pair in self._waiting if not pair[1].done()]

    async def until(self, holds: Callable[[State], Any]) -> Seen:
        """When the state first holds, and what was found."""
        found = holds(self.state)
        return Seen(time.monotonic(), found) if found else await self._wait(lambda _: holds(self.state))

    async def event(self, wanted: Callable[[Any], Any]) -> Seen:
        """The first event that is wanted, past ones included."""
        for seen in self.events:
            if wanted(seen.what):
                return seen
        return await self._wait(lambda event: event if event is not None and wanted(event) else None)

    async def started(self, job_id: str) -> Job:
        """The job, once its entrypoint runs."""
        job: Job = (await self.until(lambda state: (job := state.jobs.get(job_id)) and job.started_at and job)).what
        return job

    async def ended(self, job_id: str) -> Seen:
        """The event of the job's end."""
        return await self.event(lambda event: isinstance(event, JobEnded) and event.id == job_id)

    async def _wait(self, check: Callable[[Event | None], Any]) -> Seen:
        waiting: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._waiting.append((check, waiting))
        return await asyncio.wait_for(waiting, LIMIT_S)
