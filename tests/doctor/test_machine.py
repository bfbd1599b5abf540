"""What the kernel, the limits and the container give, on a machine where it is there, and on one where it is not."""

import functools
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.conftest import AGENTS, WAIT_S
from tests.defences import defence
from tests.doctor.trying import NEEDS_FILTERS, by_name, examined, tree
from workbench.cli.doctor import kernel, limits
from workbench.cli.doctor.container import check_container
from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.cli.doctor.trial import TrialError, in_a_fork
from workbench.model.options import Options
from workbench.process.cgroup import Groups

# --- kernel ------------------------------------------------------------------------------------------


@NEEDS_FILTERS
@pytest.mark.parametrize(
    ("names", "call"),
    [
        ({"reaping"}, ("prctl", 0, 36)),
        ({"reaping"}, ("waitid",)),
        ({"lifeline"}, ("fcntl", 1, 10)),
        ({"messages"}, ("socketpair", 1, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)),
        ({"heartbeats"}, ("memfd_create",)),
    ],
    ids=["subreaper", "waitid", "setsig", "seqpacket", "memfd"],
)
@defence(("workbench/cli/doctor/kernel.py", "otherwise: str = MISSING", "otherwise: str = NOTE"))
def test_what_the_kernel_refuses_is_missing(tmp_path: Path, names: set[str], call: tuple[Any, ...]) -> None:
    code, found = examined(tmp_path, before=functools.partial(kernels.refuse, *call))
    assert code == 2
    assert {name for name, finding in found.items() if finding["state"] == MISSING} == names
    (name,) = names
    assert "Operation not permitted" in found[name]["found"]
    assert found[name]["follows"]


@defence(
    (
        "workbench/cli/doctor/kernel.py",
        "if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:",
        "if False:",
    )
)
def test_a_lifeline_that_does_not_kill_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "WAIT_S", 1)
    monkeypatch.setattr(kernel.lifeline, "attach", lambda fd: fd)
    found = by_name(kernel.check_kernel())["lifeline"]
    assert (found.state, found.found) == (MISSING, "Tried, and it failed: the process lived on for 1 s.")


@defence(("workbench/cli/doctor/kernel.py", "if page.read(0) != (now, 0.5):", "if False:"))
def test_a_page_that_is_not_shared_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.beats.Beats, "write", lambda self, slot, at, lag: None)
    assert by_name(kernel.check_kernel())["heartbeats"].state == MISSING


@pytest.mark.parametrize(
    ("name", "answer", "check", "state"),
    [("children_of", [], "helpers", MISSING), ("exact_mb", None, "own memory", NOTE)],
)
def test_a_procfs_that_does_not_tell_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str, answer: Any, check: str, state: str
) -> None:
    monkeypatch.setattr(kernel, name, lambda *pids: answer)
    found = by_name(kernel.check_kernel())[check]
    assert found.state == state
    assert "/proc/PID/" in found.found


def test_a_procfs_that_is_not_mounted_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.os.path, "exists", lambda path: not path.startswith("/proc"))
    first = kernel.check_kernel()[0]
    assert (first.check, first.state) == ("procfs", MISSING)


def test_a_trial_that_is_killed_or_hangs_is_told() -> None:
    with pytest.raises(TrialError, match="killed by SIGSYS"):
        in_a_fork(lambda: os.kill(os.getpid(), signal.SIGSYS))
    with pytest.raises(TrialError, match="killed by SIGALRM"):
        in_a_fork(lambda: time.sleep(WAIT_S), limit_s=1)


# --- limits ------------------------------------------------------------------------------------------


def few_files(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@defence(("workbench/cli/doctor/limits.py", 'if seen["opened"] >= figures["needed"]:', "if True:"))
def test_a_low_soft_limit_of_files_is_raised_and_a_low_hard_one_is_missing(tmp_path: Path) -> None:
    code, found = examined(tmp_path, "--max-processes", "50", before=few_files(64, 600))
    files = found["open files"]
    assert (code, files["state"], files["figures"]["soft"]) == (0, OK, 64)
    assert "A worker raises its own soft limit." in files["follows"]
    code, found = examined(tmp_path, "--max-processes", "50", before=few_files(64, 200))
    files = found["open files"]
    assert (code, files["state"], files["figures"]["needed"]) == (2, MISSING, 50 * 6 + limits.SPARE_FILES)
    room = (200 - files["figures"]["used"] - limits.SPARE_FILES) // 6
    assert f"There is room for {room}. Raise the hard limit to" in files["follows"]


@defence(
    (
        "workbench/cli/doctor/agent.py",
        "        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))\n",
        "        pass\n",
    )
)
def test_the_soft_limit_of_files_is_told_as_it_was_before_the_agent_was_tried(tmp_path: Path) -> None:
    agent = str(AGENTS / "ledger.py")
    code, found = examined(tmp_path, agent, "--max-processes", "50", before=few_files(64, 600))
    files = found["open files"]
    assert (code, files["state"], files["figures"]["soft"]) == (0, OK, 64)
    assert "A worker raises its own soft limit." in files["follows"]


def test_a_low_limit_of_processes_is_missing() -> None:
    def judged() -> list[str]:
        resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
        if os.getuid() == 0:
            os.setuid(54321)  # nobody else's processes count, and root's are not limited
        return [finding.state for finding in limits.check_limits(5, Groups())]

    assert MISSING in in_a_fork(judged)


@defence(("workbench/cli/doctor/limits.py", " or room < wanted", ""))
def test_a_container_with_few_processes_left_is_told(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/cgroup.controllers": "pids",
            "sys/fs/cgroup/pod/pids.max": "20",
            "sys/fs/cgroup/pod/pids.current": "16",
            "sys/fs/cgroup/pod/box/pids.max": "max",
        },
    )
    found = by_name(limits.check_limits(5, Groups(root)))["processes"]
    assert found.state == MISSING
    assert "5 jobs may need 8 at once, and there is room for 4" in found.found
    assert by_name(limits.check_limits(1, Groups(root)))["processes"].state == OK


# --- container ---------------------------------------------------------------------------------------


V2 = {
    "proc/self/cgroup": "0::/pod/box\n",
    "proc/meminfo": "MemTotal:       16000000 kB\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory",
    "sys/fs/cgroup/pod/cpu.max": "50000 100000",
    "sys/fs/cgroup/pod/cpu.stat": "usage_usec 1000",
    "sys/fs/cgroup/pod/memory.max": "2000000000",
    "sys/fs/cgroup/pod/memory.current": "100000000",
    "sys/fs/cgroup/pod/memory.oom.group": "0",
    "sys/fs/cgroup/pod/box/cpu.max": "max 100000",
    "sys/fs/cgroup/pod/box/memory.max": "max",
    "sys/fs/cgroup/pod/box/memory.oom.group": "0",
}
V1 = {
    "proc/self/cgroup": "5:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/box\n",
    "proc/meminfo": "MemTotal:       16000000 kB\n",
    "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2000000000",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000",
    "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
    "sys/fs/cgroup/cpuacct/box/cpuacct.usage": "1000",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
}


def contained(root: Path, **options: Any) -> dict[str, Finding]:
    return by_name(check_container(Options(**options), Groups(root), root))


@pytest.mark.parametrize("files", [V2, V1], ids=["v2", "v1"])
@defence(("workbench/cli/doctor/container.py", "if jobs * each_mb * MB > most:", "if False:"))
def test_quota_and_memory_of_a_container_are_found_on_whatever_level(tmp_path: Path, files: dict[str, str]) -> None:
    found = contained(tree(tmp_path, files), memory_limit_mb=500, max_processes=5)
    assert (found["cpu"].state, found["cpu"].figures["quota"], found["cpu"].figures["cores"]) == (OK, 0.5, 0.5)
    assert found["memory"].state == NOTE
    assert found["memory"].figures == {"limit_mb": 2000, "machine_mb": 16384, "needed_mb": 2500}
    assert "Set it to 400 at most" in found["memory"].follows
    fits = contained(tmp_path, memory_limit_mb=400, max_processes=5)["memory"]
    assert fits.state == OK
    unlimited = contained(tmp_path, max_processes=5)["memory"]
    assert unlimited.state == NOTE
    assert "Set memory_limit_mb, at most 400." in unlimited.follows


def test_a_quota_whose_use_cannot_be_read_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path, V2)
    (root / "sys/fs/cgroup/pod/cpu.stat").unlink()
    found = contained(root)["cpu"]
    assert found.state == NOTE
    assert "use `--load jobs`" in found.follows


@pytest.mark.parametrize("place", ["pod", "pod/box"])
@defence(("workbench/cli/doctor/container.py", "if together is None:", "if True:"))
def test_a_group_that_is_killed_as_a_whole_is_told(tmp_path: Path, place: str) -> None:
    root = tree(tmp_path, V2)
    assert contained(root)["oom kills"].state == OK
    (root / "sys/fs/cgroup" / place / "memory.oom.group").write_text("1")
    found = contained(root)["oom kills"]
    assert found.state == NOTE
    assert str(root / "sys/fs/cgroup" / place) in found.found
    assert "the worker and all its jobs at once" in found.follows


def test_a_machine_that_does_not_tell_its_memory_is_told(tmp_path: Path) -> None:
    found = contained(tmp_path)["memory"]
    assert (found.state, found.found) == (NOTE, "The kernel does not say how much memory there is.")


def test_without_groups_the_machine_counts(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/meminfo": "MemTotal:       16000000 kB\n"})
    found = contained(root, memory_limit_mb=500, max_processes=5)
    assert found["cpu"].figures["version"] == 0
    assert found["memory"].state == OK
    assert "16,384 MB in this machine; 5 jobs of at most 500 MB may take 2,500 MB." in found["memory"].found
