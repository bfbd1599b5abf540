"""The limit of open descriptors: each process costs the supervisor six, and the usual soft limit is low."""

import errno
import os
import resource

WANTED = 65_536


def raise_limit() -> int:
    """Raise the soft limit as far as it may go; what it was before, for the agent's own processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if 0 <= soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft


def fill_standard() -> None:
    """Open what the agent closed of 0, 1 and 2: else what is received next gets such a number, and is overwritten."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def restore_limit(soft: int) -> None:
    """In a process for the agent: libraries that use `select` must not meet descriptors above 1023."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def words(error: OSError) -> str:
    """The kernel's words, with the figures when descriptors have run out."""
    if error.errno != errno.EMFILE:
        return error.strerror or str(error)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"{os.strerror(errno.EMFILE)} (limit {soft}, at most {hard}; a process needs 6: raise `ulimit -n`)"
