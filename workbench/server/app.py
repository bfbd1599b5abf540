"""The routes. Handlers read the state, call the supervisor, and shape answers; they decide nothing."""

import asyncio
import json
import re
import time
from dataclasses import asdict
from typing import Any

from aiohttp import WSMsgType, web

from workbench.model.admission import Verdict
from workbench.model.errors import WorkbenchError
from workbench.model.options import FIELDS, meta
from workbench.model.state import Job
from workbench.server.guard import MAX_BODY, Guard, Handler, error
from workbench.server.health import Health, examine
from workbench.server.metrics import Metrics
from workbench.server.stream import Subscriber
from workbench.supervisor.rooms import Room
from workbench.supervisor.worker import Supervisor

SUPERVISOR = web.AppKey("supervisor", Supervisor)
METRICS = web.AppKey("metrics", Metrics)
GUARD = web.AppKey("guard", Guard)
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
LONGEST_WAIT_S = 60.0
MOST_METADATA = 32 * 1024

routes = web.RouteTableDef()


def make_app(supervisor: Supervisor, guard: Guard) -> web.Application:
    """The one application, for the unix socket and for TCP."""
    app = web.Application(middlewares=[_outer], client_max_size=MAX_BODY)
    app[SUPERVISOR] = supervisor
    metrics = Metrics(supervisor.state)
    supervisor.listeners.append(metrics.on_event)
    app[METRICS] = metrics
    app[GUARD] = guard
    app.add_routes(routes)
    return app


@web.middleware
async def _outer(request: web.Request, handler: Handler) -> web.StreamResponse:
    refusal = request.app[GUARD].refuse(request)
    if refusal is not None:
        return refusal
    try:
        return await handler(request)
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        return error(problem.status, problem.text or problem.reason)
    except _BadRequest as problem:
        return error(400, str(problem))


class _BadRequest(Exception):
    """What is wrong with a request, in words for its sender."""


# --- health and figures -----------------------------------------------------------------------------


def _health(request: web.Request) -> Health:
    supervisor = request.app[SUPERVISOR]
    return examine(supervisor.state, time.monotonic(), supervisor.sampler.longest_stall)


def _health_answer(request: web.Request, health: Health, ok: bool) -> web.Response:
    body = {
        "status": health.status,
        "checks": health.checks,
        "worker_id": request.app[SUPERVISOR].worker_id,
    }
    return web.json_response(body, status=200 if ok else 503)


@routes.get("/livez")
async def livez(request: web.Request) -> web.Response:
    """Restart me if this fails."""
    health = _health(request)
    return _health_answer(request, health, health.live)


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """Send me work only while this holds."""
    health = _health(request)
    return _health_answer(request, health, health.live and health.ready)


@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """Is all well, in one word."""
    health = _health(request)
    return _health_answer(request, health, health.live and health.healthy)


@routes.get("/worker")
async def worker(request: web.Request) -> web.Response:
    """The worker in a dozen fields."""
    state = request.app[SUPERVISOR].state
    about = state.worker
    return web.json_response(
        {
            "agent_id": about.agent_id,
            "worker_id": about.worker_id,
            "version": about.version,
            "status": about.status,
            "load": state.load.load,
            "load_threshold": state.option("load_threshold"),
            "job_count": len(state.active_jobs()),
            "max_processes": state.option("max_processes"),
            "idle": len(state.live("idle")),
            "registered": state.link.state == "connected",
            "draining": about.draining,
            "uptime_s": round(time.time() - about.started_at, 3),
        }
    )


@routes.get("/stats")
async def stats(request: web.Request) -> web.Response:
    """The whole state."""
    return web.json_response(request.app[SUPERVISOR].state.to_json(), dumps=_dumps)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    page = request.app[METRICS].text()
    return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


# --- jobs -------------------------------------------------------------------------------------------


@routes.post("/jobs")
async def dispatch(request: web.Request) -> web.Response:
    """Take a job."""
    supervisor, body = request.app[SUPERVISOR], await _body(request)
    _only(body, "room_id", "metadata", "force")
    room_id, metadata = body.get("room_id"), body.get("metadata") or {}
    if room_id is not None and not (isinstance(room_id, str) and NAME.fullmatch(room_id)):
        raise _BadRequest("room_id must be 1 to 128 letters, digits or any of _ . : -")
    if not isinstance(metadata, dict) or len(json.dumps(metadata)) > MOST_METADATA:
        raise _BadRequest("metadata must be an object of at most 32 KB")
    force = body.get("force", False)
    if not isinstance(force, bool):
        raise _BadRequest("force must be true or false")
    if room_id is not None and supervisor.rooms.taken(room_id):
        return error(409, f"a job runs in room {room_id} already")
    taken = supervisor.submit(room_id, metadata, force=force)
    if isinstance(taken, Verdict):
        words = {"reason": taken.status, "message": taken.why, "error": f"{taken.status}: {taken.why}"}
        return web.json_response(words, status=503, headers={"Retry-After": "1"})
    return _job_answer(taken, 202)


@routes.get("/jobs")
async def jobs(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    wanted, limit = request.query.get("status"), _number(request, "limit", 100, 1000)
    found = [j for j in reversed(request.app[SUPERVISOR].state.jobs.values()) if wanted in (None, "", j.status)]
    return web.json_response({"jobs": [asdict(job) for job in found[: int(limit)]]}, dumps=_dumps)


@routes.get("/jobs/{id}")
async def job(request: web.Request) -> web.Response:
    """One job."""
    found = request.app[SUPERVISOR].state.jobs.get(request.match_info["id"])
    return error(404, "no such job") if found is None else _job_answer(found, 200)


@routes.delete("/jobs/{id}")
async def end_job(request: web.Request) -> web.Response:
    """Ask a job to end."""
    supervisor = request.app[SUPERVISOR]
    found = supervisor.state.jobs.get(request.match_info["id"])
    if found is None:
        return error(404, "no such job")
    if not found.active:
        return error(409, f"the job has ended: {found.status}, {found.reason}")
    supervisor.end_job(found.id)
    return _job_answer(found, 202)


def _job_answer(found: Job, status: int) -> web.Response:
    return web.json_response(asdict(found), status=status, dumps=_dumps)


# --- operate and tune -------------------------------------------------------------------------------


@routes.post("/drain")
async def drain(request: web.Request) -> web.StreamResponse:
    """Take no new jobs."""
    request.app[SUPERVISOR].drain("asked by an operator")
    return await worker(request)


@routes.delete("/drain")
async def admit(request: web.Request) -> web.StreamResponse:
    """Take jobs again."""
    if not request.app[SUPERVISOR].admit():
        return error(409, "the worker is ending")
    return await worker(request)


@routes.post("/reload")
async def reload(request: web.Request) -> web.Response:
    """Load the agent again, beside the running generation."""
    supervisor = request.app[SUPERVISOR]
    if supervisor.state.worker.stopping:
        return error(409, "the worker is ending")
    return web.json_response({"generation": supervisor.reload([])}, status=202)


@routes.delete("/processes/{pid}")
async def kill_process(request: web.Request) -> web.Response:
    """Kill a process and everything below it."""
    pid = request.match_info["pid"]
    if not (pid.isdecimal() and len(pid) < 11 and request.app[SUPERVISOR].kill_process(int(pid))):
        return error(404, "no such process of this worker")
    return web.json_response({"pid": int(pid)}, status=202)


@routes.get("/options")
async def options(request: web.Request) -> web.Response:
    """Every option with its origin."""
    return web.json_response(request.app[SUPERVISOR].state.options)


@routes.patch("/options")
async def set_options(request: web.Request) -> web.Response:
    """Change options live, all or none."""
    supervisor, body = request.app[SUPERVISOR], await _body(request)
    fixed = [name for name in body if name in FIELDS and meta(name)["effect"] == "restart"]
    if fixed:
        return error(409, f"needs a restart: {', '.join(sorted(fixed))}", options=sorted(fixed))
    try:
        supervisor.set_live(body)
    except WorkbenchError as problem:
        raise _BadRequest(str(problem)) from None
    return web.json_response(supervisor.state.options)


# --- streams ----------------------------------------------------------------------------------------


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    """A snapshot, then every event."""
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_BODY)
    if not socket.can_prepare(request).ok:
        return error(426, "GET /events is a WebSocket")
    await socket.prepare(request)
    await Subscriber(request.app[SUPERVISOR], socket).serve()
    return socket


@routes.post("/rooms/{id}/messages")
async def say(request: web.Request) -> web.Response:
    """Say something in a room."""
    body = await _body(request)
    _only(body, "text", "sender", "data")
    text, sender = body.get("text"), body.get("sender", "user")
    if not isinstance(text, str) or not isinstance(sender, str) or not 0 < len(sender) <= 128:
        raise _BadRequest("a message is {'text': '...', 'sender'?: 'a name'}")
    room = _room(request)
    if room is None or room.closed:
        return error(404, "no job runs in this room")
    return web.json_response(room.user_says(text, sender, body.get("data")), status=201, dumps=_dumps)


@routes.get("/rooms/{id}/messages")
async def messages(request: web.Request) -> web.Response:
    """What was said after a message; waits up to `wait_s` for something new."""
    room, wait_s = _room(request), _number(request, "wait_s", 0, LONGEST_WAIT_S)
    if room is None:
        return error(404, "no job was in this room")
    after = request.query.get("after")
    deadline = time.monotonic() + wait_s
    while not (found := room.after(after)) and not room.closed and (left := deadline - time.monotonic()) > 0:
        try:
            await asyncio.wait_for(room.news.wait(), left)
        except TimeoutError:
            break
    return web.json_response({"messages": found}, dumps=_dumps)


@routes.get("/rooms/{id}")
async def join(request: web.Request) -> web.StreamResponse:
    """Join a room: hear it, and say things in it."""
    room = _room(request)
    if room is None or room.closed:
        return error(404, "no job runs in this room")
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_BODY)
    if not socket.can_prepare(request).ok:
        return error(426, "GET /rooms/{id} is a WebSocket")
    await socket.prepare(request)
    await _converse(room, socket, request.query.get("name", "user")[:128])
    return socket


async def _converse(room: Room, socket: web.WebSocketResponse, name: str) -> None:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for message in list(room.messages):
        queue.put_nowait({"type": "message", "message": message})
    room.listeners.append(queue.put_nowait)
    room.join(name)
    sending = asyncio.ensure_future(_pass_on(queue, socket))
    try:
        async for frame in socket:
            if frame.type is WSMsgType.TEXT and not room.closed:
                said = _json(frame.data)
                if isinstance(said, dict) and isinstance(said.get("text"), str):
                    room.user_says(said["text"], name, said.get("data"))
                else:
                    await socket.send_json({"type": "error", "error": "send {'text': '...'}"})
    finally:
        room.listeners.remove(queue.put_nowait)
        room.leave(name)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _pass_on(queue: "asyncio.Queue[dict[str, Any]]", socket: web.WebSocketResponse) -> None:
    while True:
        news = await queue.get()
        await socket.send_str(_dumps(news))
        if news["type"] == "ended":
            await socket.close()
            return


def _room(request: web.Request) -> Room | None:
    return request.app[SUPERVISOR].rooms.get(request.match_info["id"])


# --- bodies -----------------------------------------------------------------------------------------


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json")
    body = _json(raw)
    if not isinstance(body, dict):
        raise _BadRequest("the body must be a JSON object")
    return body


def _json(raw: str | bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as problem:
        raise _BadRequest(f"the body is not JSON: {problem}") from None


def _only(body: dict[str, Any], *known: str) -> None:
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise _BadRequest(f"unknown field {unknown[0]!r}; known are {', '.join(known)}")


def _number(request: web.Request, name: str, default: float, most: float) -> float:
    given = request.query.get(name)
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise _BadRequest(f"{name} must be a number from 0 to {most:g}")
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, default=str)
