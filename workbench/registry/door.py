"""The registry's listener: opened over a bound socket, closed before the workers are told to leave."""

import resource
import socket
import ssl

from aiohttp import web

from workbench.model.errors import UsageError
from workbench.registry.app import make_app
from workbench.registry.gate import Gate
from workbench.registry.service import Service

BACKLOG = 1024  # workers that connect at once: all of them, after a restart
SHUTDOWN_S = 0.5
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class Door:
    """The TCP listener of one registry."""

    def __init__(self, service: Service, gate: Gate, tls: ssl.SSLContext | None, public_url: str = "") -> None:
        # A dispatch that nobody waits for any more is taken back.
        self._runner = web.AppRunner(
            make_app(service, gate, public_url), access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True
        )
        self._service, self._tls = service, tls
        self._site: web.SockSite | None = None

    async def open(self, sock: socket.socket) -> str:
        """Listen; the URL."""
        await self._runner.setup()
        self._site = web.SockSite(self._runner, sock, ssl_context=self._tls, backlog=BACKLOG)
        await self._site.start()
        host, port = sock.getsockname()[:2]
        scheme = "https" if self._tls is not None else "http"
        self._service.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        return self._service.url

    async def close(self) -> None:
        """Nobody can connect any more; then the workers are told, and what still lingers is cut.

        A worker that is told first is back before the listener is gone, and then waits for an answer for minutes.
        """
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        await self._service.end()
        await self._runner.cleanup()


def tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """For `--tls-cert` and `--tls-key`.

    Raises:
        UsageError: only one of them, or files that cannot be used.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UsageError("--tls-cert and --tls-key belong together; give both")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def no_terminal() -> str:
        raise UsageError(f"--tls-key {key}: it is encrypted; give one without a pass phrase, readable by you alone")

    try:
        context.load_cert_chain(cert, key, password=no_terminal)
    except ssl.SSLError as error:
        raise UsageError(f"--tls-cert {cert}, --tls-key {key}: {error.reason or error}; give PEM files") from None
    except OSError as error:
        raise UsageError(f"--tls-cert {cert}, --tls-key {key}: {error.strerror}") from None
    return context


def workers_url(given: str | None) -> str:
    """What workers are told to connect to, from `--public-url`; empty: the host they asked.

    Raises:
        UsageError: no such URL.
    """
    if given is None:
        return ""
    scheme, _, rest = given.rstrip("/").partition("://")
    if scheme not in SCHEMES or not rest or not rest.isprintable() or " " in rest or "@" in rest:
        raise UsageError(f"--public-url {given!r} must be https://host[:port], or http://, ws:// or wss://")
    return f"{SCHEMES[scheme]}://{rest}"


def allow_many_files() -> None:
    """Every worker is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
