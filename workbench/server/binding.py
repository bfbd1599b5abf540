"""Taking the TCP port: before anything heavy is imported, for a port that is taken ends the worker at once."""

import contextlib
import errno
import socket
from typing import Any

from workbench.model.errors import AddressInUse, UsageError

ANY = ("0.0.0.0", "::")
CURES = {
    errno.EACCES: "; low ports are for root only: choose another with --port",
    errno.EADDRNOTAVAIL: "; give an address of this machine with --host",
    errno.EAFNOSUPPORT: "; this machine has no IPv6: give another address with --host",
}


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises:
        AddressInUse: somebody listens there; names who, as far as this user may know.
        UsageError: the address is not one of this machine's, or is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"host {host!r} cannot be resolved: {error.strerror}; choose another with --host") from None
    except UnicodeError as error:  # a name that no DNS could hold
        raise UsageError(f"host {host!r} is no host's name: {error}") from None
    family, _, _, _, address = found[0]
    name = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    try:
        return _listen(family, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = _holder(str(address[0]), port)
            raise AddressInUse(f"{name} is in use{holder}; choose another with --port") from None
        cure = CURES.get(error.errno or 0, "")
        raise UsageError(f"cannot listen on {name}: {error.strerror}{cure}") from None


def _listen(family: socket.AddressFamily, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _holder(address: str, port: int) -> str:
    """Who listens on this port of this address, or of all of them."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if not one.laddr or one.laddr.port != port or one.status != psutil.CONN_LISTEN:
                continue
            if address in (*ANY, one.laddr.ip) or one.laddr.ip in ANY:
                if one.pid is None:
                    return " by a process of another user"
                return f" by {psutil.Process(one.pid).name()} (pid {one.pid})"
    return ""
