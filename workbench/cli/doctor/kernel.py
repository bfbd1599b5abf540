"""What the worker's process machinery asks of the kernel: each thing is done once, by the worker's own code."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.cli.doctor.trial import TrialError, fork_and, in_a_fork
from workbench.process import beats, lifeline
from workbench.process.reaper import Reaper, become_subreaper
from workbench.process.sampling import ProcFiles, exact_mb
from workbench.process.tree import children_of, parent_of

EXIT_CODE = 7  # of the orphan whose end must be heard of
WAIT_S = 5
READY = b"ready"


def check_kernel() -> list[Finding]:
    """Every feature that processes are made, watched and ended with."""
    if not os.path.exists("/proc/self/stat"):
        why = "A worker learns all about its processes there. Mount it; most other lines fail for want of it."
        return [Finding("procfs", MISSING, "/proc is not mounted.", why), *_features()]
    return _features()


def _features() -> list[Finding]:
    return [
        _tried(
            "reaping", reaping, "An orphan's end was heard of with its exit code: no end of a job is missed.",
            "Ends of jobs cannot be heard of (PR_SET_CHILD_SUBREAPER, waitid). A sandbox or an old kernel forbids it; "
            "use another.",
        ),
        _tried(
            "lifeline", lifeline_kills, "The kernel killed a process when its pipe closed: no job outlives its worker.",
            "Jobs would live on when the worker is killed (F_SETSIG, F_SETOWN, O_ASYNC, /proc/self/fd). "
            "A sandbox or an old kernel forbids it; use another.",
        ),
        _tried(
            "messages", messages, "A message and an open file went through a socket: processes can be handed out.",
            "No process can be made without unix sockets of the kind SOCK_SEQPACKET and SCM_RIGHTS. "
            "A sandbox or an old kernel forbids them; use another.",
        ),
        _tried(
            "heartbeats", shared_beats, "A beat written by another process was read from shared memory.",
            "The worker cannot start without memfd_create and shared memory. "
            "A sandbox or an old kernel forbids them; use another.",
        ),
        _tried(
            "helpers", process_table, "procfs shows a process, and what it started: stops and limits reach helpers.",
            "What a job starts is not counted, and not ended with it. Mount /proc without hidepid, "
            "on a kernel with CONFIG_PROC_CHILDREN.",
        ),
        _tried(
            "own memory", own_memory, "procfs tells how much memory is a process's own (smaps_rollup).",
            "Jobs are judged by resident memory, which counts shared pages, too: memory limits bite some MB early.",
            otherwise=NOTE,
        ),
    ]  # fmt: skip


def _tried(name: str, trial: Callable[[], None], works: str, follows: str, otherwise: str = MISSING) -> Finding:
    try:
        in_a_fork(trial)
    except TrialError as error:
        return Finding(name, otherwise, f"Tried, and it failed: {error}.", follows)
    return Finding(name, OK, works)


def reaping() -> None:
    """An orphan becomes this process's child, and the reaper hears of its end."""
    become_subreaper()
    pid_read, pid_write = os.pipe()
    hold_read, hold_write = os.pipe()

    def orphan() -> None:
        os.close(hold_write)
        os.read(hold_read, 1)
        os._exit(EXIT_CODE)

    between = fork_and(lambda: _tell(pid_write, fork_and(orphan)))
    os.close(pid_write)
    pid = int(os.read(pid_read, 20))
    os.waitpid(between, 0)
    if parent_of(pid) != os.getpid():
        raise TrialError("an orphan went to another process than its subreaper")
    os.close(hold_read)
    asyncio.run(_hear(pid, hold_write))


async def _hear(pid: int, hold_write: int) -> None:
    reaper, ended = Reaper(), asyncio.get_running_loop().create_future()
    reaper.start()
    reaper.claim(pid, ended.set_result, since=0.0)
    os.close(hold_write)
    try:
        status = await asyncio.wait_for(ended, WAIT_S)
    except TimeoutError:
        raise TrialError("nobody was told of the end of a process") from None
    finally:
        reaper.stop()
    if status.exit_code != EXIT_CODE:
        raise TrialError(f"a process left with exit code {EXIT_CODE}, and {status} was told")


def lifeline_kills() -> None:
    """A process tied to a pipe is killed by the kernel when that closes."""
    read, write = os.pipe()
    ready_read, ready_write = os.pipe()

    def tied() -> None:
        os.setsid()
        os.close(write)
        try:
            lifeline.attach(read)
        except OSError as error:
            os.write(ready_write, str(error.strerror).encode())
            return
        os.write(ready_write, READY)
        signal.pause()

    pid = fork_and(tied, WAIT_S)
    os.close(ready_write)
    ready = os.read(ready_read, 200)
    os.close(write)
    status = os.waitpid(pid, 0)[1]
    if ready != READY:
        raise TrialError(ready.decode() or "the signal could not be asked for")
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        raise TrialError(f"the process lived on for {WAIT_S} s")


def messages() -> None:
    """Two messages stay two, and a descriptor goes along."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()

    def answer() -> None:
        here.close()
        os.close(write)
        data, fds, _, _ = socket.recv_fds(there, 100, 1)
        os.write(fds[0], data + b" " + there.recv(100))

    pid = fork_and(answer)
    there.close()
    socket.send_fds(here, [b"one"], [write])
    here.send(b"two")
    os.close(write)
    told = os.read(read, 100)
    os.waitpid(pid, 0)
    if told != b"one two":
        raise TrialError(f"{told!r} came through")


def shared_beats() -> None:
    """What one process writes on the page of beats, the other reads."""
    fd = beats.create()
    page = beats.Beats(fd)
    now = time.monotonic()
    os.waitpid(fork_and(lambda: beats.Beats(fd).write(0, now, 0.5)), 0)
    if page.read(0) != (now, 0.5):
        raise TrialError("memory that was shared is not")


def process_table() -> None:
    """A child is found below this process, and its figures can be read."""

    def look(pid: int) -> None:
        files = ProcFiles(pid)
        if pid not in children_of(os.getpid()):
            raise TrialError("/proc/PID/task/TID/children does not list a child")
        if not files.memory_pages():
            raise TrialError("/proc/PID/statm cannot be read")

    _beside_a_child(look)


def own_memory() -> None:
    """The kernel says what of a child's memory is its own."""

    def look(pid: int) -> None:
        if not exact_mb(pid, ()):
            raise TrialError("/proc/PID/smaps_rollup cannot be read")

    _beside_a_child(look)


def _beside_a_child(look: Callable[[int], None]) -> None:
    read, write = os.pipe()

    def wait() -> None:
        os.close(write)
        os.read(read, 1)

    pid = fork_and(wait)
    try:
        look(pid)
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def _tell(fd: int, pid: int) -> None:
    os.write(fd, str(pid).encode())
