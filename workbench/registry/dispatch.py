"""The two routes that VideoSDK documents: where the registry is, and a job for an agent."""

from typing import Any

from aiohttp import web

from workbench.client.registry import DISPATCH_PATH
from workbench.model.errors import nearest
from workbench.model.jsontext import dump
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS, cut
from workbench.model.wire import INIT_CONFIG_PATH
from workbench.registry.offers import Refused
from workbench.registry.records import Job
from workbench.registry.service import Service
from workbench.server.guard import error, host_of
from workbench.server.shapes import BadRequest, answer, body_of, given

SERVICE = web.AppKey("service", Service)
PUBLIC_URL = web.AppKey("public_url", str)
MOST_WAIT_S = 3600.0
MOST_BYTES = 32 * 1024  # of metadata, and of a room's options
LONGEST = 200
MOST_NAMED = 5
IGNORED = ("versionId", "versionTag")
FIELDS = ("agentId", "meetingId", "roomId", "metadata", "roomOptions", "token", "wait", *IGNORED)

routes = web.RouteTableDef()


@routes.post(INIT_CONFIG_PATH)
async def init_config(request: web.Request) -> web.Response:
    """Where workers connect to."""
    url = request.app[PUBLIC_URL]
    if not url:
        host = request.headers.get("Host", "")
        if not host_of(host):
            raise BadRequest("the Host header names no host")
        url = f"{'wss' if request.secure else 'ws'}://{host}"
    return answer({"success": True, "data": {"registryUrl": url}})


@routes.post(DISPATCH_PATH)
async def dispatch(request: web.Request) -> web.Response:
    """A job for one of the agent's workers."""
    body, service = await body_of(request, *FIELDS), request.app[SERVICE]
    agent = _name(body, "agentId")
    room = _room(body)
    taken = await service.dispatch(
        agent, room, _wait(body, service.core.desk.limits.queue_timeout_s), metadata=_object(body, "metadata"),
        room_options=_object(body, "roomOptions"), token=_optional(body, "token", 10_000),
    )  # fmt: skip
    if isinstance(taken, Refused):
        more = _known_agents(service, agent) if taken.status == 404 else ""
        refusal = error(taken.status, taken.message + more, message=taken.message)
        if taken.status == 503:
            refusal.headers["Retry-After"] = "1"
        return refusal
    return _outcome(taken, [name for name in IGNORED if body.get(name) is not None])


def _outcome(job: Job, ignored: list[str]) -> web.Response:
    if job.attempts:
        data = {"success": True, "status": "assigned", "roomId": job.room_id, "agentId": job.agent_name,
                "jobId": job.id, "workerId": job.attempts[0].worker_id}  # fmt: skip
        notes = {"note": f"{' and '.join(ignored)} not used: a registry has one version of an agent"} if ignored else {}
        return answer({"message": "Agent dispatch requested successfully.", "data": data, **notes})
    if job.status == "cancelled":
        text = f"the job was cancelled: {job.error}"
        return error(409, text, message=text, jobId=job.id)
    text = job.error or "No workers available"
    return error(404 if text == "No workers registered" else 503, text, message=text, jobId=job.id)


def _known_agents(service: Service, wanted: str) -> str:
    """What somebody needs to know who misspelt an agent's name. `message` stays as VideoSDK documents it."""
    known = sorted(service.core.desk.by_agent)
    shown = ", ".join(known[:MOST_NAMED]) + (f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else "")
    registered = f"registered are workers of {shown}" if known else "no worker is registered at all"
    return f" for agent {cut(wanted, LONGEST)!r}{nearest(wanted, known)}; {registered}"


def _name(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        raise BadRequest(f"{field} must be a text of 1 to {LONGEST} characters")
    return value


def _room(body: dict[str, Any]) -> str:
    names = [body[field] for field in ("meetingId", "roomId") if body.get(field) is not None]
    if not names:
        raise BadRequest("meetingId (or roomId) must be given")
    if not all(isinstance(name, str) and ROOM_ID.fullmatch(name) for name in names):
        raise BadRequest(f"meetingId must be {ROOM_ID_WORDS}")
    if len(set(names)) > 1:
        raise BadRequest("meetingId and roomId are two names of one thing, and differ")
    return str(names[0])


def _object(body: dict[str, Any], field: str) -> dict[str, Any] | None:
    value = body.get(field)
    if value is not None and (not isinstance(value, dict) or len(dump(value)) > MOST_BYTES):
        raise BadRequest(f"{field} must be an object of at most {MOST_BYTES // 1024} KB")
    return value


def _optional(body: dict[str, Any], field: str, most: int) -> str | None:
    value = body.get(field)
    if value is not None and not (isinstance(value, str) and len(value) <= most):
        raise BadRequest(f"{field} must be a text of at most {most} characters")
    return value


def _wait(body: dict[str, Any], default_s: float) -> float | None:
    value = given(body, "wait", False)
    if isinstance(value, bool):
        return default_s if value else None
    if isinstance(value, int | float) and 0 < value <= MOST_WAIT_S:
        return float(value)
    raise BadRequest(f"wait must be true, false, or seconds above 0 and up to {MOST_WAIT_S:g}")
