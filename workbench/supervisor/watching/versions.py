"""Versions of a file: by its stamp where that tells them apart, else by what is in it."""

import hashlib
import os
import stat
import time
from dataclasses import dataclass

MOST_BYTES = 8 << 20  # of larger files the stamp alone counts
CHUNK = 1 << 20
FRESH_NS = 20_000_000  # the kernel's clock for files goes in steps of some milliseconds
COARSE_FRESH_NS = 2_000_000_000  # and where it knows whole seconds only

Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Version:
    """A file as it was at one look.

    Args:
        digest: of its content; None where that is not known, and the stamp has to do.
        fresh: it was changed so shortly before that another change may leave the stamp as it is.
    """

    stamp: Stamp
    digest: bytes | None
    fresh: bool

    @property
    def changed_at(self) -> float:
        """When it was written, renamed or given this content, in seconds since the epoch."""
        return self.stamp[1] / 1e9


UNKNOWN = Version((0, 0, 0, 0, 0), b"", fresh=False)  # differs from everything there is


def stamp_of(file: str) -> Stamp | None:
    """Tells one version of a file from another; None while there is no such file (an editor may be at work)."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def version_of(file: str, most_bytes: int = MOST_BYTES) -> Version | None:
    """A file as it is now. What is written while it is read has another stamp at the next look."""
    stamp = stamp_of(file)
    if stamp is None:
        return None
    return Version(stamp, _digest(file) if stamp[2] <= most_bytes else None, is_fresh(stamp[1]))


def is_fresh(changed_ns: int) -> bool:
    """Something changed then may change again without its time changing."""
    coarse = changed_ns % 1_000_000_000 == 0
    return time.time_ns() - changed_ns < (COARSE_FRESH_NS if coarse else FRESH_NS)


def same(one: Version | None, other: Version | None) -> bool:
    """Loading the one is loading the other."""
    if one is None or other is None:
        return one is other
    if one.digest is None or other.digest is None:
        return one.stamp == other.stamp
    return one.digest == other.digest


def _digest(file: str) -> bytes | None:
    found = hashlib.blake2b(digest_size=16)
    try:
        with open(file, "rb") as content:
            while chunk := content.read(CHUNK):
                found.update(chunk)
    except OSError:
        return None  # not ours to read
    return found.digest()
