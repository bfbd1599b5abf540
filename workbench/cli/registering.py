"""Whether a worker registers, where and with which token, and what follows when no registry will have it."""

from workbench.backend.dial import Registry
from workbench.backend.link import Link
from workbench.backend.trouble import RegistryRefused
from workbench.model import events as ev
from workbench.model.errors import UsageError
from workbench.model.hosts import VIDEOSDK
from workbench.model.options import plain
from workbench.supervisor.secrets import read_token
from workbench.supervisor.worker import Supervisor

FOLLOWED = ("--", "WORKBENCH_")  # how the names of the sources begin that hold for this run of the workbench


class Registering:
    """The link of one worker.

    Args:
        owned: the worker runs below the workbench: there the agent's file alone does not make it register, since
            nobody means to join production by opening a file.
    """

    def __init__(self, supervisor: Supervisor, *, owned: bool) -> None:
        self._supervisor, self._owned = supervisor, owned
        self.link = Link(supervisor, self.registry, self._gave_up)
        supervisor.link = self.link

    def begin(self) -> None:
        """The options are known: register, if they say so.

        Raises:
            UsageError: there is no token, or none that can be read.
        """
        settings = self._supervisor.settings
        if not settings.options.register:
            return
        source = settings.origin("register")
        if self._owned and not source.startswith(FOLLOWED):
            why = f"register ({source}) is not followed here: --register or L does"
            now = self._supervisor.shell.now().at
            self._supervisor.publish(ev.LinkChanged(at=now, state="local", why=why, attempt=0, retry_at=None))
            return
        self.link.connect()

    def registry(self) -> Registry:
        """Whom to call, with the token as it is now.

        Raises:
            UsageError: there is no token, or none that can be read.
        """
        options = self._supervisor.settings.options
        file = options.auth_token_file
        token = read_token(plain(options.auth_token), file, "auth_token_file")
        if options.registry_url is None and token is None:
            raise UsageError(f"to register at {VIDEOSDK} set VIDEOSDK_AUTH_TOKEN, or name an auth_token_file")
        return Registry(options.registry_url or VIDEOSDK, token, rereads_token=file is not None)

    def _gave_up(self, refused: RegistryRefused) -> None:
        if self._owned:
            self._supervisor.logs.note("ERROR", f"registry: {refused}")
            return
        self._supervisor.failure = self._supervisor.failure or refused  # its exit code is the worker's
        self._supervisor.drain(f"registry: {refused}", then_exit=True)
