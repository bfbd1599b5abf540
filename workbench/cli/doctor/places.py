"""Where a worker is found: its run folder and its port. A socket is opened at each."""

import os
import socket
from pathlib import Path

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.client.address import run_folder
from workbench.model.errors import AddressInUse, UsageError
from workbench.model.settings import Settings
from workbench.server.binding import bind

LOW_MB = 50
TRIED_BYTES = 64 * 1024


def check_places(settings: Settings) -> list[Finding]:
    """The run folder and the port."""
    return [check_run_folder(), check_port(settings)]


def check_run_folder() -> Finding:
    """The folder for sockets and logs: owner, mode, a socket, a file, room."""
    try:
        folder = run_folder()
    except UsageError as error:
        return Finding("run folder", MISSING, f"{str(error).partition('; set')[0].capitalize()}.", _CURE)
    try:
        _try_socket(folder)
        _try_file(folder)
    except OSError as error:
        return Finding("run folder", MISSING, f"{folder} cannot be used: {error.strerror or error}.", _CURE)
    status, room = folder.stat(), os.statvfs(folder)
    free_mb = room.f_bavail * room.f_frsize / 1e6
    figures = {"path": str(folder), "mode": f"{status.st_mode & 0o7777:04o}", "free_mb": round(free_mb)}
    found = f"{folder} (mode {figures['mode']}) takes a socket and a file; {free_mb:,.0f} MB are free."
    if status.st_mode & 0o077:
        follows = (
            "Its file system lets others in: they could control the worker. Set XDG_RUNTIME_DIR to another folder."
        )
        return Finding("run folder", NOTE, found, follows, figures)
    asked = os.environ.get("XDG_RUNTIME_DIR")
    if asked and Path(asked) != folder.parent:
        follows = f"XDG_RUNTIME_DIR is {asked}, which cannot be written: `attach` must be run with the same setting."
        return Finding("run folder", NOTE, found, follows, figures)
    if free_mb < LOW_MB:
        return Finding(
            "run folder", NOTE, found, "The log of a worker under the screen goes there: make room.", figures
        )
    return Finding("run folder", OK, found, "", figures)


_CURE = "No worker can start without it. Set XDG_RUNTIME_DIR to a folder of this user that can be written."


def _try_socket(folder: Path) -> None:
    """A path as long as a worker's; its ending keeps `attach` from taking it for one."""
    path = folder / f".{os.getpid():07d}.doctor"
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as caller:
        try:
            door.bind(str(path))
            door.listen(1)
            caller.connect(str(path))
        finally:
            path.unlink(missing_ok=True)


def _try_file(folder: Path) -> None:
    path = folder / f".{os.getpid()}.doctor-log"
    try:
        with path.open("wb") as file:
            file.write(bytes(TRIED_BYTES))
    finally:
        path.unlink(missing_ok=True)


def check_port(settings: Settings) -> Finding:
    """The address for the routes: listened on for a moment."""
    host, port = settings.options.host, settings.options.port
    origin = settings.origin("port")
    figures = {"host": host, "port": port, "origin": origin}
    try:
        with bind(host, port) as sock:
            taken = sock.getsockname()[1]
    except AddressInUse as error:
        found = f"{str(error).partition('; choose')[0]}."
        if settings.chosen("port"):
            follows = f"A worker would end with exit code 4. Choose another port; this one was set by {origin}."
            return Finding("port", MISSING, found, follows, figures)
        follows = "The workbench takes a free one; a headless worker ends with exit code 4: give it another --port."
        return Finding("port", NOTE, found, follows, figures)
    except UsageError as error:
        return Finding("port", MISSING, f"{str(error)[:1].upper()}{str(error)[1:]}.", _choose(settings), figures)
    if port == 0:
        return Finding("port", OK, f"A free one is taken on {host} ({taken}, this time).", "", figures)
    return Finding("port", OK, f"{host}:{port} is free.", "", figures)


def _choose(settings: Settings) -> str:
    return f"Choose others: host is set by {settings.origin('host')}, port by {settings.origin('port')}."
