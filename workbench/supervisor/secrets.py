"""Where the worker's secrets stand: in options of any layer, in the files that options name, in the environment."""

import os
import stat
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from workbench.model.mask import is_secret_variable
from workbench.model.options import SECRETS, plain
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


def _content(path: str) -> str:
    """What a file holds; empty when it cannot be read. A pipe is left for the one who needs it: it is read once."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""  # whoever needs it tells that
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(LONGEST_FILE).decode("utf-8", "replace").strip()


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
