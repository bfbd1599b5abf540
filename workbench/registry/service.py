"""The registry at work: the core, its clock, the connections, and those who wait for an answer."""

import asyncio
import contextlib
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from aiohttp import web

from workbench import __version__
from workbench.model.desk import Now
from workbench.model.text import clean_text, plural
from workbench.model.wire import RESTARTING, Message, Register, Registered
from workbench.registry.core import Core
from workbench.registry.desk import Close, Limits, Say, Send, Settled
from workbench.registry.link import Link
from workbench.registry.offers import Refused
from workbench.registry.records import Job

HEARTBEAT_S = 15.0
END_S = 3.0  # for the workers to answer that the registry goes down
SHOWN_ENDED = 500  # ended jobs in /stats
ENDING = Refused(503, "ending", "the registry is ending")
Note = Callable[[str, str], None]


class Service:
    """Everything behind the routes.

    Args:
        note: takes a level and a line for the log.
        wrong_token: whether a token that a worker sent is not the one.
    """

    def __init__(self, limits: Limits, note: Note, wrong_token: Callable[[str | None], bool]) -> None:
        self.core = Core(limits)
        self.core.desk.changed = self._changed
        self.note, self._wrong_token = note, wrong_token
        self.heartbeat_s = HEARTBEAT_S
        self.started_at, self.url, self.seq, self.ending = time.time(), "", 0, False
        self.links: dict[int, Link] = {}
        self.followers: list[Callable[[str, str], None]] = []
        self.observers: list[Callable[[Job, float], None]] = []  # a job and how long its dispatch took, in seconds
        self._waiting: dict[str, asyncio.Future[Job]] = {}
        self._empty = asyncio.Event()
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- connections ---------------------------------------------------------------------------

    def connected(self, socket: web.WebSocketResponse, request: web.Request) -> Link:
        """Somebody opened the workers' door."""
        self._number += 1
        link = self.links[self._number] = Link(self._number, socket, request, self)
        if self.ending:
            link.close(RESTARTING, "the registry is ending")
        return link

    def heard(self, link: Link, message: Message) -> None:
        """A message of a worker."""
        if isinstance(message, Register) and self._wrong_token(message.token):
            link.send(Registered(success=False, message="the token in `register` is not this registry's"))
            return
        self._safely(partial(self.core.heard, link.number, message, link.address, _now()))
        link.registered = link.number in self.core.desk.by_link

    def disconnected(self, link: Link) -> None:
        """It is over."""
        self.links.pop(link.number, None)
        self._safely(partial(self.core.lost, link.number, link.why, _now()))
        if not self.links:
            self._empty.set()

    def malformed(self, link: Link, what: str) -> None:
        """A message that cannot be used is dropped; the connection stays."""
        counters = self.core.desk.counters
        counters["messages_malformed"] += 1
        if counters["messages_malformed"] <= 10 or counters["messages_malformed"] % 1000 == 0:
            self.note("WARNING", f"a message of {link.address} was dropped: {clean_text(link.scrub(what), 200)}")

    # --- those who want jobs done ----------------------------------------------------------------

    async def dispatch(self, agent_name: str, room_id: str, wait_s: float | None, **more: Any) -> Job | Refused:
        """Submit a job and wait until a worker has it, or none will. Who leaves before gives the job up."""
        if self.ending:
            return ENDING
        taken = self.core.submit(agent_name, room_id, _now(), wait_s=wait_s, **more)
        if isinstance(taken, Refused):
            return taken
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiting[taken.id] = future
        self.follow_up()
        try:
            return await future
        except asyncio.CancelledError:
            if not taken.told:
                self.core.end_job(taken, _now(), "whoever dispatched it left")
            raise
        finally:
            self._waiting.pop(taken.id, None)
            self.follow_up()

    def end_job(self, job: Job) -> str | None:
        """Ask a job to end; why that cannot be, or None."""
        refused = self.core.end_job(job, _now())
        self.follow_up()
        return refused

    def drain(self, worker_id: str, on: bool) -> dict[str, Any] | None:
        """Offer a worker nothing more, or something again; the worker."""
        worker = self.core.desk.workers.get(worker_id)
        if worker is None:
            return None
        self.core.drain(worker, on, _now())
        self.follow_up()
        return worker.to_json()

    # --- shown ---------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """The registry in some fields."""
        desk = self.core.desk
        return {
            "version": __version__,
            "pid": os.getpid(),
            "url": self.url,
            "started_at": self.started_at,
            "ending": self.ending,
            "queue": desk.queued,
            "jobs_active": len(desk.active),
            "jobs_ended": sum(desk.ends.values()),
            "jobs_forgotten": desk.forgotten,
            "limits": asdict(desk.limits),
        }

    def counts(self) -> dict[str, Any]:
        """How often everything happened."""
        desk = self.core.desk
        ends = [{"status": status, "reason": reason, "count": count} for (status, reason), count in desk.ends.items()]
        return {"counters": dict(sorted(desk.counters.items())), "ends": ends}

    def stats(self) -> dict[str, Any]:
        """Everything: all workers and jobs that have not ended, and the last that have."""
        desk = self.core.desk
        ended = [desk.jobs[name] for name in list(desk.ended)[-SHOWN_ENDED:]]
        return {
            "seq": self.seq,
            "registry": self.about(),
            "workers": [worker.to_json() for worker in desk.workers.values()],
            "jobs": [job.to_json() for job in [*ended, *desk.active.values()]],
            **self.counts(),
        }

    # --- time and effects ------------------------------------------------------------------------

    def follow_up(self) -> None:
        """Carry out what the core wants, and be there when it is due again."""
        for effect in self.core.take_effects():
            if isinstance(effect, Settled):
                self._settle(effect.job)
            elif isinstance(effect, Say):
                self.note(effect.level, effect.text)
            else:
                self._to_link(effect)
        self._set_timer()

    async def end(self) -> None:
        """Tell everybody that the registry goes down. Nobody must be able to connect any more."""
        self.ending = True
        desk = self.core.desk
        left = [job for job in desk.active.values() if job.worker_id is not None]
        if left:
            self.note("WARNING", f"{plural(len(left), 'job')} of workers go on without this registry")
        for job in [job for job in desk.active.values() if job.status in ("queued", "offered")]:
            self.core.end_job(job, _now(), "the registry was ended")
        self.follow_up()
        for link in list(self.links.values()):
            link.close(RESTARTING, "the registry is ending")
        for follower in self.followers:
            follower("end", "")
        if self.links:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):  # who does not answer is cut
                await asyncio.wait_for(self._empty.wait(), END_S)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _to_link(self, effect: Send | Close) -> None:
        link = self.links.get(effect.link)
        if link is None:
            return  # it is over, and the core will hear of that
        if isinstance(effect, Send):
            link.send(effect.message)
        else:
            link.close(effect.code, effect.reason)

    def _settle(self, job: Job) -> None:
        for observer in self.observers:
            observer(job, time.monotonic() - job.began)
        future = self._waiting.get(job.id)
        if future is not None and not future.done():
            future.set_result(job)

    def _set_timer(self) -> None:
        due = self.core.next_due
        if self._timer is not None:
            if due is None or self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = None if due is None else asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._safely(partial(self.core.tick, _now()))

    def _safely(self, do: Callable[[], None]) -> None:
        """A bug is told, and costs one message or one appointment: not a connection, and never the clock."""
        try:
            do()
        except Exception as bug:
            where = traceback.extract_tb(bug.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            self.note("ERROR", f"a bug of ours: {type(bug).__name__}: {bug} ({place})")
        self.follow_up()

    def _changed(self, kind: str, name: str) -> None:
        self.seq += 1
        for follower in self.followers:
            follower(kind, name)


def _now() -> Now:
    return Now(time.monotonic(), time.time())
