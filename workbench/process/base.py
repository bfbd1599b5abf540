"""The base: what the zygotes of later generations are forked from, so that a save does not wait for imports.

It has imported what every zygote needs, and with layers the libraries that the agent had imported before; never a
file of the project. It has no thread, and reads one request at a time from its control socket.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from workbench.agent import loading
from workbench.process import descriptors, evidence, lifeline, mark, records
from workbench.process.forking import fork_twice
from workbench.process.wire import CONTROL_FD, LIFELINE_FD, RECORDS_FD

MAX_REQUEST = 1 << 20
MAX_LIBRARIES_BYTES = 80 * 1024  # what is told travels in one message, and those are bounded by the kernel
SETTINGS = (".env", ".env.local")  # of the project: libraries may have read them when they were imported

Stamp = tuple[int, int] | None


def libraries(root: str) -> list[str]:
    """The imported modules that are no files of the project, in the order in which their imports began."""
    found = {}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__dict__", {}).get("__spec__")  # a module's own `__getattr__` may raise
        name, origin = getattr(spec, "name", None), getattr(spec, "origin", None)
        if isinstance(name, str) and isinstance(origin, str) and os.path.isabs(origin) and name != "__main__":
            found[name] = is_library(origin, root)
    names, room = [], MAX_LIBRARIES_BYTES
    for name in [name for name, library in found.items() if library]:
        room -= len(name.encode()) + 4
        if room < 0:
            break
        names.append(name)
    return names


def is_library(file: str, root: str) -> bool:
    """A file that a save of the project does not change, even where the environment lies in the project."""
    return not file.startswith(root + os.sep) or "site-packages" in file


class Base:
    """Imports what it is told to, then forks zygotes until its socket closes.

    Args:
        become: makes a zygote of a process forked for one, on its own descriptors.
    """

    def __init__(self, order: dict[str, Any], become: Callable[[], NoReturn]) -> None:
        self.control = socket.socket(fileno=CONTROL_FD)
        self.order, self._become = order, become
        self.stamp = mark.Stamp()
        self.stamps: dict[str, Stamp] = {}
        self.root = ""

    def serve(self) -> NoReturn:
        """Import, report, answer requests."""
        began = time.perf_counter()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        before = evidence.open_fds()
        if self.order["libraries"]:
            self._import_all()
        descriptors.fill_standard()
        against, strangers = evidence.against_fork(before), self._strangers()
        gc.collect()
        gc.freeze()  # pages of what exists now stay shared by all that is forked from here
        self._say({"t": "based", "against": against, "strangers": strangers, "ms": (time.perf_counter() - began) * 1e3})
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 3)
            except ConnectionResetError:
                data, fds = b"", []
            if not data:
                os._exit(0)
            self._fork(json.loads(data), fds)

    def _import_all(self) -> None:
        """Import the libraries as the agent's file would have: with the same path before them."""
        target = loading.find(self.order["target"])
        self.root = target.root
        path, argv = list(sys.path), list(sys.argv)
        loading.prepare(target, self.order["arguments"])
        records.install(self.order["log_level"])
        for name in self.order["libraries"]:
            if name not in sys.modules:
                try:
                    importlib.import_module(name)
                except BaseException:  # it is imported again, and then fails, where the agent itself needs it
                    sys.modules.pop(name, None)
        sys.path[:], sys.argv[:] = path, argv
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        of_project = [os.path.join(self.root, name) for name in SETTINGS]
        self.stamps = {file: _stamp(file) for file in [*files, *of_project] if isinstance(file, str)}

    def _strangers(self) -> list[str]:
        """Files of the project that a library has imported: they would be old after a save."""
        return [file for file in self.stamps if not is_library(file, self.root) and not file.endswith(SETTINGS)]

    def _fork(self, request: dict[str, Any], fds: list[int]) -> None:
        try:
            answer = self._forked(request, fds)
        except OSError as error:
            answer = {"error": error.strerror or "the kernel refused"}
        for fd in fds:
            os.close(fd)
        self._say({"t": "begun", "id": request["id"], **answer})

    def _forked(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if len(fds) != 3:
            return {"error": "no descriptors are left in the base"}
        changed = next((file for file, stamp in self.stamps.items() if _stamp(file) != stamp), "")
        if changed:
            return {"error": f"{changed} has changed since it was imported", "stale": True}
        records.flush_output()
        return fork_twice(lambda: self._leave(request, fds))

    def _leave(self, request: dict[str, Any], fds: list[int]) -> NoReturn:
        """In the process for a zygote: as if it had been started as a program."""
        os.setsid()
        lifeline.attach(LIFELINE_FD)
        self.control.detach()
        control, output, record = fds
        for target, fd in ((CONTROL_FD, control), (1, output), (2, output), (RECORDS_FD, record)):
            os.dup2(fd, target, inheritable=target in (1, 2))
        for fd in fds:
            os.close(fd)
        self.stamp.put(request["mark"])
        importlib.invalidate_caches()  # folders have other files by now
        self._become()

    def _say(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message).encode("utf-8", "backslashreplace"))


def _stamp(file: str) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
