"""Requests to whoever listens at an address: JSON out, JSON back, and an error in words for all that goes wrong.

aiohttp is imported when the first connection is made: it costs as much as painting the first screen.
"""

import json
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from workbench.client.address import Address
from workbench.model.errors import WorkbenchError

if TYPE_CHECKING:
    import aiohttp


class ClientError(WorkbenchError):
    """The supervisor refused, or cannot be reached. `status` is 0 when there was no answer."""

    def __init__(self, text: str, status: int = 0, body: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.body = body or {}


class Calls:
    """A connection, as long as the context lasts. `WHAT` is who is expected to answer."""

    WHAT: ClassVar[str] = "worker"

    def __init__(self, address: Address, token: str | None = None) -> None:
        self.address = address
        self._token = token
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        # No bound on connections: each joined room holds one, and orders must not wait for them.
        by_socket = self.address.path
        connector = aiohttp.UnixConnector(by_socket, limit=0) if by_socket else aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        base = self.address.url or "http://localhost"
        self._http = aiohttp.ClientSession(base, connector=connector, headers=headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def _session(self) -> "aiohttp.ClientSession":
        if self._http is None:
            raise ClientError("not connected")
        return self._http

    async def request(self, method: str, path: str, body: Any = None, timeout_s: float = 15.0) -> Any:
        """One request; the JSON (or text) of the answer.

        Raises:
            ClientError: no answer, or one of 400 and above.
        """
        import aiohttp

        try:
            limit = aiohttp.ClientTimeout(total=timeout_s)
            async with self._session.request(method, path, json=body, timeout=limit) as answer:
                raw = await answer.text()
                content = json.loads(raw) if answer.content_type == "application/json" else raw
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ClientError(f"no answer from {self.address}: {why(error, self.WHAT)}") from error
        if answer.status >= 400:
            known = content if isinstance(content, dict) else {}
            text = known.get("message") or known.get("error") or str(content)[:200]
            raise ClientError(text, answer.status, known)
        return content


def why(error: BaseException, what: str) -> str:
    """Why there was no answer, without what only a programmer of the HTTP library can read."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"status {error.status}"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no {what}"
    return str(error) or type(error).__name__
