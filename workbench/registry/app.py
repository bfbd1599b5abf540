"""The routes of the registry. Handlers read the state, call the service, and shape answers; they decide nothing."""

from typing import Any

from aiohttp import web

from workbench.model.errors import nearest
from workbench.model.text import plural
from workbench.model.wire import AGENT_PATH
from workbench.registry import dispatch, stream
from workbench.registry.dispatch import PUBLIC_URL, SERVICE
from workbench.registry.gate import Gate
from workbench.registry.link import take_link
from workbench.registry.metrics import Metrics
from workbench.registry.records import STATUSES
from workbench.registry.service import Service
from workbench.server.guard import MAX_BODY, error
from workbench.server.shapes import GUARD, NOTE, BadRequest, answer, no_fields, number, outermost

METRICS = web.AppKey("metrics", Metrics)

routes = web.RouteTableDef()


def make_app(service: Service, gate: Gate, public_url: str = "") -> web.Application:
    """The one application."""
    app = web.Application(middlewares=[outermost], client_max_size=MAX_BODY)
    app[SERVICE], app[GUARD], app[NOTE], app[PUBLIC_URL] = service, gate, service.note, public_url
    app[METRICS] = Metrics(service)
    for table in (routes, dispatch.routes, stream.routes):
        app.add_routes(table)
    return app


@routes.get(AGENT_PATH)
async def agent(request: web.Request) -> web.StreamResponse:
    """A worker's link."""
    return await take_link(request, request.app[SERVICE])


# --- health and figures -----------------------------------------------------------------------------


def _health(request: web.Request, ready: bool) -> web.Response:
    service = request.app[SERVICE]
    desk, up = service.core.desk, not service.ending
    connected = sum(worker.link is not None for worker in desk.workers.values())
    checks = {
        "loop": {"ok": True, "detail": "turns"},
        "workers": {"ok": True, "detail": f"{connected} connected of {len(desk.workers)}"},
        "queue": {"ok": desk.queued < desk.limits.queue_size, "detail": f"{plural(desk.queued, 'job')} queued"},
        "admission": {"ok": up, "detail": "takes jobs" if up else "the registry is ending"},
    }
    status = "ok" if up else "ending"
    return answer({"status": status, "checks": checks, "registry": service.about()["version"]}, 200 if ready else 503)


@routes.get("/livez")
async def livez(request: web.Request) -> web.Response:
    """Restart me if this fails."""
    return _health(request, True)


@routes.get("/readyz")
@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """It takes jobs and workers."""
    return _health(request, not request.app[SERVICE].ending)


@routes.get("/stats")
async def stats(request: web.Request) -> web.Response:
    """The whole state."""
    return answer(request.app[SERVICE].stats())


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    page = request.app[METRICS].text()
    return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


# --- workers ----------------------------------------------------------------------------------------


@routes.get("/workers")
async def workers(request: web.Request) -> web.Response:
    """All that are registered, and those that may come back."""
    return answer({"workers": [worker.to_json() for worker in request.app[SERVICE].core.desk.workers.values()]})


@routes.post("/workers/{id}/drain")
async def drain(request: web.Request) -> web.Response:
    """Offer a worker nothing more."""
    return await _drain(request, True)


@routes.delete("/workers/{id}/drain")
async def admit(request: web.Request) -> web.Response:
    """Offer a worker something again."""
    return await _drain(request, False)


async def _drain(request: web.Request, on: bool) -> web.Response:
    await no_fields(request)
    worker = request.app[SERVICE].drain(request.match_info["id"], on)
    return error(404, "no such worker") if worker is None else answer(worker)


# --- jobs -------------------------------------------------------------------------------------------


@routes.get("/jobs")
async def jobs(request: web.Request) -> web.Response:
    """Jobs, newest first."""
    wanted, limit = request.query.get("status") or None, number(request, "limit", 100, 10_000)
    agent_name = request.query.get("agent") or None
    if wanted is not None and wanted not in STATUSES:
        raise BadRequest(f"status must be one of {', '.join(STATUSES)}{nearest(wanted, STATUSES)}")
    desk = request.app[SERVICE].core.desk
    found: list[dict[str, Any]] = []
    for job in reversed(desk.jobs.values()):
        if len(found) >= limit:
            break
        if wanted in (None, job.status) and agent_name in (None, job.agent_name):
            found.append(job.to_json())
    return answer({"jobs": found, "forgotten": desk.forgotten})


@routes.get("/jobs/{id}")
async def job(request: web.Request) -> web.Response:
    """One job."""
    desk = request.app[SERVICE].core.desk
    found = desk.jobs.get(request.match_info["id"])
    if found is not None:
        return answer(found.to_json())
    older = f"; {desk.forgotten} older ones that have ended are not kept" if desk.forgotten else ""
    return error(404, f"no such job{older}")


@routes.delete("/jobs/{id}")
async def end_job(request: web.Request) -> web.Response:
    """Ask a job to end."""
    service = request.app[SERVICE]
    found = service.core.desk.jobs.get(request.match_info["id"])
    if found is None:
        return error(404, "no such job")
    refused = service.end_job(found)
    return answer(found.to_json(), 202) if refused is None else error(409, refused)
