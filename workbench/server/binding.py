"""Taking the TCP port: before anything heavy is imported, for a port that is taken ends the worker at once."""

import contextlib
import errno
import socket

from workbench.model.errors import AddressInUse, UsageError


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        AddressInUse: somebody listens there; names who, as far as this user may know.
        UsageError: the address is not one of this machine's, or is not allowed.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UsageError(f"host {host!r} cannot be resolved: {error.strerror}") from None
    except UnicodeError as error:  # a name that no DNS could hold
        raise UsageError(f"host {host!r} is no host's name: {error}") from None
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"{host}:{port} is in use{_holder(port)}; choose another with --port") from None
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def _holder(port: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    return " by a process of another user"
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
