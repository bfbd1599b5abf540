"""Who may call the registry: by token; without one, only from this machine, and no page of the web."""

import hmac
import time
from collections.abc import Callable

from aiohttp import web

from workbench.model.errors import UsageError
from workbench.model.hosts import LOOPBACK_NAMES
from workbench.server.guard import Guard, error, host_of
from workbench.supervisor.secrets import read_token

OPEN_ROUTES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
TOKEN_S = 1.0  # for which a token that was read from its file is used


class Gate(Guard):
    """The rules. `token` reads the token, or gives None where there is none to bring."""

    def refuse(self, request: web.Request) -> web.Response | None:
        """The refusal of a request, or None when it may pass."""
        given = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in (f"http://{given}".lower(), f"https://{given}".lower()):
            return error(403, "this Origin may not call")
        if request.path in OPEN_ROUTES and request.method in ("GET", "HEAD"):
            return None
        try:
            token = self._token()
        except UsageError as problem:
            refusal = error(503, str(problem))  # whoever is refused for good never comes back
            refusal.headers["Retry-After"] = "1"
            return refusal
        if token is not None:
            return None if brings(request, token) else error(401, "send the registry's token as `Authorization: TOKEN`")
        if not self.loopback:
            return error(
                403,
                f"a registry that can be reached from elsewhere needs a token: {self.host} is no loopback address; "
                "start it with --token-file, or bind it to 127.0.0.1",
            )
        if host_of(given) not in {*LOOPBACK_NAMES, self.host.lower()}:
            return error(421, f"unknown Host {given!r}; use {self.host}")
        return None

    def wrong(self, token: str | None) -> bool:
        """A token that is given, and is not the one."""
        try:
            known = self._token()
        except UsageError:
            return True  # nobody can bring the right one
        return known is not None and token is not None and not same(token, known)


def given_token(request: web.Request) -> str:
    """What the request brings, with the word Bearer or without, as VideoSDK's clients do."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, rest = header.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else header


def brings(request: web.Request, token: str) -> bool:
    """The request brings that token."""
    return same(given_token(request), token)


def same(given: str, token: str) -> bool:
    """Compared in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def token_reader(value: str | None, file: str | None) -> Callable[[], str | None]:
    """Reads the token, from its file anew once a second at most.

    Raises (when called):
        UsageError: the file cannot be read, or holds no token.
    """
    read_at, last = float("-inf"), value

    def read() -> str | None:
        nonlocal read_at, last
        if file is not None and time.monotonic() - read_at > TOKEN_S:
            last = read_token(None, file, "--token-file")
            read_at = time.monotonic()
        return last

    return read
