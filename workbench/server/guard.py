"""Who may call: by Host, Origin and token on TCP; the unix socket's folder is its own guard."""

import hmac
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from workbench.model.errors import UsageError
from workbench.model.hosts import LOOPBACK_NAMES, is_loopback
from workbench.model.jsontext import dump

MAX_BODY = 64 * 1024
OPEN_ROUTES = frozenset({"/livez", "/readyz", "/health", "/worker", "/metrics"})
HOST = re.compile(r"(?:\[([0-9a-f:.%]+)\]|([^:\[\]@/\s]+))(?::\d{1,5})?", re.IGNORECASE)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The rules for TCP; `host` is the bind address, `token` reads the control token (or None)."""

    def __init__(self, host: str, token: Callable[[], str | None]) -> None:
        self.protect(host, token)

    def protect(self, host: str, token: Callable[[], str | None]) -> None:
        """Use these from now on: the agent's file may name another address than the other layers."""
        self.host, self._token = host, token
        self.loopback = is_loopback(host)

    def refuse(self, request: web.Request) -> web.Response | None:
        """The refusal of a request, or None when it may pass."""
        if _by_socket(request):
            return None  # the socket's private folder is its guard
        given = request.headers.get("Host", "")
        if not self._known(host_of(given)):
            return error(421, f"unknown Host {given!r}; use {self.host}")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in (f"http://{given}".lower(), f"https://{given}".lower()):
            return error(403, "this Origin may not call")
        if request.path in OPEN_ROUTES and request.method in ("GET", "HEAD"):
            return None
        if self.loopback:
            return None  # who is on this machine may; Host and Origin keep web pages out
        try:
            token = self._token()
        except UsageError as problem:
            return error(403, str(problem))
        return self._check_token(request, token)

    def trusts(self, request: web.Request) -> bool:
        """It came over the unix socket or brought the right token: not whoever is on this machine may send it."""
        if _by_socket(request):
            return True
        try:
            token = self._token()
        except UsageError:
            return False
        return token is not None and _brings(request, token)

    def _known(self, host: str) -> bool:
        """A name that only leads here: a page of the web cannot have its own name resolve to this worker."""
        configured = self.host.lower().rstrip(".")
        wildcard = configured in ("0.0.0.0", "::")
        return host in LOOPBACK_NAMES or host == configured or (wildcard and _is_address(host))

    def _check_token(self, request: web.Request, token: str | None) -> web.Response | None:
        if token is None:
            return error(
                403,
                f"control from another address than loopback needs a token: {self.host} is no loopback address; "
                "start the worker with --control-token-file, or bind to 127.0.0.1",
            )
        if _brings(request, token):
            return None
        return error(401, "send the control token as `Authorization: Bearer TOKEN`")


def _by_socket(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.get_extra_info("socket").family == socket.AF_UNIX


def _brings(request: web.Request, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return scheme.lower() == "bearer" and same


def error(status: int, text: str, **more: object) -> web.Response:
    """An error in the contract's shape."""
    return web.json_response({"error": text, **more}, status=status, dumps=dump)


def host_of(header: str) -> str:
    """The name or address in a Host header, without port and brackets; empty when it is no such header."""
    match = HOST.fullmatch(header)
    return (match[1] or match[2]).lower().rstrip(".") if match else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
