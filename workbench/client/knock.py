"""Is there a worker, and does it let us in? Asked before a screen is opened, without what the screen needs."""

import http.client
import json
import socket
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


def knock(address: Address, token: str | None) -> None:
    """Return when the worker at this address answers.

    Raises:
        ClientError: nobody answers, it is no worker, or it does not let us in.
    """
    connection = _connection(address)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", "/options", headers=headers)
        answer = connection.getresponse()
        body = json.loads(answer.read(1 << 20))
    except OSError as error:
        raise ClientError(f"no answer from {address}: {error.strerror or error}") from None
    except (http.client.HTTPException, ValueError):
        raise ClientError(f"what answers at {address} is no worker") from None
    finally:
        connection.close()
    if answer.status >= 400:
        raise ClientError(f"{address}: {body.get('error') if isinstance(body, dict) else answer.status}", answer.status)
    if not isinstance(body, dict) or "agent_id" not in body:
        raise ClientError(f"what answers at {address} is no worker")


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.path:
        return _UnixConnection(address.path)
    parts = urlsplit(address.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=PATIENCE_S)
