"""The routes of the registry link: register, and stop taking jobs from there."""

from dataclasses import asdict

from aiohttp import web

from workbench.model.errors import WorkbenchError
from workbench.server.guard import error
from workbench.server.shapes import SUPERVISOR, answer, no_fields

routes = web.RouteTableDef()


@routes.get("/link")
async def link(request: web.Request) -> web.Response:
    """How it stands."""
    return answer(asdict(request.app[SUPERVISOR].state.link))


@routes.post("/link")
async def connect(request: web.Request) -> web.Response:
    """Register; at once, if the link waits or has given up."""
    await no_fields(request)
    supervisor = request.app[SUPERVISOR]
    if supervisor.link is None or supervisor.ending:
        return error(409, "the worker is ending")
    try:
        supervisor.link.connect()
    except WorkbenchError as problem:
        return error(409, str(problem))
    return answer(asdict(supervisor.state.link), 202)


@routes.delete("/link")
async def disconnect(request: web.Request) -> web.Response:
    """Take no jobs from there any more; those that run go on."""
    await no_fields(request)
    supervisor = request.app[SUPERVISOR]
    if supervisor.link is not None:
        supervisor.link.disconnect()
    return answer(asdict(supervisor.state.link))
