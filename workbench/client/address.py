"""Where supervisors can be found on this machine: one unix socket each, in a private folder."""

import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workbench.model.errors import UsageError

# struct sockaddr_un leaves 108 bytes for the path, the final zero included.
LONGEST_SOCKET_PATH = 107


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
    return folder


def socket_path(agent_id: str, pid: int) -> Path:
    """The socket of the supervisor `pid`; the agent's name is shortened where the path would be too long."""
    folder = run_folder()
    room = LONGEST_SOCKET_PATH - len(os.fsencode(str(folder))) - len(f"/-{pid}.sock")
    name = os.fsdecode(os.fsencode(agent_id)[: max(room, 1)])
    return folder / f"{name}-{pid}.sock"


def private_socket_path(pid: int) -> Path:
    """A second name of that socket, known to its owner alone: the agent's name may change when it is loaded."""
    return run_folder() / f".{pid}.socket"


@dataclass(frozen=True, slots=True)
class Address:
    """A supervisor: by unix socket, or by URL."""

    url: str = ""
    path: str = ""

    def __str__(self) -> str:
        return self.path or self.url


def live_supervisors() -> list[Address]:
    """Every supervisor of this user that accepts a connection now. Sockets of dead ones are removed."""
    found = []
    folder = run_folder()
    for path in [*sorted(folder.glob("*.sock")), *folder.glob(".*.socket")]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)  # nobody listens: its supervisor was killed
            except OSError:
                continue  # gone meanwhile, or too busy to answer: not one to offer
            else:
                if path.suffix == ".sock":
                    found.append(Address(path=str(path)))
    return found


def resolve(given: str | None) -> Address:
    """The supervisor that `given` names: a URL, a socket's path, or None for the only live one.

    Raises:
        UsageError: there is none, or several to choose from.
    """
    if given:
        if given.startswith(("http://", "https://")):
            return Address(url=given.rstrip("/"))
        if "/" in given or given.endswith(".sock"):
            return Address(path=given)
        return Address(url=f"http://{given}")
    found = live_supervisors()
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError("no supervisor runs here; start one with `workbench AGENT`, or name one with a URL")
    choices = "\n".join(f"  {address}" for address in found)
    raise UsageError(f"{len(found)} supervisors run here; name one of them:\n{choices}")
