"""The headless worker: a supervisor, its doors, its printer; also what runs below the TUI."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from workbench.agent import loading
from workbench.cli.layers import read_layers
from workbench.cli.owned import GRACE_S, obey
from workbench.cli.parser import given_flags
from workbench.cli.printer import Printer, wants_json
from workbench.cli.request import metadata_of, room_of
from workbench.cli.signals import Signals, leave_within
from workbench.client.address import Address, private_socket_path, socket_path
from workbench.model import events as ev
from workbench.model.admission import Verdict
from workbench.model.errors import AddressInUse, UsageError, WorkbenchError
from workbench.model.settings import Settings
from workbench.model.state import Job
from workbench.process.reaper import become_subreaper
from workbench.supervisor.last_steps import Step, ended
from workbench.supervisor.secrets import masked, read_token
from workbench.supervisor.worker import Supervisor

LAST_S = 15.0  # the last steps may take this long, each within a bound of its own
LEAVE_S = 5.0  # after them: nothing is held any more, and what still runs on the loop has no say
LINK_CLOSE_S = 7.0
AT_LAST_S = 5.0  # after a third signal


class Serve:
    """One run of `workbench AGENT --no-tui`."""

    def __init__(self, parsed: Namespace, note: str = "") -> None:
        self.parsed = parsed
        self.owned = parsed.owner_fd is not None
        for fd in (parsed.owner_fd, parsed.ready_fd):
            if fd is not None:
                os.set_inheritable(fd, False)  # a child that held an end would hide this process's own end
        target = loading.find(parsed.agent)
        loading.executes_as_main(target)  # refuses a file that cannot be read
        layers = read_layers(Path(target.file).parent, parsed.preset, given_flags(parsed), target.stem)
        self.room, self.metadata = room_of(parsed.room), metadata_of(parsed.metadata)
        self.start_job = bool(parsed.start_job) and not parsed.once
        if (parsed.room or parsed.metadata) and not (self.start_job or parsed.once):
            raise UsageError("--room and --metadata are for the job of --once or --start-job; give one of these, too")
        self.supervisor = Supervisor(
            parsed.agent, layers, arguments=parsed.arguments, waits_for_save=self.owned,
            start_method=parsed.start_method, start_job=self.start_job, strict=parsed.strict,
            reload_jobs=parsed.reload_jobs,
        )  # fmt: skip
        mode = parsed.reload or ("auto" if self.owned else "off")
        if parsed.watch and mode == "off":
            raise UsageError("--watch is for --reload, which is off here; give --reload, too")
        self.supervisor.bases.kept, self.supervisor.bases.layered = mode != "off" or parsed.layers, parsed.layers
        self.supervisor.failure_is_told = True  # by whoever called us
        self.own_settings = self.supervisor.settings  # without the agent's file
        self._control_token()  # refuses a file that cannot be read
        self.tcp: socket.socket | None = None
        self.note = ""
        self.once_job: Job | None = None
        self._first_words = note
        self._code: int | None = None  # of the end that is on its way
        self._signals = Signals(lambda: leave_within(AT_LAST_S, self._code_at_last))

    def run(self) -> int:
        """Until the worker has ended; its exit code."""
        self._signals.hold()
        become_subreaper()
        self._open_printer()
        last = self.supervisor.last
        try:
            self.supervisor.boot()
            from workbench.cli.library_logs import LibraryLogs
            from workbench.server.binding import bind

            logging.getLogger().addHandler(LibraryLogs(self.supervisor.logs))
            options = self.own_settings.options
            if _picked(self.own_settings, "port"):
                self.tcp = bind(options.host, options.port)
            elif _picked(self.own_settings, "host"):
                bind(options.host, 0).close()  # can it be had? the port is known with the agent's file
            self._say({"checked": True})
            code = asyncio.run(self._serve())
        except BaseException:
            if self.supervisor.loading is not None:
                self.supervisor.loading.zygote.kill()
            raise
        finally:
            self._close_printer()
            gc.freeze()  # else the interpreter looks through all that is left, several times, before it ends
        return last.code(self._signals.forced or code)

    async def _serve(self) -> int:
        from workbench.cli.registering import Registering
        from workbench.server.guard import Guard
        from workbench.server.listener import Doors

        gc.freeze()  # what is imported stays
        gc.enable()
        supervisor = self.supervisor
        self.guard = Guard(supervisor.settings.options.host, self._control_token)
        self.doors = Doors(supervisor, self.guard)
        self.registering = Registering(supervisor, owned=self.owned)
        path = private_socket_path(os.getpid())
        supervisor.listeners.append(self._on_event)
        supervisor.at_end = self._at_end
        side: list[asyncio.Task[Any]] = []
        try:
            await self.doors.open_unix(path)
            supervisor.started(str(self._name_socket()))
            self._signals.listen(self._on_signal)
            if self.owned:
                self._say({"socket": str(path)})
                grace_s = 0.0 if self.parsed.demo else GRACE_S  # the demo's jobs are nobody's
                side.append(asyncio.ensure_future(obey(supervisor, self.parsed.owner_fd, grace_s)))
            side.append(asyncio.ensure_future(self._after_loading()))
            side.append(asyncio.ensure_future(self._watch()))
            if self.parsed.demo:
                side.append(asyncio.ensure_future(self._pace(path)))
            for task in side:
                task.add_done_callback(self._side_ended)
            code = await supervisor.run()
        finally:
            await supervisor.last.take(
                Step("the side tasks", lambda: ended(*side)),
                Step("the registry link", self.registering.link.close, LINK_CLOSE_S),
                *self.doors.last_steps(),
            )
            leave_within(LEAVE_S, self._code_at_last)
        if supervisor.failure is not None and code in (0, supervisor.failure.exit_code):  # else a signal decided
            raise masked(supervisor.failure, supervisor.logs.mask)
        if self.parsed.once and code == 0:
            return 0 if self.once_job is not None and self.once_job.status == "completed" else 1
        return code

    # --- steps ----------------------------------------------------------------------------------

    async def _after_loading(self) -> None:
        """What needs the options of the agent's file: the port, the first job."""
        early = self.own_settings.options
        if self.tcp is not None:
            self._listening(await self._listen(self.tcp))
        if self.start_job and self.owned:
            self._submit_own()  # waits for the first generation
        await self.supervisor.code_loaded.wait()
        settings = self.supervisor.settings
        self._control_token()  # refuses a file that cannot be read
        if self.tcp is None or (early.host, early.port) != (settings.options.host, settings.options.port):
            await self.doors.close_tcp()
            self._listening(await self._listen(self._bind_late(settings)))
        else:
            self._listening(self.supervisor.state.worker.url)  # the agent's name may be known only now
        if self.start_job and not self.owned:
            self._submit_own()
        if self.parsed.once:
            self._submit_once()
            if settings.options.register:
                self.supervisor.logs.note("WARNING", "register has no effect with --once: one job, and only that")
        else:
            self.registering.begin()
        if not self.owned:
            self._announce(settings)

    def _open_printer(self) -> None:
        as_json = wants_json(self.parsed.log_format) and not self.owned
        level = self.own_settings.options.log_level
        self.printer = Printer(self.supervisor.logs, as_json=as_json, level=level, own_file=self.owned)
        if self._first_words:
            self.printer.record(message=self._first_words)

    def _close_printer(self) -> None:
        try:
            self.printer.close()
        except Exception as error:
            self.supervisor.last.failed("the printer", error)
            with contextlib.suppress(OSError):  # nobody reads; the code tells
                print(self.supervisor.last.failures[-1], file=sys.stderr)  # it printed that no more

    def _name_socket(self) -> Path:
        public = socket_path(self.supervisor.settings.options.agent_id, os.getpid())
        self.doors.call_unix(public)
        return public

    def _bind_late(self, settings: Settings) -> socket.socket:
        from workbench.server.binding import bind

        options = settings.options
        try:
            return bind(options.host, 0 if self.parsed.once and not _picked(settings, "port") else options.port)
        except AddressInUse as busy:
            if _picked(settings, "port") or not self.owned:
                raise
            self.note = f"port {options.port} was taken"
            self.supervisor.logs.note("WARNING", f"{busy}; taking a free port instead")
            return bind(options.host, 0)

    async def _listen(self, sock: socket.socket) -> str:
        self.guard.protect(self.supervisor.settings.options.host, self._control_token)
        return await self.doors.open_tcp(sock)

    def _listening(self, url: str) -> None:
        path = str(self._name_socket())
        self.supervisor.publish(ev.Listening(at=time.time(), url=url, note=self.note, socket=path))

    def _announce(self, settings: Settings) -> None:
        self.printer.level = settings.options.log_level
        self.printer.record(
            event="started", message="the worker runs", url=self.supervisor.state.worker.url, pid=os.getpid(),
            agent_id=settings.options.agent_id, options=settings.differing(),
        )  # fmt: skip

    def _submit_own(self) -> None:
        taken = self.supervisor.submit(self.room, self.metadata, force=True, own=True, early=True)
        if isinstance(taken, Verdict):
            self.supervisor.logs.note("ERROR", f"the first job was refused: {taken.status}: {taken.why}")

    def _submit_once(self) -> None:
        taken = self.supervisor.submit(self.room, self.metadata, force=True, early=True)
        if isinstance(taken, Verdict):
            self.supervisor.drain("the job was refused", then_exit=True)
            return
        self.once_job = taken
        self.supervisor.drain("--once: one job only", then_exit=True)

    async def _watch(self) -> None:
        mode = self.parsed.reload or ("auto" if self.owned else "off")
        if mode == "off":
            return
        from workbench.supervisor.watch import watch

        await watch(self.supervisor, mode, self.parsed.watch)

    async def _pace(self, socket: Path) -> None:
        """The demo's jobs come by the door that every job comes by."""
        from workbench.cli.pace import pace

        await pace(Address(path=str(socket)))

    # --- news -----------------------------------------------------------------------------------

    def _on_event(self, event: ev.Event) -> None:
        if isinstance(event, ev.OptionsChanged):
            self.printer.level = self.supervisor.settings.options.log_level
        self.printer.tell_losses()

    def _on_signal(self, number: int) -> None:
        if number != signal.SIGHUP:
            self.supervisor.on_signal(number)
        elif self.supervisor.serving is not None and not self.supervisor.ending:
            self.supervisor.reload(self.supervisor.state.reload.pending)

    def _at_end(self, code: int) -> None:
        self._code = code
        leave_within(LAST_S, self._code_at_last)

    def _code_at_last(self) -> int:
        return self._signals.forced or self._code or 1

    def _say(self, news: dict[str, Any]) -> None:
        if self.parsed.ready_fd is not None:
            with contextlib.suppress(BrokenPipeError):  # the terminal is gone already; the owner pipe tells that
                say(self.parsed.ready_fd, news)

    def _control_token(self) -> str | None:
        options = self.supervisor.settings.options
        value = options.control_token.get_secret_value() if options.control_token else None
        token = read_token(value, options.control_token_file)
        self.supervisor.logs.mask.learn([token])  # another one may stand in the file by now
        return token

    def _side_ended(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        known = isinstance(error, WorkbenchError)
        self.supervisor.failure = error if known else WorkbenchError(f"a bug of ours: {error!r}")  # type: ignore[assignment]
        self.supervisor.stop("the worker cannot go on", getattr(error, "exit_code", 1))


def say(fd: int, news: dict[str, Any]) -> None:
    """Tell the process that started this one how far it is.

    Raises:
        OSError: it knows enough, and has closed its end.
    """
    os.write(fd, f"{json.dumps(news)}\n".encode())


def _picked(settings: Settings, name: str) -> bool:
    """Somebody chose this option; a preset is only a set of other defaults."""
    return settings.chosen(name) and not settings.origin(name).startswith("preset ")
