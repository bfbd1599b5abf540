"""The channel to the supervisor, as a job's process has it."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from workbench.process import lifeline, wire

HIGH_WATER = 1 << 20


class Channel:
    """The child's end of its channel: posts never block, reads happen on the loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._out = bytearray()
        self._decoder = wire.Decoder()
        self._writable, self._empty = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._empty.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0  # the loop's

    def open(self, handle: Callable[[dict[str, Any]], None]) -> None:
        """Read on the running loop."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._loop.add_reader(self._sock.fileno(), self._read, handle)

    def post(self, frame: dict[str, Any]) -> None:
        """Send a frame as soon as the supervisor takes it. Any thread may: an agent reports from where it works."""
        data = wire.encode(frame)
        if threading.get_ident() == self._thread or self._loop is None:
            self._send(data)
        else:
            self._loop.call_soon_threadsafe(self._send, data)

    async def drained(self) -> None:
        """Wait while more than a megabyte waits to be sent."""
        await self._writable.wait()

    async def sent(self) -> None:
        """Wait until all that was posted is in the kernel's hands: it arrives even if this process dies now."""
        await self._empty.wait()

    def finish(self) -> None:
        """Send everything that waits, blocking."""
        self._sock.setblocking(True)
        self._sock.sendall(self._out)
        self._out.clear()

    def _send(self, data: bytes) -> None:
        self._out += data
        self._flush()

    def _flush(self) -> None:
        assert self._loop is not None
        while self._out:
            try:
                sent = self._sock.send(self._out)
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                break
            del self._out[:sent]
        else:
            self._loop.remove_writer(self._sock.fileno())
        (self._writable.clear if len(self._out) > HIGH_WATER else self._writable.set)()
        (self._empty.clear if self._out else self._empty.set)()

    def _read(self, handle: Callable[[dict[str, Any]], None]) -> None:
        try:
            data = self._sock.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            lifeline.end_group()  # the supervisor is gone
        for message in self._decoder.feed(data):
            handle(message)
