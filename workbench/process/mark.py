"""Whose process is it: a mark in the environment of everything that a zygote or a job starts.

The environment that `/proc/PID/environ` shows is the one a program was started with. A program that a job runs
carries the job's mark in it by itself; a mere fork of the job would show the zygote's. So a job writes its mark
over the zygote's in the memory that the kernel reads there.
"""

import os

NAME = "WORKBENCH_PROCESS"
WIDTH = 32  # every mark has this length: one is written over another
_PREFIX = f"{NAME}=".encode()


def of_generation(supervisor: int, generation: int) -> str:
    """The mark of a zygote, and of what loading the agent started."""
    return f"{supervisor}-g{generation}".ljust(WIDTH, ".")


def of_process(supervisor: int, process_id: int) -> str:
    """The mark of a job's process."""
    return f"{supervisor}-{process_id}".ljust(WIDTH, ".")


def parse(mark: str) -> tuple[int, str]:
    """The supervisor's pid, and the process id or `g` and the generation; (0, "") for no mark of ours."""
    owner, _, name = mark.rstrip(".").partition("-")
    return (int(owner), name) if owner.isdecimal() and name else (0, "")


def read(pid: int) -> str:
    """The mark of a process; empty without one, or when its environment cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            raw = file.read(1 << 20)
    except OSError:
        return ""
    at = (b"\0" + raw).find(b"\0" + _PREFIX)
    return os.fsdecode(raw[at + len(_PREFIX) :].partition(b"\0")[0]) if at >= 0 else ""


class Stamp:
    """This process's own mark. Made before the agent is loaded, which may do what it likes with its environment."""

    def __init__(self) -> None:
        self._address = _address()

    def put(self, mark: str) -> None:
        """Carry `mark` from here on: this process, its forks, and the programs it starts."""
        os.environ[NAME] = mark
        if not self._address:
            return
        try:
            memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return  # a locked-down kernel: helpers are then known by where they were last seen
        try:
            os.pwrite(memory, mark.encode(), self._address)
        finally:
            os.close(memory)


def _address() -> int:
    """Where the mark stands in the memory that the kernel shows as our environment; 0 when it is not there."""
    try:
        with open("/proc/self/stat", "rb") as stat:
            start = int(stat.read().rpartition(b")")[2].split()[47])  # env_start, field 50
        with open("/proc/self/environ", "rb") as environ:
            raw = environ.read()
    except (OSError, ValueError, IndexError):
        return 0
    at = (b"\0" + raw).find(b"\0" + _PREFIX)
    length = len(raw[at + len(_PREFIX) :].partition(b"\0")[0]) if at >= 0 else 0
    return start + at + len(_PREFIX) if length == WIDTH and start else 0
