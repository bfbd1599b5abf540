"""Who may call: by Host, Origin and token on TCP; the unix socket's folder is its own guard."""

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from workbench.model.errors import UsageError

MAX_BODY = 64 * 1024
OPEN_ROUTES = frozenset({"/livez", "/readyz", "/health", "/worker", "/metrics"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})

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
        transport = request.transport
        if transport is None or transport.get_extra_info("socket").family == socket.AF_UNIX:
            return None  # the socket's private folder is its guard
        host = _host_of(request.headers.get("Host", ""))
        wildcard = self.host in ("0.0.0.0", "::")
        if not (host in LOOPBACK_NAMES or host == self.host.lower() or (wildcard and _is_address(host))):
            return error(421, f"unknown Host {host!r}; use {self.host}")
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host", ""):
            return error(403, "this Origin may not call")
        if request.path in OPEN_ROUTES and request.method == "GET":
            return None
        return None if self.loopback and self._token() is None else self._check_token(request)

    def _check_token(self, request: web.Request) -> web.Response | None:
        token = self._token()
        if token is None:
            return error(
                403,
                f"control from another address than loopback needs a token: {self.host} is no loopback address; "
                "start the worker with --control-token-file, or bind to 127.0.0.1",
            )
        given = request.headers.get("Authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return None
        return error(401, "send the control token as `Authorization: Bearer TOKEN`")


def is_loopback(host: str) -> bool:
    """The address reaches this machine only."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def error(status: int, text: str, **more: object) -> web.Response:
    """An error in the contract's shape."""
    return web.json_response({"error": text, **more}, status=status)


def read_token(value: str | None, file: str | None) -> str | None:
    """A token given as it is, or by a file that is read now.

    Raises:
        UsageError: the file cannot be read or is empty.
    """
    if file is None:
        return value
    try:
        with open(file, encoding="utf-8") as handle:
            text = handle.read(10_000).strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"control_token_file {file}: {problem}") from None
    if not text:
        raise UsageError(f"control_token_file {file} is empty")
    return text


def _host_of(header: str) -> str:
    host = header.lower().rstrip(".")
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
