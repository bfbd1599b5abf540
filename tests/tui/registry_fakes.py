"""A registry that is only a script: what it tells passes the real reading, and what it is asked is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from tests.tui.fakes import NOW
from tests.tui.stage import Stage
from workbench.client.address import Address
from workbench.client.client import ClientError
from workbench.client.registry_watch import RegistryFrame, RegistryWatch, Seen
from workbench.tui.preferences import Preferences
from workbench.tui.registry.app import RegistryApp
from workbench.tui.widgets.key_bar import KeyBar

URL = "http://registry.example:7900"


def worker(id: str, agent: str = "support", **more: Any) -> dict[str, Any]:
    """A worker as a registry tells of it."""
    known = {
        "id": id, "agent_name": agent, "kind": "workbench", "status": "available", "connected": True,
        "draining": False, "address": "10.0.0.7", "load": 0.31, "load_threshold": 0.75, "max_processes": 5,
        "slots_used": 0, "job_count": 0, "jobs": [], "registered_at": NOW - 3000, "last_seen_at": NOW - 4, "notes": [],
    }  # fmt: skip
    return {**known, **more}


def job(id: str, status: str = "running", **more: Any) -> dict[str, Any]:
    """A job as a registry tells of it."""
    known = {
        "id": id, "agent_name": "support", "room_id": f"room-{id[:4]}", "metadata": {}, "room_options": [],
        "status": status, "reason": None, "error": None, "worker_id": None, "attempt": 1, "attempts": [],
        "queued_at": NOW - 60, "assigned_at": NOW - 60, "started_at": NOW - 59, "ended_at": None,
        "unknown_since": None, "notes": [],
    }  # fmt: skip
    return {**known, **more}


def about(**more: Any) -> dict[str, Any]:
    """The registry itself."""
    known = {
        "version": "0.1.0", "pid": 77, "url": URL, "started_at": NOW - 7000, "ending": False, "queue": 0,
        "jobs_active": 0, "jobs_ended": 0, "limits": {"grace_s": 20.0, "queue_size": 1000, "queue_timeout_s": 30.0},
    }  # fmt: skip
    return {**known, **more}


def busy_world() -> dict[str, Any]:
    """Workers and jobs in every state."""
    attempts = [
        {"attempt": 1, "worker_id": "0f11aa22bb33", "assigned_at": NOW - 300, "started_at": None,
         "ended_at": NOW - 295, "reason": "rejected"},
        {"attempt": 2, "worker_id": "a1b2c3d4e5f6", "assigned_at": NOW - 295, "started_at": NOW - 294,
         "ended_at": NOW - 200, "reason": "raised"},
    ]  # fmt: skip
    return {
        "registry": about(queue=1, jobs_active=6, jobs_ended=212),
        "workers": [
            worker("a1b2c3d4e5f6", slots_used=2, job_count=2, jobs=["11aa22bb33cc", "22bb33cc44dd"]),
            worker("0f11aa22bb33", slots_used=5, job_count=5, load=0.62),
            worker("c0ffee001122", slots_used=1, job_count=1, load=0.93),
            worker("d00dfeed3344", "sales", draining=True, slots_used=1, job_count=1, status="draining"),
            worker("e1e2e3e4e5e6", "sales", kind="videosdk", load_threshold=None, load=None, max_processes=10,
                   notes=["accepted more jobs than it had room for"]),
            worker("f00dbabe5566", "sales", connected=False, slots_used=1, jobs=["55ee66ff77aa"], last_seen_at=NOW - 9),
        ],
        "jobs": [
            job("0011223344ab", "completed", reason="returned", queued_at=NOW - 400, ended_at=NOW - 390),
            job("66ff77aa88bb", "failed", reason="raised", error="ValueError: boom (bot.py:38 in entrypoint)",
                worker_id="a1b2c3d4e5f6", attempt=2, attempts=attempts, queued_at=NOW - 300, started_at=NOW - 294,
                ended_at=NOW - 200, metadata={"caller": "Ada", "turns": 3}, room_options=["name", "recording"]),
            job("77aa88bb99cc", "cancelled", reason="cancelled", error="asked to end", queued_at=NOW - 250,
                ended_at=NOW - 240),
            job("11aa22bb33cc", worker_id="a1b2c3d4e5f6", queued_at=NOW - 120),
            job("22bb33cc44dd", worker_id="a1b2c3d4e5f6", queued_at=NOW - 80),
            job("55ee66ff77aa", "unknown", worker_id="f00dbabe5566", unknown_since=NOW - 6, queued_at=NOW - 70),
            job("33cc44dd55ee", "assigned", worker_id="0f11aa22bb33", queued_at=NOW - 2, started_at=None),
            job("44dd55ee66ff", "queued", attempt=0, queued_at=NOW - 1, started_at=None),
        ],
        "counters": {"offers": 9},
        "ends": [
            {"status": "completed", "reason": "returned", "count": 190},
            {"status": "failed", "reason": "raised", "count": 20},
            {"status": "cancelled", "reason": "cancelled", "count": 2},
        ],
    }  # fmt: skip


class FakeRegistry:
    """Source and connection in one."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state or {"registry": about(), "workers": [], "jobs": [], "counters": {}, "ends": []}
        self.asked: list[tuple[Any, ...]] = []
        self.refusal = ""
        self.reachable = True
        self.connected = 0
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(
        self, *, at: float = NOW, workers: list[dict[str, Any]] | None = None, jobs: list[dict[str, Any]] | None = None,
        gone: list[str] | None = None, counters: dict[str, int] | None = None, **registry: Any,
    ) -> None:  # fmt: skip
        """Something changed in the registry."""
        self.state = {**self.state, "registry": {**self.state["registry"], **registry}}
        self.state["counters"] = {**self.state["counters"], **(counters or {})}
        news = {
            "type": "changed", "seq": 2, "at": at, "registry": self.state["registry"], "workers": workers or [],
            "workers_gone": gone or [], "jobs": jobs or [], "counters": self.state["counters"],
            "ends": self.state["ends"],
        }  # fmt: skip
        self._frames.put_nowait(json.dumps(news))

    def say(self, text: str) -> None:
        """A frame, whatever it is."""
        self._frames.put_nowait(text)

    def cut(self, reachable: bool = True) -> None:
        """The stream ends; whether it can be taken up again."""
        self.reachable = reachable
        self._frames.put_nowait(None)

    @property
    def taken(self) -> bool:
        return self._frames.empty()

    # --- used by the TUI ------------------------------------------------------------------------

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["FakeRegistry"]:
        if not self.reachable:
            raise ClientError("nobody listens")
        self.connected += 1
        yield self

    async def frames(self) -> AsyncIterator[RegistryFrame]:
        client, seen = RegistryWatch(Address(url=URL)), Seen()
        snapshot = {"type": "snapshot", "seq": 1, "at": NOW, "state": self.state}
        yield await client._fold(seen, json.dumps(snapshot))
        while (text := await self._frames.get()) is not None:
            yield await client._fold(seen, text)

    async def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.refusal:
            raise ClientError(self.refusal, 503)

    async def dispatch(self, agent: str, room_id: str, metadata: dict[str, Any]) -> tuple[str, str]:
        await self._ask("dispatch", agent, room_id, metadata)
        return "99cc88bb77aa", "a1b2c3d4e5f6"

    async def end_job(self, job_id: str) -> None:
        await self._ask("end_job", job_id)

    async def drain(self, worker_id: str, on: bool) -> None:
        await self._ask("drain", worker_id, on)


class RegistryStage(Stage):
    """A running app over a scripted registry."""

    app: Any
    source: Any

    async def begin(self, pilot: Pilot[Any], connected: bool = True) -> None:
        self.pilot = pilot
        if connected:
            await self.until(lambda: self.app.board.known, "the first frame")
        await self.settle()

    async def news(self, **news: Any) -> None:
        """Something changed, and is shown."""
        self.source.tell(**news)
        await self.until(lambda: self.source.taken, "the frame is folded")
        await self.settle()

    @property
    def offered(self) -> list[str]:
        return [key for key, _ in self.app.screen.query_one(KeyBar).offered()]


def make_registry_app(source: FakeRegistry, preferences: Preferences | None = None) -> RegistryApp:
    """The app with a pinned clock, painting every piece of news at once."""
    return RegistryApp(source, URL, preferences=preferences, clock=lambda: NOW, paint_every_s=0)


@asynccontextmanager
async def registry_staged(
    source: FakeRegistry | None = None, size: tuple[int, int] = (120, 40), connected: bool = True
) -> AsyncIterator[RegistryStage]:
    """The app, running over `source`; when it ends, no task of its may be left."""
    source = source if source is not None else FakeRegistry(busy_world())
    before = asyncio.all_tasks()
    stage = RegistryStage(make_registry_app(source), source, None)  # type: ignore[arg-type]
    async with stage.app.run_test(size=size, notifications=True, message_hook=stage.heard) as pilot:
        await stage.begin(pilot, connected)
        try:
            yield stage
        finally:
            if not stage.app._exit:
                stage.app.exit()
            await asyncio.wait([stage.app._task])
    left = asyncio.all_tasks() - before
    assert not left, f"tasks are left: {left}"
