"""Is there a worker or a registry, and does it let us in? Asked before a screen opens, without what that needs."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from workbench.client.address import Address
from workbench.client.client import ClientError

PATIENCE_S = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


def is_registry(address: Address) -> bool:
    """Whether a registry answers at this address; no token is told to whoever it is.

    Raises:
        ClientError: nobody answers.
    """
    if address.path:
        return False
    _, body = _get(address, "/health", None, "worker")
    return isinstance(body, dict) and isinstance(body.get("registry"), str)


def knock_registry(address: Address, token: str | None) -> None:
    """Return when the registry at this address lets us in.

    Raises:
        ClientError: it does not, or nobody answers.
    """
    status, body = _get(address, "/jobs?limit=1", token, "registry")
    if status in (401, 403):
        words = body.get("error") if isinstance(body, dict) else status
        cure = "set WORKBENCH_REGISTRY_TOKEN, or name a --control-token-file"
        raise ClientError(f"{address} does not let us in: {words}; {cure}", status)
    _refused(address, status, body)


def knock(address: Address, token: str | None) -> None:
    """Return when the worker at this address answers.

    Raises:
        ClientError: nobody answers, it is no worker, or it does not let us in.
    """
    status, body = _get(address, "/options", token, "worker")
    _refused(address, status, body)
    if not isinstance(body, dict) or "agent_id" not in body:
        raise ClientError(f"what answers at {address} is no worker")


def _refused(address: Address, status: int, body: Any) -> None:
    if status >= 400:
        raise ClientError(f"{address}: {body.get('error') if isinstance(body, dict) else status}", status)


def _get(address: Address, path: str, token: str | None, what: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    connection = _connection(address)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read(1 << 20))
    except OSError as error:
        raise ClientError(f"no answer from {address}: {error.strerror or error}") from None
    except (http.client.HTTPException, ValueError):
        raise ClientError(f"what answers at {address} is no {what}") from None
    finally:
        connection.close()


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.path:
        return _UnixConnection(address.path)
    parts = urlsplit(address.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=PATIENCE_S)
