"""The routes of one process: everything about it, its stack, and its end."""

from aiohttp import web

from workbench.server.guard import error
from workbench.server.shapes import GUARD, SUPERVISOR, answer, no_fields
from workbench.supervisor.stacks import NoStack

UNKNOWN = "no such process of this worker"
KEPT = "only over the worker's socket, or with its control token"

routes = web.RouteTableDef()


@routes.get("/processes/{pid}")
async def process(request: web.Request) -> web.Response:
    """Everything about a process, also one of the last that have ended."""
    pid = _pid(request)
    found = await request.app[SUPERVISOR].details.of(pid) if pid else None
    if found is None:
        return error(404, UNKNOWN)
    # The kernel shows the environment of a process to its user only; TCP on this machine is open to all of them.
    kept = found["environment"] is not None and not request.app[GUARD].trusts(request)
    return answer({**found, "environment_why": KEPT, "environment": None} if kept else {**found, "environment_why": ""})


@routes.post("/processes/{pid}/stack")
async def stack(request: web.Request) -> web.Response:
    """Where it stands now."""
    await no_fields(request)
    pid = _pid(request)
    try:
        found = await request.app[SUPERVISOR].details.stack(pid) if pid else None
    except NoStack as why:
        return error(504 if why.late else 409, str(why))
    return error(404, UNKNOWN) if found is None else answer(found)


@routes.delete("/processes/{pid}")
async def kill_process(request: web.Request) -> web.Response:
    """Kill a process and everything below it."""
    pid = _pid(request)
    if not pid or not request.app[SUPERVISOR].kill_process(pid):
        return error(404, UNKNOWN)
    return answer({"pid": pid}, 202)


def _pid(request: web.Request) -> int:
    """The pid in the path; 0 for what is none."""
    text = request.match_info["pid"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else 0
