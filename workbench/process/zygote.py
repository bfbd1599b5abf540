"""The zygote: loads the agent once, then forks a process for every slot the supervisor asks for.

Started as a program of its own. It has no thread and no event loop; it reads one request at a time from its
control socket, and the supervisor is the parent of everything it makes.
"""

import contextlib
import faulthandler
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from workbench.agent import bytecode, loading, sources
from workbench.agent import job as jobs
from workbench.agent.problem import problem_of
from workbench.model.paths import current_folder
from workbench.process import descriptors, evidence, leftovers, lifeline, mark, records
from workbench.process.base import Base, libraries
from workbench.process.beats import Beats
from workbench.process.forking import fork_twice
from workbench.process.standing import Standing
from workbench.process.wire import BEATS_FD, CONTROL_FD, LIFELINE_FD, RECORDS_FD

MAX_REQUEST = 1 << 20
MAX_FILES_BYTES = 100 * 1024  # what is told travels in one message, and those are bounded by the kernel


class Zygote:
    """Takes the agent over from its file (see `agent.job.Host`), then serves forks until its socket closes."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.control = socket.socket(fileno=CONTROL_FD)
        self.beats = Beats(BEATS_FD)
        self.order = order
        self.began = time.perf_counter()
        self.fds_before: dict[int, str] = {}
        self.root = self.main = ""
        self.supervisor, _ = mark.parse(os.environ.get(mark.NAME, ""))
        self.stamp = mark.Stamp()
        self.standing: Standing | None = None

    def run(self) -> NoReturn:
        """Load, report, serve."""
        records.install(self.order["log_level"])
        bytecode.keep_none_of_fresh_files()
        descriptors.restore_limit(self.order["descriptors"])
        try:
            if self.order.get("sources"):
                sources.take(self.order["sources"])
            target = loading.find(self.order["target"])
            self.main = target.file
            self.root = target.root
            loading.check([target.file, *self.order["check"]])  # before anything of it is executed, imports above all
            loading.prepare(target, self.order["arguments"])
            self.fds_before = evidence.open_fds()
            jobs.set_host(self)
            with open(RECORDS_FD, "wb", closefd=False, buffering=0) as pipe:
                faulthandler.enable(file=pipe, all_threads=False)  # not the one that watches
                self.standing = Standing(RECORDS_FD)
                agent = loading.execute(target)
        except BaseException as error:  # SystemExit and KeyboardInterrupt of the file are its failure to load
            if self.standing is not None:
                self.standing.stop()
            self._fail(error)
        self.take(agent)

    def take(self, job: jobs.WorkerJob) -> NoReturn:
        """The agent is here: say so, and serve."""
        if self.standing is not None:
            self.standing.stop()
            faulthandler.enable(file=RECORDS_FD)
        jobs.set_host(None)
        against = evidence.against_fork(self.fds_before)
        files, kept = _project_files(self.root), -1
        if (against or self.order["spawn"]) and not self.order.get("become"):
            with contextlib.suppress(OSError):  # a file has gone already: newer code is about to be loaded
                kept = sources.keep(self.main, self.root)
        gc.collect()
        gc.freeze()  # pages of what exists now stay shared: the children's collector leaves them alone
        self._say(
            {
                "t": "loaded",
                "options": job.options.given(),
                "sdk_only": job.not_used(),
                "against_fork": against,
                "ms": (time.perf_counter() - self.began) * 1e3,
                "files": files,
                "sources": kept,
                "libraries": libraries(self.root) if self.order["layers"] else [],
                "root": self.root,
            }
        )
        if self.order.get("become"):
            self._serve_as_child(job)
        self._serve(job)

    def _serve(self, job: jobs.WorkerJob) -> NoReturn:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the agent may have ignored it: then nothing could be waited for
        descriptors.fill_standard()
        lifeline.wake_instead(LIFELINE_FD)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            poll.poll()
            try:
                data, fds, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 3)
            except ConnectionResetError:
                data, fds = b"", []
            if not data:
                self._leave(gone=any(events & select.POLLHUP for _, events in poll.poll(0)))
            self._fork(job, json.loads(data), fds)

    def _leave(self, *, gone: bool) -> NoReturn:
        """Dismissed, or (`gone`) the supervisor has ended without a word: then nobody else ends what it left."""
        records.flush_output()
        if gone:
            leftovers.end_all_of(self.supervisor, self.beats.helpers())
            lifeline.end_group()
        os._exit(0)

    def _fork(self, job: jobs.WorkerJob, request: dict[str, Any], fds: list[int]) -> None:
        """Fork twice, so that the kernel makes the supervisor (a subreaper) the job's parent."""
        records.flush_output()
        try:
            answer = self._fork_twice(job, request, fds)
        except OSError as error:
            answer = {"error": error.strerror or "the kernel refused"}
        for fd in fds:
            os.close(fd)
        try:
            self._say({"t": "forked", "id": request["id"], **answer})
        except OSError:
            self._leave(gone=True)  # it ended while this was being done

    def _fork_twice(self, job: jobs.WorkerJob, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if len(fds) != 3:
            return {"error": "no descriptors are left in the zygote"}
        return fork_twice(lambda: self._become(job, request, fds))

    def _become(self, job: jobs.WorkerJob, request: dict[str, Any], fds: list[int]) -> NoReturn:
        os.setsid()
        lifeline.attach(LIFELINE_FD)
        self._run(job, request, fds)

    def _serve_as_child(self, job: jobs.WorkerJob) -> NoReturn:
        """Start method `spawn`: this process loaded the agent for itself alone, and now runs its jobs.

        The control socket's other end hands over the same three descriptors as for a fork.
        """
        descriptors.fill_standard()
        data, fds, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 3)
        if not data:
            os._exit(0)
        self._run(job, json.loads(data), fds)

    def _run(self, job: jobs.WorkerJob, request: dict[str, Any], fds: list[int]) -> NoReturn:
        from workbench.process.runner import ChildSetup, become

        channel, output, record = fds
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(record, RECORDS_FD, inheritable=False)
        self.control.detach()
        os.dup2(channel, CONTROL_FD, inheritable=False)
        for fd in fds:
            os.close(fd)
        self.stamp.put(request["mark"])
        setup = ChildSetup(
            process_id=request["id"],
            generation=request["generation"],
            beat_slot=request["slot"],
            log_level=request["log_level"],
        )
        become(job, setup, socket.socket(fileno=CONTROL_FD), self.beats, self.root)

    def _fail(self, error: BaseException) -> NoReturn:
        self._say({"t": "failed", "problem": problem_of(error, self.root or current_folder()).to_json(),
                   "files": _project_files(self.root)})  # fmt: skip
        records.flush_output()
        os._exit(3)

    def _say(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message, default=str).encode("utf-8", "backslashreplace"))


def _project_files(root: str) -> list[str]:
    """The files that loading really imported and that belong to the project."""
    if not root:
        return []
    found = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")  # a module's own `__getattr__` may raise
        if isinstance(file, str) and file.startswith(root + os.sep) and "site-packages" not in file:
            found.add(file)
    files, room = [], MAX_FILES_BYTES
    for file in sorted(found):
        room -= len(file.encode()) + 4
        if room < 0:
            break
        files.append(file)
    return files


def main() -> NoReturn:
    """The zygote's program: descriptors 3 to 6 are the supervisor's."""
    for fd in (CONTROL_FD, LIFELINE_FD, RECORDS_FD, BEATS_FD):
        os.set_inheritable(fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # one that came while this program was being started is ignored
    lifeline.attach(LIFELINE_FD)
    # Loading numpy would start a thread pool that a fork does not need.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import workbench.process.runner  # noqa: F401  # before the forks: children share its pages

    order = _order()
    if "libraries" in order:
        Base(order, lambda: Zygote(_order()).run()).serve()
    Zygote(order).run()


def _order() -> dict[str, Any]:
    order: dict[str, Any] = json.loads(os.read(CONTROL_FD, MAX_REQUEST))
    return order
