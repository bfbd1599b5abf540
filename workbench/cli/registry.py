"""`workbench registry`: the process around a registry: its signals, its log, its port."""

import asyncio
import logging
import os
import signal
import socket
from argparse import Namespace

from workbench.cli.library_logs import LibraryLogs
from workbench.cli.printer import Printer, wants_json
from workbench.cli.signals import Signals, leave_within
from workbench.model.errors import UsageError
from workbench.model.options import TOKEN_WORDS, is_token
from workbench.registry.desk import Limits
from workbench.registry.door import Door, allow_many_files, tls_context, workers_url
from workbench.registry.gate import Gate, token_reader
from workbench.registry.service import Service
from workbench.server.binding import bind
from workbench.supervisor.logs import LogStore

TOKEN_VARIABLE = "WORKBENCH_REGISTRY_TOKEN"
AT_LAST_S = 5.0  # after a third signal


def run_registry(parsed: Namespace) -> int:
    """Until a signal ends it; the exit code."""
    return _Run(parsed).run()


class _Run:
    def __init__(self, parsed: Namespace) -> None:
        self.parsed = parsed
        value = os.environ.get(TOKEN_VARIABLE) if parsed.token_file is None else None
        if value is not None and not is_token(value):
            raise UsageError(f"{TOKEN_VARIABLE} must hold {TOKEN_WORDS}")
        self._read = token_reader(value, parsed.token_file)
        self.logs = LogStore()
        self.token()  # refuses a file that cannot be read
        self.tls = tls_context(parsed.tls_cert, parsed.tls_key)
        self.public_url = workers_url(parsed.public_url)
        self.signals = Signals(lambda: leave_within(AT_LAST_S, lambda: self.signals.forced or 1))

    def token(self) -> str | None:
        """The token as it is now; it is hidden from the log from then on."""
        token = self._read()
        self.logs.mask.learn([token])
        return token

    def run(self) -> int:
        """Bind, serve, end."""
        self.signals.hold()
        allow_many_files()
        sock = bind(self.parsed.host, self.parsed.port)
        self.printer = Printer(self.logs, as_json=wants_json(self.parsed.log_format), level="INFO")
        logging.getLogger().addHandler(LibraryLogs(self.logs))
        try:
            asyncio.run(self._serve(sock))
        finally:
            self.printer.close()
        return self.signals.forced or 0

    async def _serve(self, sock: socket.socket) -> None:
        ending = asyncio.Event()
        gate = Gate(self.parsed.host, self.token)
        limits = Limits(
            grace_s=self.parsed.grace, queue_size=self.parsed.queue_size, queue_timeout_s=self.parsed.queue_timeout
        )
        door = Door(Service(limits, self.logs.note, gate.wrong), gate, self.tls, self.public_url)
        url = await door.open(sock)
        by_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self.signals.listen(lambda number: None if number == signal.SIGHUP and by_nohup else ending.set())
        self.printer.record(
            event="started", message="the registry runs", url=url, pid=os.getpid(), token=self.token() is not None
        )
        await ending.wait()
        self.printer.record(event="ending", message="the registry ends; its workers are told to come back later")
        await door.close()
