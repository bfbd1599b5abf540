"""The routes of the options: the table, live changes for good or for a time, and taking them back."""

import math

from aiohttp import web

from workbench.model.durations import DAY_S
from workbench.model.errors import WorkbenchError
from workbench.model.options import FIELDS, meta
from workbench.server.guard import error
from workbench.server.shapes import SUPERVISOR, BadRequest, answer, body_of, no_fields, seconds
from workbench.supervisor.live import NotLive

routes = web.RouteTableDef()


@routes.get("/options")
async def options(request: web.Request) -> web.Response:
    """Every option with its origin."""
    return answer(request.app[SUPERVISOR].state.options)


@routes.patch("/options")
async def set_options(request: web.Request) -> web.Response:
    """Change options live, all or none; with `for_s` only for so long."""
    supervisor, body, for_s = request.app[SUPERVISOR], await body_of(request), seconds(request, "for_s", DAY_S)
    fixed = [name for name in body if name in FIELDS and meta(name)["effect"] == "restart"]
    if fixed:
        return error(409, f"needs a restart: {', '.join(sorted(fixed))}", options=sorted(fixed))
    if body.get("load_threshold", "") in (None, "inf"):
        body["load_threshold"] = math.inf  # JSON has no number for it; answers show it as null
    try:
        supervisor.set_live(body, for_s=for_s)
    except WorkbenchError as problem:
        raise BadRequest(str(problem)) from None
    return answer(supervisor.state.options)


@routes.delete("/options/{names}")
async def take_back_options(request: web.Request) -> web.Response:
    """Take live changes back; several, with commas between their names, all or none."""
    await no_fields(request)
    supervisor = request.app[SUPERVISOR]
    try:
        supervisor.take_back(request.match_info["names"].split(","))
    except NotLive as problem:
        return error(404, str(problem))
    except WorkbenchError as problem:
        raise BadRequest(str(problem)) from None
    return answer(supervisor.state.options)
