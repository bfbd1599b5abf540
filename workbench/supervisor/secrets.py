"""Where the worker's secrets stand: in options of any layer, in the files that options name, in the environment."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from workbench.model.errors import UsageError, WorkbenchError
from workbench.model.mask import Mask, is_secret_variable
from workbench.model.options import SECRETS, TOKEN_WORDS, is_token, plain
from workbench.model.settings import Layers

LONGEST_FILE = 10_000


def secrets_of(layers: Layers, environment: Mapping[str, str]) -> Iterator[str]:
    """Every secret that this worker was given, also one that a stronger layer replaced."""
    for name, value in environment.items():
        if is_secret_variable(name):
            yield value
    for layer in layers.by_name.values():
        for name, given in layer.items():
            if given.value is None:
                continue
            if name in SECRETS:
                yield plain(given.value)
            elif name.removesuffix("_file") in SECRETS:
                yield _content(given.value)
            elif name == "registry_url":
                yield _password(given.value)


def masked(error: WorkbenchError, mask: Mask) -> WorkbenchError:
    """The error without the secrets in its text: it may quote the agent."""
    error.args = (mask.text(str(error)),)
    return error


def _content(path: str) -> str:
    """What a file holds; empty when it cannot be read."""
    try:
        return read_secret(path).decode("utf-8", "replace").strip()
    except OSError:
        return ""  # whoever needs it tells that


def read_token(value: str | None, file: str | None, option: str = "control_token_file") -> str | None:
    """A token given as it is, or by a file that is read now.

    Args:
        option: what the file is called in an error.

    Raises:
        UsageError: the file cannot be read, or holds no token.
    """
    if file is None:
        return value
    try:
        text = read_secret(file).decode().strip()
    except OSError as problem:
        raise UsageError(f"{option} {file}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option} {file}: not a text file") from None
    if not is_token(text):
        raise UsageError(f"{option} {file}: must hold {TOKEN_WORDS}")
    return text


def read_secret(path: str) -> bytes:
    """The first 10 KB of a file, at once: a pipe would let everything wait for its writer, and can be read only once.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return os.read(fd, LONGEST_FILE)
    finally:
        os.close(fd)


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
