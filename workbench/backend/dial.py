"""One try to reach a registry: ask the API where it is, open the WebSocket, register."""

import asyncio
import json
import os
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from workbench.backend.trouble import LinkTrouble, by_status
from workbench.model import wire
from workbench.model.hosts import is_loopback, shown
from workbench.model.text import cut

CONNECT_S = 10.0  # for each of: the answer of the API, the upgrade to a WebSocket, the answer to `register`
CLOSE_S = 1.0
MOST_ANSWER = 64 * 1024


class Registry(NamedTuple):
    """Whom to call: `url` as the user gave it; `rereads_token`: the token comes from a file."""

    url: str
    token: str | None
    rereads_token: bool


class Line(NamedTuple):
    """A registered connection."""

    socket: aiohttp.ClientWebSocketResponse
    worker_id: str


async def dial(http: aiohttp.ClientSession, registry: Registry, register: wire.Register) -> Line:
    """Reach the registry and register.

    Raises:
        LinkTrouble: not this time.
        RegistryRefused: never, as things are.
    """
    try:
        where = await _where(http, registry)
        socket = await _open(http, where, registry)
    except aiohttp.ClientConnectorCertificateError as error:
        raise LinkTrouble(f"{shown(registry.url)}: {error.certificate_error}; name its CA in SSL_CERT_FILE") from None
    except (aiohttp.ClientError, ValueError) as error:  # the latter of an address that cannot be one
        raise LinkTrouble(f"{shown(registry.url)}: {_words(error)}") from None
    except TimeoutError:
        raise LinkTrouble(f"{shown(registry.url)} did not answer within {CONNECT_S:g} s") from None
    try:
        async with asyncio.timeout(CONNECT_S):
            await socket.send_str(register.text())
            return Line(socket, await _registered(socket, register))
    except TimeoutError:
        await socket.close()
        raise LinkTrouble(f"{shown(where)} did not answer to `register` within {CONNECT_S:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        await socket.close()
        raise LinkTrouble(f"{shown(where)}: {_words(error)}") from None
    except BaseException:
        await socket.close()
        raise


def session(*, loopback: bool) -> aiohttp.ClientSession:
    """Connections for a link. Redirects are not followed; proxies of the environment hold, but not on this machine."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_no_redirect)
    return aiohttp.ClientSession(trust_env=not loopback, trace_configs=[trace])


async def _no_redirect(_: aiohttp.ClientSession, __: SimpleNamespace, params: Any) -> None:
    """A redirect would carry the token to wherever it points."""
    raise LinkTrouble(f"{shown(str(params.url))} redirects elsewhere, which is not followed; set registry_url to that")


async def _where(http: aiohttp.ClientSession, registry: Registry) -> str:
    """The registry's own address: the given one, or what the API at it says."""
    if registry.url.startswith(("ws://", "wss://")):
        return registry.url
    url = registry.url.rstrip("/") + wire.INIT_CONFIG_PATH
    headers = {"Authorization": registry.token} if registry.token else {}
    limit = aiohttp.ClientTimeout(total=CONNECT_S)
    async with http.post(_address(url, registry), headers=headers, timeout=limit) as answer:
        if answer.status != 200:
            raise by_status(answer.status, shown(url), registry.rereads_token)
        found = _registry_url(await _read(answer))
    if not found.startswith(("ws://", "wss://")):
        raise LinkTrouble(f"{shown(url)} names no ws:// or wss:// address")
    host = urlsplit(found).hostname or ""
    if found.startswith("ws://") and registry.url.startswith("https://") and not is_loopback(host):
        plain = f"{shown(url)} names {shown(found)}, where the token would travel in clear"
        raise LinkTrouble(f"{plain}; if that is meant, set registry_url to it")
    return found


def _address(url: str, registry: Registry) -> URL:
    """Without a user's name where a token is brought: there is one header for both."""
    return URL(url).with_user(None) if registry.token else URL(url)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    raw = b""
    async for piece in answer.content.iter_chunked(8192):
        raw += piece
        if len(raw) > MOST_ANSWER:
            raise LinkTrouble(f"the API's answer is larger than {MOST_ANSWER // 1024} KB")
    return raw


def _registry_url(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["data"]["registryUrl"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LinkTrouble("the API's answer names no registry") from None


async def _open(http: aiohttp.ClientSession, where: str, registry: Registry) -> aiohttp.ClientWebSocketResponse:
    base = where.rstrip("/")
    url = base if base.endswith(wire.AGENT_PATH) else base + wire.AGENT_PATH
    headers = {"Authorization": f"Bearer {registry.token}"} if registry.token else {}
    try:
        async with asyncio.timeout(CONNECT_S):
            return await http.ws_connect(
                _address(url, registry), headers=headers, autoping=False, max_msg_size=wire.MOST_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            )  # fmt: skip
    except aiohttp.WSServerHandshakeError as error:
        raise by_status(error.status, shown(url), registry.rereads_token) from None


async def _registered(socket: aiohttp.ClientWebSocketResponse, register: wire.Register) -> str:
    """What the registry calls this worker, by its first message."""
    while True:
        frame = await socket.receive()
        if frame.type is aiohttp.WSMsgType.PING:
            await socket.pong(frame.data)
        elif frame.type is not aiohttp.WSMsgType.PONG:
            break
    if frame.type is not aiohttp.WSMsgType.TEXT:
        raise LinkTrouble(closed_words(socket, frame), wait_of(socket, frame))
    try:
        answer = wire.read(frame.data, {"register": wire.Registered})
    except wire.Malformed as wrong:
        raise LinkTrouble(f"the registry's answer to `register` cannot be read: {wrong}") from None
    if answer is None or not answer.success:
        why = answer.message if answer is not None and answer.message else "it does not say why"
        raise LinkTrouble(f"the registry does not register this worker: {cut(why, 200)}")
    return answer.worker_id or register.worker_id


def closed_words(socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> str:
    """Why a connection ended."""
    code, reason = _close_of(socket, frame)
    known = {wire.RESTARTING: "the registry restarts", wire.TOO_BUSY: "the registry is too busy"}
    if frame.type is aiohttp.WSMsgType.ERROR:
        return f"the connection broke: {_words(socket.exception() or frame.data)}"
    if code is None or code in (1000, 1006):
        return "the registry closed the connection"
    return known.get(code, f"the registry closed the connection ({code}{': ' + cut(reason, 120) if reason else ''})")


def wait_of(socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> float:
    """The seconds that the registry asked to wait: the reason `retry_after_s=5` of a close."""
    _, reason = _close_of(socket, frame)
    name, _, value = reason.partition("=")
    try:
        return min(300.0, max(0.0, float(value))) if name == "retry_after_s" else 0.0
    except ValueError:
        return 0.0


def _close_of(socket: aiohttp.ClientWebSocketResponse, frame: aiohttp.WSMessage) -> tuple[int | None, str]:
    reason = frame.extra if frame.type is aiohttp.WSMsgType.CLOSE and isinstance(frame.extra, str) else ""
    return socket.close_code, reason


def _words(error: Any) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address is known for {error.host}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS: {getattr(error.os_error, 'reason', None) or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__
