"""The routes. Handlers read the state, call the supervisor, and shape answers; they decide nothing."""

import time
from dataclasses import asdict

from aiohttp import web

from workbench.model.admission import Verdict
from workbench.model.errors import nearest
from workbench.model.jsontext import dump
from workbench.model.state import ACTIVE, ENDED, Job
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS
from workbench.server import link, processes, talk, tuning
from workbench.server.guard import MAX_BODY, Guard, error
from workbench.server.health import Health, examine
from workbench.server.metrics import Metrics
from workbench.server.shapes import (
    GUARD,
    NOTE,
    SUPERVISOR,
    BadRequest,
    answer,
    body_of,
    given,
    masked,
    no_fields,
    number,
    outermost,
)
from workbench.server.stream import SUBSCRIBERS, Subscriber, finish_all
from workbench.supervisor.worker import Supervisor

METRICS = web.AppKey("metrics", Metrics)
MOST_METADATA = 32 * 1024

routes = web.RouteTableDef()


def make_app(supervisor: Supervisor, guard: Guard) -> web.Application:
    """The one application, for the unix socket and for TCP."""
    app = web.Application(middlewares=[masked, outermost], client_max_size=MAX_BODY)
    app[SUPERVISOR] = supervisor
    metrics = Metrics(supervisor.state)
    supervisor.listeners.append(metrics.on_event)
    app[METRICS] = metrics
    app[GUARD] = guard
    app[NOTE] = supervisor.logs.note
    app[SUBSCRIBERS] = set()
    app.on_shutdown.append(finish_all)
    app.add_routes(routes)
    app.add_routes(link.routes)
    app.add_routes(processes.routes)
    app.add_routes(talk.routes)
    app.add_routes(tuning.routes)
    return app


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
    return answer(body, 200 if ok else 503)


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
    return answer(
        {
            "agent_id": about.agent_id,
            "worker_id": about.worker_id,
            "version": about.version,
            "status": about.status,
            "why": about.why,
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
    return answer(request.app[SUPERVISOR].state.to_json())


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    page = request.app[METRICS].text()
    return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


# --- jobs -------------------------------------------------------------------------------------------


@routes.post("/jobs")
async def dispatch(request: web.Request) -> web.Response:
    """Take a job."""
    supervisor, body = request.app[SUPERVISOR], await body_of(request, "room_id", "metadata", "force")
    room_id, metadata, force = body.get("room_id"), given(body, "metadata", {}), given(body, "force", False)
    if room_id is not None and not (isinstance(room_id, str) and ROOM_ID.fullmatch(room_id)):
        raise BadRequest(f"room_id must be {ROOM_ID_WORDS}")
    if not isinstance(metadata, dict) or len(dump(metadata)) > MOST_METADATA:
        raise BadRequest("metadata must be an object of at most 32 KB")
    if not isinstance(force, bool):
        raise BadRequest("force must be true or false")
    if room_id is not None and supervisor.rooms.taken(room_id):
        return error(409, f"a job runs in room {room_id} already")
    taken = supervisor.submit(room_id, metadata, force=force)
    if isinstance(taken, Verdict):
        reason = "draining" if taken.status == "stopping" else taken.status  # the contract's word for both
        words = {"reason": reason, "message": taken.why, "error": f"{reason}: {taken.why}"}
        refusal = answer(words, 503)
        refusal.headers["Retry-After"] = "1"
        return refusal
    return _job_answer(taken, 202)


@routes.get("/jobs")
async def jobs(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    wanted, limit = request.query.get("status") or None, number(request, "limit", 100, 1000)
    statuses = sorted(ACTIVE | ENDED)
    if wanted is not None and wanted not in statuses:
        raise BadRequest(f"status must be one of {', '.join(statuses)}{nearest(wanted, statuses)}")
    found = [j for j in reversed(request.app[SUPERVISOR].state.jobs.values()) if wanted in (None, j.status)]
    return answer({"jobs": [asdict(job) for job in found[: int(limit)]]})


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
    ended = not found.active
    supervisor.end_job(found.id)  # one that comes too late is recorded
    if ended:
        return error(409, f"the job has ended: {found.status}, {found.reason}")
    return _job_answer(found, 202)


@routes.post("/jobs/{id}/pin")
async def pin_job(request: web.Request) -> web.Response:
    """Leave a job on its generation when newer code is promoted."""
    return await _pin(request, True)


@routes.delete("/jobs/{id}/pin")
async def unpin_job(request: web.Request) -> web.Response:
    """Let a job move to newer code again."""
    return await _pin(request, False)


async def _pin(request: web.Request, pinned: bool) -> web.Response:
    await no_fields(request)
    supervisor = request.app[SUPERVISOR]
    found = supervisor.state.jobs.get(request.match_info["id"])
    if found is None:
        return error(404, "no such job")
    if not found.active:
        return error(409, f"the job has ended: {found.status}, {found.reason}")
    supervisor.pin_job(found.id, pinned)
    return _job_answer(found, 200)


def _job_answer(found: Job, status: int) -> web.Response:
    return answer(asdict(found), status)


# --- operate ----------------------------------------------------------------------------------------


@routes.post("/drain")
async def drain(request: web.Request) -> web.StreamResponse:
    """Take no new jobs."""
    await no_fields(request)
    request.app[SUPERVISOR].drain("asked by an operator")
    return await worker(request)


@routes.delete("/drain")
async def admit(request: web.Request) -> web.StreamResponse:
    """Take jobs again."""
    await no_fields(request)
    if not request.app[SUPERVISOR].admit():
        return error(409, "the worker is ending")
    return await worker(request)


@routes.post("/reload")
async def reload(request: web.Request) -> web.Response:
    """Load the agent again, beside the running generation."""
    await no_fields(request)
    supervisor = request.app[SUPERVISOR]
    if supervisor.state.worker.stopping:
        return error(409, "the worker is ending")
    return answer({"generation": supervisor.reload(supervisor.state.reload.pending)}, 202)


# --- streams ----------------------------------------------------------------------------------------


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    """A snapshot, then every event."""
    socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_BODY)
    if not socket.can_prepare(request).ok:
        return error(426, "GET /events is a WebSocket")
    await socket.prepare(request)
    subscriber = Subscriber(request.app[SUPERVISOR], socket)
    request.app[SUBSCRIBERS].add(subscriber)
    try:
        await subscriber.serve()
    finally:
        request.app[SUBSCRIBERS].remove(subscriber)
    return socket
