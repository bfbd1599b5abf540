"""The SDK's WebSocket transport on an address of the job's own.

The SDK listens on every address of the machine, without asking who comes, on the one port that the file names: a
second job would find it taken. Here each job listens on the loopback address, on a port that is free.
"""

from typing import Any

from workbench.agent.sdk.names import look_up

HOST = "127.0.0.1"
CLOSE_S = 1.0  # for a client to answer that the connection is to be closed; the SDK would wait for 10 s


def install() -> None:
    """From now on, this process's WebSocket transports, and those of its forks, listen so."""
    look_up("websockets", "serve")  # imported when it is first asked for: once here, and not in each job
    handler = look_up("videosdk.agents.transports.websocket_handler", "WebSocketTransportHandler")
    handler.connect = _connect
    if not hasattr(handler, "leave"):  # the SDK's shutdown calls it on every transport, and logs an error without
        handler.leave = handler.disconnect


async def _connect(self: Any) -> None:
    import websockets

    self.server = await websockets.serve(self._handle_connection, HOST, 0, close_timeout=CLOSE_S)
    self.port = port_of(self)


def port_of(handler: Any) -> int | None:
    """Where it listens; None where it does not, or is another kind of transport."""
    server = getattr(handler, "server", None)
    return int(server.sockets[0].getsockname()[1]) if server is not None and server.sockets else None


def admit_guest(handler: Any) -> bool:
    """Count somebody who types as the participant whom the agent waits for; False where that is not possible."""
    joined = getattr(handler, "_participant_joined_event", None)
    if joined is not None:
        joined.set()
    return joined is not None
