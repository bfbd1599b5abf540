"""Nothing outlives the supervisor: a pipe whose write end only it holds.

Every child has the kernel send SIGKILL to its whole process group when that pipe closes. This needs no
thread and reaches a child whose loop hangs; PR_SET_PDEATHSIG would follow the thread that forked, and in a
zygote's children it would follow the zygote.
"""

import fcntl
import os
import select
import signal

F_SETSIG = getattr(fcntl, "F_SETSIG", 10)


def attach(read_end: int) -> int:
    """Tie this process's group to the supervisor's life; the descriptor to keep open.

    Each child needs an open file description of its own (the signal's owner belongs to the description), so
    the pipe is opened anew through procfs. Inheritable on purpose: a helper that keeps it open keeps the
    group's entry alive when the group's leader is gone first.
    """
    fd = os.open(f"/proc/self/fd/{read_end}", os.O_RDONLY | os.O_NONBLOCK)
    os.set_inheritable(fd, True)
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(fd, 0)
    if poll.poll(0):  # the supervisor was gone before the signal was asked for
        end_group()
    os.dup2(fd, read_end, inheritable=True)
    os.close(fd)
    return read_end


def wake_instead(fd: int) -> None:
    """When the pipe closes, do not end this process's group but wake it, even if it was stopped.

    For one that learns of the supervisor's end by itself, and has something to do before it ends the group.
    """
    fcntl.fcntl(fd, F_SETSIG, signal.SIGCONT)


def end_group() -> None:
    """Take the whole process group along: leaving alone would let helpers live on."""
    os.killpg(0, signal.SIGKILL)
