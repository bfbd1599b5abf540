"""How a link can fail: for now, or for good."""

from workbench.model.errors import WorkbenchError


class LinkTrouble(Exception):
    """The link could not be had or was lost; another try may do.

    Attributes:
        wait_s: what the registry asked to wait, in seconds.
    """

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class RegistryRefused(WorkbenchError):
    """The registry will not have this worker, whenever it comes; or it could not be reached in `max_retry` tries."""

    exit_code = 6


CURES = {
    401: "it does not know the token: set VIDEOSDK_AUTH_TOKEN, or name another auth_token_file",
    403: "the token may not register workers: use one that may (VIDEOSDK_AUTH_TOKEN or auth_token_file)",
    426: "it wants another version of the protocol: update workbench",
}


def by_status(status: int, where: str, rereads_token: bool) -> LinkTrouble | RegistryRefused:
    """What an HTTP answer means for the link.

    Args:
        rereads_token: the token is read from a file before each try, so another one may stand there by then.
    """
    cure = CURES.get(status)
    if cure is None:
        return LinkTrouble(f"{where} answers {status}")
    text = f"{where} refuses this worker ({status}): {cure}"
    return LinkTrouble(text) if status == 401 and rereads_token else RegistryRefused(text)
