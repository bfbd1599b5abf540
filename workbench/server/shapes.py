"""The shape of every request and answer: JSON objects in, JSON out, and an error in words for all that is wrong."""

import asyncio
import os
import traceback
from collections.abc import Callable
from typing import Any

from aiohttp import web

from workbench.model.jsontext import dump, parse
from workbench.model.text import cut
from workbench.server.guard import MAX_BODY, Guard, Handler, error
from workbench.supervisor.worker import Supervisor

SUPERVISOR = web.AppKey("supervisor", Supervisor)
GUARD = web.AppKey("guard", Guard)
NOTE: "web.AppKey[Callable[[str, str], None]]" = web.AppKey("note")  # takes a level and a text for the log
LONGEST_NAME = 128


class BadRequest(Exception):
    """What is wrong with a request, in words for its sender."""


@web.middleware
async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask the guard, then the route; whatever goes wrong is answered in the contract's shape."""
    try:
        refusal = request.app[GUARD].refuse(request)
        return await handler(request) if refusal is None else refusal
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        return _http_error(request, problem)
    except BadRequest as problem:
        return error(400, str(problem))
    except web.RequestPayloadError:
        return error(400, "the body cannot be read: it is not what its headers say")
    except (ConnectionError, asyncio.CancelledError):
        raise  # the client has gone
    except Exception as bug:
        return _bug(request, bug)


@web.middleware
async def masked(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let no secret pass, whatever route or error made the answer."""
    response = await handler(request)
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        mask, text = request.app[SUPERVISOR].logs.mask, response.body.decode()
        hidden = mask.json(text) if response.content_type == "application/json" else mask.text(text)
        if hidden is not text:
            response.body = hidden.encode()
    return response


def answer(body: Any, status: int = 200) -> web.Response:
    """JSON that everybody can read."""
    return web.json_response(body, status=status, dumps=dump)


async def body_of(request: web.Request, *known: str) -> dict[str, Any]:
    """The request's JSON object; empty without a body.

    Args:
        known: the fields it may have; none given lets every field pass.

    Raises:
        BadRequest: it is something else.
    """
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json")
    try:
        body = parse(raw)
    except ValueError as problem:
        raise BadRequest(f"the body is not JSON: {problem}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    unknown = sorted(set(body) - set(known)) if known else []
    if unknown:
        raise BadRequest(f"unknown field {cut(unknown[0], LONGEST_NAME)!r}; known are {', '.join(known)}")
    return body


async def no_fields(request: web.Request) -> None:
    """A route that takes nothing: no body, or an empty object."""
    if await body_of(request):
        raise BadRequest(f"{request.method} {request.path} takes no fields")


def given(body: dict[str, Any], name: str, default: Any) -> Any:
    """A field of the body; null stands for one that is not given."""
    value = body.get(name)
    return default if value is None else value


def number(request: web.Request, name: str, default: float, most: float) -> float:
    """A number of the query, from 0 to `most`."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise BadRequest(f"{name} must be a number from 0 to {most:g}")
    return value


def seconds(request: web.Request, name: str, most: float) -> float | None:
    """A span of time of the query, above 0 and up to `most`; None when it is not given."""
    value = number(request, name, 0.0, most)
    if value <= 0 and name in request.query:
        raise BadRequest(f"{name} must be a number above 0 and up to {most:g}")
    return value if name in request.query else None


def _http_error(request: web.Request, problem: web.HTTPException) -> web.Response:
    """An error of aiohttp's own in the contract's shape."""
    where = f"{request.method} {request.path}"
    if isinstance(problem, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(problem.allowed_methods))
        refusal = error(405, f"{where}: this route takes {allowed}")
        refusal.headers["Allow"] = allowed
        return refusal
    if isinstance(problem, web.HTTPNotFound):
        return error(404, f"no such route: {where}")
    if isinstance(problem, web.HTTPRequestEntityTooLarge):
        return error(413, f"the body is larger than {MAX_BODY // 1024} KB")
    return error(problem.status, problem.text or problem.reason)


def _bug(request: web.Request, bug: Exception) -> web.Response:
    where = traceback.extract_tb(bug.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    text = f"a bug of ours: {request.method} {request.path}: {type(bug).__name__}: {bug} ({place})"
    request.app[NOTE]("ERROR", text)
    return error(500, text)
