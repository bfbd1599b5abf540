"""Where supervisors can be found on this machine: one unix socket each, in a private folder."""

import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from workbench.model.errors import UsageError

# struct sockaddr_un leaves 108 bytes for the path, the final zero included.
LONGEST_SOCKET_PATH = 107
DEFAULT_PORT = 8081
SPELLED = {"ws": "http", "wss": "https"}  # as workers name a registry


def run_folder() -> Path:
    """The private folder for sockets and logs: `$XDG_RUNTIME_DIR/workbench`, else one in the temp folder.

    Raises:
        UsageError: the folder exists but is not ours alone.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK | os.X_OK):
        folder = Path(runtime) / "workbench"
    else:
        folder = Path(tempfile.gettempdir()) / f"workbench-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise UsageError(f"cannot make the run folder {folder}: {error.strerror}; set XDG_RUNTIME_DIR") from error
    if folder.is_symlink() or status.st_uid != os.getuid():
        raise UsageError(f"the run folder {folder} is not owned by this user; set XDG_RUNTIME_DIR to one that is")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    if len(os.fsencode(folder)) > LONGEST_SOCKET_PATH - len("/.4194304.socket"):
        raise UsageError(
            f"the path of the run folder {folder} is too long for a socket; set XDG_RUNTIME_DIR to another"
        )
    return folder


def socket_path(agent_id: str, pid: int) -> Path:
    """The socket of the supervisor `pid`; the agent's name is shortened where the path would be too long."""
    folder = run_folder()
    room = LONGEST_SOCKET_PATH - len(os.fsencode(folder)) - len(f"/-{pid}.sock")
    name = agent_id.encode("utf-8", "replace")[: max(room, 1)].decode("utf-8", "ignore")
    return folder / f"{name}-{pid}.sock"


def private_socket_path(pid: int) -> Path:
    """A second name of that socket, known to its owner alone: the agent's name may change when it is loaded."""
    return run_folder() / f".{pid}.socket"


@dataclass(frozen=True, slots=True)
class Address:
    """A supervisor: by unix socket, or by URL."""

    url: str = ""
    path: str = ""

    @property
    def name(self) -> str:
        """The agent's name, as the socket's file has it."""
        return os.path.basename(self.path).rpartition("-")[0]

    def __str__(self) -> str:
        return self.path or self.url


def agent_of(address: Address, agent_id: str) -> bool:
    """Whether the supervisor at this socket is one of that agent, whose name may be shortened there."""
    pid = os.path.basename(address.path).rpartition("-")[2].removesuffix(".sock")
    return pid.isdecimal() and socket_path(agent_id, int(pid)).name == os.path.basename(address.path)


def live_supervisors() -> list[Address]:
    """Every supervisor of this user that accepts a connection now. Sockets of dead ones are removed."""
    folder = run_folder()
    found = []
    for path in [*sorted(folder.glob("*.sock")), *folder.glob(".*.socket")]:
        if not answers(path):
            _remove_dead(path)
        elif path.suffix == ".sock":
            found.append(Address(path=str(path)))
    return found


def answers(path: Path) -> bool:
    """Somebody accepts connections at this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _remove_dead(path: Path) -> None:
    """Remove the socket of a supervisor that was killed; one that lives may only be about to listen."""
    pid = path.name.removesuffix(".sock").removesuffix(".socket").rpartition("-")[2].lstrip(".")
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        path.unlink(missing_ok=True)
    except PermissionError:
        return  # the number belongs to a process of somebody else by now


def resolve(given: str | None) -> Address:
    """The supervisor that `given` names: a URL, a socket's path, or None for the only live one.

    Raises:
        UsageError: there is none, several to choose from, or no such address.
    """
    if given is not None:
        return _from_text(given)
    found = live_supervisors()
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError("no worker runs here; start one with `workbench AGENT`, or name one by its URL")
    choices = "\n".join(f"  {address}" for address in found)
    raise UsageError(f"{len(found)} workers run here; name one of them:\n{choices}")


def _from_text(given: str) -> Address:
    if given.endswith(".sock") or given.startswith(("/", "./", "../", "~")):
        return Address(path=os.path.expanduser(given))
    url = given if "://" in given else f"http://{given}"
    scheme, _, rest = url.partition("://")
    url = f"{SPELLED.get(scheme, scheme)}://{rest}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{given!r} is no address: {error}") from None
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare or not url.isprintable() or " " in url:
        raise UsageError(f"{given!r} is no address of a worker; give http://host:port, or the path of its socket")
    if port is None and "://" not in given:
        url = f"{url.rstrip('/')}:{DEFAULT_PORT}"
    return Address(url=url.rstrip("/"))
