"""Opening the doors: the unix socket that is always there, and the TCP port."""

import socket
from functools import partial
from pathlib import Path

from aiohttp import web

from workbench.client.address import answers
from workbench.model.errors import UsageError
from workbench.server.app import make_app
from workbench.server.guard import Guard
from workbench.supervisor.last_steps import Step
from workbench.supervisor.worker import Supervisor

CLEANUP_S = 2.0


class Doors:
    """The open listeners of one supervisor."""

    def __init__(self, supervisor: Supervisor, guard: Guard) -> None:
        self._supervisor, self._guard = supervisor, guard
        self._runner: web.AppRunner | None = None
        self._tcp: web.SockSite | None = None
        self._path: Path | None = None
        self._public: Path | None = None

    async def open_unix(self, path: Path) -> None:
        """Listen on the unix socket, under its private name."""
        self._runner = web.AppRunner(make_app(self._supervisor, self._guard), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        if path.exists() and answers(path):  # a container with this process's number shares the folder
            raise UsageError(f"another worker listens on {path}; set XDG_RUNTIME_DIR to a folder of its own")
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # of a process with this number that was killed
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(fresh))
        fresh.chmod(0o600)
        sock.listen(128)
        sock.setblocking(False)
        fresh.replace(path)  # whoever finds the name is heard
        self._path = path
        await web.SockSite(self._runner, sock).start()

    def call_unix(self, public: Path) -> None:
        """Give the unix socket the name by which others find it, instead of the last one."""
        assert self._path is not None
        if public != self._public:
            public.unlink(missing_ok=True)
            public.hardlink_to(self._path)
            if self._public is not None:
                self._public.unlink(missing_ok=True)
            self._public = public

    async def open_tcp(self, sock: socket.socket) -> str:
        """Listen on a bound TCP socket, too; its URL."""
        assert self._runner is not None
        self._tcp = web.SockSite(self._runner, sock)
        await self._tcp.start()
        host, port = sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def close_tcp(self) -> None:
        """Listen on TCP no more, until it is opened again."""
        if self._tcp is not None:
            await self._tcp.stop()
            self._tcp = None

    def last_steps(self) -> list[Step]:
        """Close everything; connections that linger are cut."""
        names = [path for path in (self._path, self._public) if path is not None]
        return [
            *(Step(f"the name {path}", partial(path.unlink, missing_ok=True)) for path in names),
            Step("the doors", self._cleanup, CLEANUP_S),
        ]

    async def _cleanup(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
