"""A real registry with real workers, on real terminals: seen, moved by keys, lost and found again."""

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from tests.conftest import Worker, wait_until
from tests.registry.conftest import Registry, start_registry
from tests.tui.fakes import NOW
from tests.tui.registry_fakes import FakeRegistry
from tests.tui.test_hostile import EVIL
from tests.tui.test_registry_screen import evil_world
from tests.tui.test_terminal import OpenTerminal, assert_restored

pytestmark = pytest.mark.timeout(180)
__all__ = ["start_registry"]
TOKEN = "screen-test-token"


@pytest.fixture(autouse=True)
def in_order(nothing_left: None, start_registry: object, start_worker: object, open_terminal: object) -> None:
    """Screens close first, then workers and registries end; after that nothing may be left."""


def asked(url: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    """What a registry answers to one who has its token."""
    headers = {"Authorization": TOKEN, "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def jobs(registry: Registry) -> list[dict[str, Any]]:
    """All jobs, newest first."""
    found: list[dict[str, Any]] = asked(f"{registry.url}/jobs")["jobs"]
    return found


def test_workers_and_jobs_are_seen_and_moved_and_a_killed_worker_is_told(
    open_terminal: OpenTerminal, start_registry: Callable[..., Registry], start_worker: Callable[..., Worker]
) -> None:
    registry = start_registry("--grace", "3", WORKBENCH_REGISTRY_TOKEN=TOKEN)
    at = ("--register", "--registry-url", registry.url)
    first, second = (start_worker("ledger.py", *at, VIDEOSDK_AUTH_TOKEN=TOKEN) for _ in range(2))
    refused = open_terminal("attach", registry.url)
    assert refused.ended() == 1
    refused.sees("set WORKBENCH_REGISTRY_TOKEN")
    screen = open_terminal("attach", registry.url.replace("http", "ws"), WORKBENCH_REGISTRY_TOKEN=TOKEN)
    screen.sees("● SERVING", "workers 2/2", "slots 0/10")
    screen.until(lambda: "n Dispatch" in screen.rows()[-1], "the keys")
    screen.type("n")
    screen.sees("Dispatch a job")
    screen.type('\t{"do": "wait"}\r')
    screen.sees("● running", "slots 1/10")
    wait_until(lambda: first.entries() + second.entries(), "the job itself wrote that it runs")
    killed = first if first.entries() else second
    screen.type("D")
    screen.sees("◐ draining")
    screen.until(lambda: "U Admit" in screen.rows()[-1], "the key to take it back")
    assert [worker["draining"] for worker in asked(f"{registry.url}/workers")["workers"]].count(True) == 1
    os.kill(killed.process.pid, signal.SIGKILL)
    shown = ("✗ lost", "▲ unknown", "is lost", "workers 1/2")
    screen.until(lambda: all(text in screen.text() for text in shown), "its loss is told")
    screen.sees("workers 1/1", "supervisor_lost")
    assert jobs(registry)[0]["reason"] == "supervisor_lost"
    screen.type("2")
    screen.until(lambda: "x End" not in screen.rows()[-1], "a job that has ended cannot be ended")
    screen.type("q")
    assert screen.ended() == 0
    assert_restored(screen)


def test_a_worker_registers_by_its_key_and_shows_its_retries_while_the_registry_is_gone(
    open_terminal: OpenTerminal, start_registry: Callable[..., Registry]
) -> None:
    registry = start_registry()
    port = registry.url.rpartition(":")[2]
    worker = open_terminal("bot.py", "--port=0", "--registry-url", registry.url, size=(120, 40))
    worker.sees("● READY", "L Register", "○ local")
    worker.type("1L")
    worker.sees(f"Register at {registry.url} as Freewheel?")
    worker.type("y")
    worker.sees("● connected", "L Unregister")
    body = {"agentId": "Freewheel", "meetingId": "call-1"}
    asked(f"{registry.url}/v2/agent/dispatch", "POST", body)
    worker.sees("⇄ registry")
    registry.end(signal.SIGKILL)
    worker.sees("◐ waiting retry 1/16 in", "L tries now")
    worker.until(lambda: worker.rows()[-1].lstrip().startswith("L Retry link"), "the key is the first")
    registry = start_registry("--port", port)
    worker.type("L")
    worker.sees("● connected")
    wait_until(lambda: [job["status"] for job in jobs(registry)] == ["running"], "the job is known again")
    worker.type("L")
    worker.sees("1 job from there goes on here.")
    worker.type("y")
    worker.sees("unregistering, after 1 job", "L Register")
    (job,) = jobs(registry)
    asked(f"{registry.url}/jobs/{job['id']}", "DELETE")
    worker.sees("○ local", "cancelled / cancelled")
    wait_until(lambda: [job["status"] for job in jobs(registry)] == ["cancelled"], "its end is told")
    assert asked(f"{registry.url}/workers")["workers"] == []
    worker.type("q")
    assert worker.ended() == 0
    assert_restored(worker)


async def attacking(registry: FakeRegistry, look: Callable[[str], None]) -> None:
    """Run a registry that wants the terminal of who attaches to it."""
    state = {**registry.state, "workers": registry.state["workers"][:1]}

    async def events(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "snapshot", "seq": 1, "at": NOW, "state": state})
        async for _ in socket:
            pass
        return socket

    async def others(request: web.Request) -> web.Response:
        status = 503 if request.method == "POST" else 200
        return web.json_response({"registry": EVIL, "error": EVIL, "message": EVIL, "jobs": []}, status=status)

    app = web.Application()
    app.add_routes([web.get("/events", events), web.route("*", "/{any:.*}", others)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await asyncio.to_thread(look, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def test_a_hostile_registry_reaches_the_terminal_only_as_text(open_terminal: OpenTerminal) -> None:
    def look(url: str) -> None:
        screen = open_terminal("attach", url, size=(120, 40))
        screen.sees("workers 1/1", "[@click")
        screen.type("D")
        screen.sees("iso")  # of the refusal
        screen.type("2\r")
        screen.sees("esc Back", "Attempts")
        screen.type("G")
        screen.type("\x1b")
        screen.until(lambda: "n Dispatch" in screen.rows()[-1], "the tables")
        screen.type("n")
        screen.sees("Dispatch a job")
        screen.type("\x1b")
        screen.until(lambda: "Dispatch a job" not in screen.text(), "the form is closed")
        screen.type("q")
        assert screen.ended() == 0
        assert_restored(screen)
        assert b"\x1b]0;" not in screen.raw
        assert b"\x1b]52" not in screen.raw

    asyncio.run(attacking(evil_world(), look))
