"""The link to a registry: kept up as long as anybody wants it, and as long as the registry will have this worker."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from workbench.backend.dial import Registry, dial, session
from workbench.backend.line import Conversation
from workbench.backend.offers import Offers
from workbench.backend.outbox import Outbox
from workbench.backend.retry import Retry
from workbench.backend.trouble import LinkTrouble, RegistryRefused
from workbench.model import events as ev
from workbench.model import wire
from workbench.model.errors import UsageError
from workbench.model.hosts import is_loopback, shown
from workbench.model.options import Options
from workbench.model.records import UNREGISTERING
from workbench.model.text import plural
from workbench.supervisor.worker import Supervisor

LAST_WORDS_S = 4.0  # what the registry was not told yet is tried for so long to be told, before the worker leaves
LEAVE_S = 1.5
TAKES_JOBS = frozenset({"ready", "full", "over_load"})
DISCONNECTED = "disconnected by the operator: jobs come from this machine only"


class Link:
    """See the module.

    Args:
        registry: whom to call now; reads the token anew. Raises UsageError where a token file cannot be read.
        gave_up: called when the registry refused for good, or the tries are used up.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        registry: Callable[[], Registry],
        gave_up: Callable[[RegistryRefused], None],
        retry: Retry | None = None,
    ) -> None:
        self._supervisor, self._registry, self._gave_up = supervisor, registry, gave_up
        self._retry = retry or Retry()
        self._outbox = Outbox()
        self._offers = Offers(supervisor, self._outbox, self._news)
        self._talk: Conversation | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._told.set()
        self._registered_with: tuple[int, float] = (0, 0.0)
        self._leaving = self._closing = False
        self._spent = self._at_home = False  # the tries are used up, not the registry's patience; it is on this machine
        self._ending: asyncio.Task[None] | None = None  # a connection that is being closed
        self._last_words: asyncio.Task[None] | None = None
        self._url = self._worker_id = ""
        supervisor.listeners.append(self._heard)

    # --- what others ask ------------------------------------------------------------------------

    def connect(self) -> None:
        """Register; at once, if it waits or has given up.

        Raises:
            UsageError: there is no token, or none that can be read.
        """
        self._leaving = self._offers.closed = False
        if self._last_words is not None:
            self._last_words.cancel()
        if self._task is None or self._task.done():
            self._at_home = is_loopback(urlsplit(self._registry().url).hostname or "")
            self._begin()
        elif self._talk is not None:
            self._tell("connected", f"registered as {self._worker_id}")
            self._talk.tell(status=True)
        else:
            self._wake.set()

    def disconnect(self) -> None:
        """Take no jobs from there any more. Those that run go on; while the link is up it stays so until their ends are
        told, else the next connection tells them."""
        if self._talk is not None:
            self._leaving = self._offers.closed = True
            self._tell("connected", f"{UNREGISTERING}, after {plural(self._offers.job_count, 'job')}")
            self._talk.tell(status=True)
            self._finish_when_due()
            return
        self._spent = False  # it is left on purpose: no last try
        if self._task is not None:
            self._task.cancel()
            self._ending, self._task = self._task, None
        self._tell("local", DISCONNECTED)

    def launching(self, job_id: str) -> None:
        """Tell the registry before the job can begin: were this worker killed right after, nobody else may run it."""
        update = self._offers.launching(job_id)
        if self._talk is not None and update is not None:
            self._talk.say_now(update.text())

    async def close(self) -> None:
        """The worker leaves: tell within a bound what is left to be told, and that it is offline."""
        self._closing = True
        if self._spent and self._outbox:
            self._begin()  # once more, at last: the registry may be back
        if self._task is not None and not self._task.done():
            self._wake.set()
            told = asyncio.ensure_future(self._told.wait())
            await _within(LAST_WORDS_S, asyncio.wait([told, self._task], return_when=asyncio.FIRST_COMPLETED))
            told.cancel()
            if self._talk is not None:
                self._talk.finish("leave")
                await _within(LEAVE_S, asyncio.shield(self._task))
            self._task.cancel()
        last = [task for task in (self._task, self._ending, self._last_words) if task is not None]
        await asyncio.gather(*last, return_exceptions=True)
        if self._outbox:
            left = f"{plural(len(self._outbox), 'update')} of jobs could not be told to the registry"
            self._supervisor.logs.note("ERROR", f"{left} before the worker left")

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._spent = False
        self._retry.start_again()
        self._task = asyncio.ensure_future(self._run(self._ending))
        self._task.add_done_callback(self._ended)

    async def _run(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            async with session(loopback=self._at_home) as http:
                while await self._once(http):
                    pass
            if self._leaving:
                self._tell("local", DISCONNECTED)
        except RegistryRefused as refused:
            self._tell("failed", str(refused), attempt=self._retry.failures)
            if not self._closing:
                self._gave_up(refused)

    async def _once(self, http: aiohttp.ClientSession) -> bool:
        """One connection, and the wait after it; False when we have left."""
        self._wake.clear()
        try:
            end = await self._connected(http)
        except LinkTrouble as trouble:
            await self._wait(trouble)
        except UsageError as error:
            await self._wait(LinkTrouble(str(error)))
        else:
            return end != "leave" or not (self._leaving or self._closing)
        return True

    async def _connected(self, http: aiohttp.ClientSession) -> str:
        registry, options = self._registry(), self._options
        self._supervisor.logs.mask.learn([registry.token])
        self._url = shown(registry.url)
        self._tell("connecting", f"registering at {self._url}", attempt=self._retry.failures)
        self._registered_with = options.max_processes, options.load_threshold
        threshold = options.load_threshold
        register = wire.Register(
            worker_id=self._worker_id, agent_name=options.agent_id, capabilities=list(wire.CAPABILITIES),
            token=registry.token, max_processes=options.max_processes,
            load_threshold=None if math.isinf(threshold) else threshold,
        )  # fmt: skip
        line = await dial(http, registry, register)
        self._worker_id = line.worker_id
        self._retry.up(time.monotonic())
        talk = self._talk = Conversation(
            line, self._outbox, self._offers, self._status, registry.token,
            lambda: self._options.ping_interval, self._dropped, self._told,
        )  # fmt: skip
        self._offers.closed = self._leaving
        self._tell("connected", f"registered as {line.worker_id}")
        self._finish_when_due()
        try:
            await talk.run()
        finally:
            self._talk = None
            self._supervisor.release_all("link_lost")
        return talk.end

    async def _wait(self, trouble: LinkTrouble) -> None:
        delay_s = self._retry.failed(time.monotonic(), self._options.max_retry, trouble.wait_s)
        if delay_s is None:
            most, self._spent = self._options.max_retry, True
            raise RegistryRefused(
                f"the registry cannot be had in {plural(most, 'try')} (max_retry); the last: {trouble}"
            )
        self._supervisor.logs.note("WARNING", f"registry: {trouble}; trying again in {delay_s:.1f} s")
        self._tell("waiting", str(trouble), attempt=self._retry.failures, retry_at=time.time() + delay_s)
        await _within(delay_s, self._wake.wait())

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._supervisor.bugs.fatal(f"the registry link failed: {task.exception()!r}")

    def _news(self) -> None:
        self._told.clear()
        if self._talk is not None:
            self._talk.tell(status=True)

    def _heard(self, event: ev.Event) -> None:
        news = self._offers.heard(event)
        if news:
            self._told.clear()
        if self._talk is None:
            return
        if news or isinstance(event, ev.AdmissionChanged):
            self._talk.tell(status=True)
        self._finish_when_due()

    def _finish_when_due(self) -> None:
        """Close the connection where that is wanted, and no accepted offer waits for its assignment any more."""
        now = self._options.max_processes, self._options.load_threshold
        if now != self._registered_with and not self._leaving:
            self._offers.closed = True  # the registry knows these by `register` only
        if self._supervisor.state.worker.reserved:
            return
        if self._leaving and not self._offers.job_count:
            self._finish_when_told("leave")
        elif now != self._registered_with and not self._leaving:
            self._finish_when_told("anew")

    def _finish_when_told(self, end: Literal["leave", "anew"]) -> None:
        """Close the connection as soon as the registry knows everything: nothing need be told twice."""
        talk, pending = self._talk, self._last_words is not None and not self._last_words.done()
        if talk is not None and not talk.end and not pending:
            self._last_words = asyncio.ensure_future(self._finish(talk, end))

    async def _finish(self, talk: Conversation, end: Literal["leave", "anew"]) -> None:
        await _within(LAST_WORDS_S, self._told.wait())
        if self._talk is talk:  # else it has ended by itself meanwhile, and what is up now knows everything
            talk.finish(end)

    def _status(self) -> wire.StatusUpdate:
        state = self._supervisor.state
        return wire.StatusUpdate(
            worker_id=self._worker_id, agent_name=self._options.agent_id,
            status="available" if state.worker.status in TAKES_JOBS and not self._leaving else "draining",
            load=self._load(), job_count=self._offers.job_count,
        )  # fmt: skip

    def _load(self) -> float:
        """What the threshold is held against, as of now where that can be told without measuring."""
        if self._options.load == "jobs":
            return self._supervisor.core.jobs_load
        return self._supervisor.state.load.load or 0.0

    def _dropped(self, why: str) -> None:
        self._supervisor.publish(ev.LinkMessageDropped(at=time.time(), why=why))

    @property
    def _options(self) -> Options:
        return self._supervisor.settings.options

    def _tell(self, state: str, why: str, attempt: int = 0, retry_at: float | None = None) -> None:
        mask = self._supervisor.logs.mask
        self._supervisor.publish(
            ev.LinkChanged(
                at=time.time(), state=state, why=mask.text(why), attempt=attempt, retry_at=retry_at, url=self._url,
                worker_id=self._worker_id, undelivered=len(self._outbox),
            )
        )  # fmt: skip


async def _within(limit_s: float, what: Awaitable[object]) -> None:
    """Wait for it, but no longer than that."""
    try:
        async with asyncio.timeout(limit_s):
            await what
    except TimeoutError:
        return
