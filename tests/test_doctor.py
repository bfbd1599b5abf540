"""`workbench doctor`: each check on a machine where the thing is there, and on one where it is not."""

import fcntl
import functools
import importlib.metadata
import json
import os
import pty
import resource
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.conftest import AGENTS, WAIT_S, child_environment, tagged, wait_until
from tests.defences import ROOT, defence
from workbench.cli.doctor import clock, kernel, limits, places, program, saves, terminal
from workbench.cli.doctor.container import check_container
from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.cli.doctor.trial import TrialError, in_a_fork
from workbench.model.options import Options
from workbench.model.settings import Settings
from workbench.process.cgroup import Groups

NEEDS_FILTERS = pytest.mark.skipif(not kernels.KNOWN, reason="system calls are not numbered here")


def run(
    folder: Path, *arguments: str, before: Callable[[], Any] | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The command as a script would run it; `before` runs in its process before it starts."""
    port = [] if "--port" in arguments else ["--port", "0"]
    return subprocess.run(
        [sys.executable, "-m", "workbench", "doctor", *port, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(**{"XDG_RUNTIME_DIR": str(folder), **environment}), preexec_fn=before,
    )  # fmt: skip


def examined(folder: Path, *arguments: str, **more: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit code, and its findings by name."""
    done = run(folder, "--json", *arguments, **more)
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return done.returncode, {finding["check"]: finding for finding in report["findings"]}


@pytest.fixture
def tag() -> str:
    """Marks the processes of one run of one test."""
    return uuid.uuid4().hex


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


# --- the whole command -------------------------------------------------------------------------------


def test_where_nothing_is_missing_it_ends_with_0_and_leaves_nothing(tmp_path: Path, tag: str) -> None:
    code, found = examined(tmp_path, TEST_TAG=tag)
    assert code == 0
    assert {finding["section"] for finding in found.values()} >= {
        "Program", "Kernel", "Limits", "Container", "Places", "Clock", "Terminal", "Hot reload",
    }  # fmt: skip
    assert all(found[name]["state"] == OK for name in ("reaping", "lifeline", "messages", "heartbeats", "helpers"))
    assert not [finding for finding in found.values() if finding["state"] == MISSING]
    assert not tagged(tag)
    assert [path.name for path in tmp_path.iterdir()] == ["workbench"]
    assert not list((tmp_path / "workbench").iterdir())


def test_in_a_pipe_each_line_fits_80_columns_has_a_word_and_no_colours(tmp_path: Path) -> None:
    done = run(tmp_path, str(AGENTS / "thread_at_import.py"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, [line for line in lines if "/" not in line])) <= 80  # a long path is not broken
    assert "\x1b" not in done.stdout
    heads = [line for line in lines if line[2:3] in ("✓", "!", "✗")]
    assert {line.split()[1] for line in heads} == {OK, NOTE}
    assert lines[-1].startswith("All that a worker needs is here; ")


def test_where_signs_cannot_be_written_plain_ones_stand(tmp_path: Path) -> None:
    done = run(tmp_path, PYTHONIOENCODING="ascii")
    assert "  + ok " in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("no_color", ["", "1"])
@defence(("workbench/cli/doctor/report.py", ' and not os.environ.get("NO_COLOR")', ""))
def test_on_a_terminal_it_has_colours_unless_they_are_not_wanted(tmp_path: Path, no_color: str) -> None:
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "doctor", "--port", "0"],
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TERM="xterm-256color", NO_COLOR=no_color),
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        while part := os.read(mine, 65536):
            written += part
    except OSError:  # how the end of a terminal is told
        os.close(mine)
    assert process.wait(WAIT_S) == 0
    assert (b"\x1b[32m" in written) is (no_color == "")
    text = " ".join(written.decode().split())
    assert "stdin, stdout and stderr are a terminal (TERM=xterm-256color)" in text
    assert "90 columns and 24 lines" in text
    assert ("NO_COLOR is set" if no_color else "256 colours") in text


def test_textual_is_not_loaded_for_it(tmp_path: Path) -> None:
    code = (
        "import sys; from workbench.cli import main; main(['doctor', '--json']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=True,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "workbench.cli.doctor.command" in done.stderr.split()
    assert "textual" not in done.stderr.split()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jsn"], "did you mean --json?"),
        (["a.py", "b.py"], "unexpected argument 'b.py'"),
        (["--max-processes", "0"], "must be a whole number from 1"),
    ],
)
def test_a_mistake_in_its_arguments_is_told_and_nothing_is_tried(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


@defence(
    (
        "workbench/cli/doctor/command.py",
        "            print(mask.json(_as_json(parsed, {}, error, error.exit_code)))\n",
        "            pass\n",
    )
)
def test_options_that_cannot_be_are_told_in_json_too(tmp_path: Path) -> None:
    done = run(tmp_path, "--json", "--max-processes", "0")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["findings"]) == (2, 2, [])
    assert "must be a whole number from 1" in report["problem"][0]
    assert report["problem"][0] in done.stderr


@defence(("workbench/cli/doctor/ending.py", "        if handler is not signal.SIG_IGN:", "        if False:"))
@defence(("workbench/cli/doctor/ending.py", "        if code:", "        if False:"))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("moment", ["saves", "agent"])
def test_a_signal_ends_it_and_everything_is_put_back(
    tmp_path: Path, tag: str, number: signal.Signals, moment: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import watchfiles\nimport workbench.cli.doctor.saves as saves\n"
        "saves.WAIT_S, real = 600, watchfiles.watch\n"
        "watchfiles.watch = lambda *given, **more: (set() for _ in real(*given, **more))  # no save is ever told\n"
    )
    (tmp_path / "bot.py").write_text("import time\nopen('begun', 'x').close()\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "doctor", "--port", "0", *(["bot.py"] if moment == "agent" else [])],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), PYTHONPATH=f"{tmp_path}:{ROOT}", TEST_TAG=tag),
    )  # fmt: skip
    sign = tmp_path / ("begun" if moment == "agent" else f".workbench-doctor-{process.pid}")
    wait_until(sign.exists, "it has come so far")
    process.send_signal(number)
    assert process.wait(WAIT_S) == 128 + number
    assert not list(tmp_path.glob(".workbench-doctor-*"))
    wait_until(lambda: not tagged(tag), "nothing is left of it")


@defence(("workbench/cli/doctor/command.py", "except Exception as error:", "except OSError as error:"))
def test_a_check_that_cannot_be_made_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import workbench.cli.doctor.clock as clock\ndef broken(root): raise ValueError('boom')\n"
        "clock._steady = broken\n"
    )
    code, found = examined(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert code == 1  # nothing was found to be missing, but not all is known
    assert not found["clock"]["checked"]
    assert found["clock"]["found"] == "This could not be checked: ValueError: boom."
    assert "saves" in found


# --- the agent ---------------------------------------------------------------------------------------


def test_an_agent_is_loaded_up_to_a_process_that_is_ready(tmp_path: Path, tag: str) -> None:
    code, found = examined(tmp_path, str(AGENTS / "ledger.py"), TEST_TAG=tag)
    assert code == 0
    assert found["start method"]["figures"] == {"start_method": "zygote", "against_fork": []}
    assert found["agent"]["figures"]["load_ms"] > 0
    warm = found["warm process"]["figures"]
    assert warm["ready_ms"] > 0
    assert 0.5 < warm["own_mb"] < 100
    assert warm["files_each"] == 6 == found["open files"]["figures"]["each"]
    assert not tagged(tag)


@defence(("workbench/cli/doctor/agent.py", 'list(loaded.get("against_fork") or [])', "[]"))
def test_an_agent_with_a_thread_is_spawned_and_the_thread_is_named(tmp_path: Path) -> None:
    code, found = examined(tmp_path, str(AGENTS / "thread_at_import.py"))
    method = found["start method"]
    assert (code, method["state"], method["figures"]["start_method"]) == (0, NOTE, "spawn")
    assert "price-poller" in method["found"]
    assert found["warm process"]["figures"]["files_each"] > 6  # a program of its own for each


def test_where_a_slow_import_stands_is_shown(tmp_path: Path) -> None:
    code = "import time\ntime.sleep(2.5)  # a model\nasync def entrypoint(ctx): pass\n"
    (tmp_path / "slow.py").write_text(code)
    done = run(tmp_path, "slow.py")
    assert done.returncode == 0
    assert "still loading slow.py: " in done.stdout
    assert "slow.py:2" in done.stdout


def test_a_start_method_that_was_asked_for_is_told_with_what_stands_against_it(tmp_path: Path) -> None:
    forced = examined(tmp_path, str(AGENTS / "thread_at_import.py"), "--start-method", "zygote")[1]["start method"]
    assert forced["state"] == NOTE
    assert "in spite of Python threads started while loading: price-poller" in forced["found"]
    asked = examined(tmp_path, str(AGENTS / "ledger.py"), "--start-method", "spawn")[1]["start method"]
    assert "as asked for; nothing stands against `zygote`" in asked["found"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("from workbench import WorkerJob\nasync def entrypoint(ctx):\n    await ctx.connect(\n", 3),
        ("raise ValueError('no key')\n", 3),
        ("import os\nos._exit(5)\n", 3),
        ("from workbench import WorkerJob, Options\nasync def entrypoint(ctx): pass\n"
         "def prewarm(process): raise RuntimeError('no model')\nWorkerJob(entrypoint, prewarm=prewarm).start()\n", 3),
        ("from workbench import WorkerJob, Options\nasync def entrypoint(ctx): pass\n"
         "WorkerJob(entrypoint, options=Options(max_processes=2, num_idle_processes=3)).start()\n", 2),
    ],
    ids=["syntax", "raises", "exits", "prewarm", "options"],
)  # fmt: skip
@defence(("workbench/cli/doctor/command.py", "        raise masked(failure, mask)\n", "        pass\n"))
def test_an_agent_that_does_not_load_is_told_as_the_worker_tells_it(
    tmp_path: Path, tag: str, source: str, code: int
) -> None:
    (tmp_path / "bot.py").write_text(source)
    done = run(tmp_path, "bot.py", TEST_TAG=tag)
    worker = subprocess.run(
        [sys.executable, "-m", "workbench", "bot.py", "--no-tui", "--port", "0", "--log-format", "text"],
        cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert done.returncode == code == worker.returncode
    told = done.stderr.strip()
    assert told
    assert worker.stderr.strip().endswith(told)
    assert "bot.py cannot be loaded. The reason stands below." in " ".join(done.stdout.split())
    assert done.stdout.splitlines()[-1].startswith("The agent cannot be loaded")
    assert not tagged(tag)


def test_an_agent_that_is_not_there_is_told_and_the_machine_is_looked_at(tmp_path: Path) -> None:
    done = run(tmp_path, "nope.py", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] == 3
    assert report["problem"] == ["no file 'nope.py'"]
    assert len(report["findings"]) > 15


@defence(("workbench/cli/doctor/command.py", "self._settings = self._trial.settings", "pass"))
def test_the_agents_own_options_are_what_the_limits_are_held_against(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(
        "from workbench import WorkerJob, Options\nasync def entrypoint(ctx): pass\n"
        "WorkerJob(entrypoint, options=Options(max_processes=7, num_idle_processes=4, port=0)).start()\n"
    )
    found = examined(tmp_path, "bot.py")[1]
    assert found["open files"]["figures"]["needed"] == 7 * 6 + limits.SPARE_FILES
    assert found["processes"]["figures"]["made"] == 7 + limits.SPARE_PROCESSES


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


# --- places ------------------------------------------------------------------------------------------


@defence(
    (
        "workbench/cli/doctor/places.py",
        "        _try_socket(folder)\n        _try_file(folder)\n",
        "        folder.stat()\n",
    )
)
def test_a_run_folder_that_cannot_be_written_is_missing(tmp_path: Path) -> None:
    (tmp_path / "workbench").mkdir(mode=0o500)
    code, found = examined(tmp_path, before=kernels.as_any_user)
    assert (code, found["run folder"]["state"]) == (2, MISSING)
    assert "cannot be used: Permission denied" in found["run folder"]["found"]
    assert "Set XDG_RUNTIME_DIR" in found["run folder"]["follows"]


def test_a_run_folder_of_somebody_else_is_missing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "workbench").symlink_to(tmp_path / "elsewhere")
    code, found = examined(tmp_path)
    assert (code, found["run folder"]["state"]) == (2, MISSING)
    assert "is not owned by this user" in found["run folder"]["found"]


def test_a_run_folder_whose_path_is_too_long_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    code, found = examined(tmp_path, XDG_RUNTIME_DIR=str(folder))
    assert code == 2
    assert "too long for a socket" in found["run folder"]["found"]


def test_a_runtime_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    code, found = examined(tmp_path, XDG_RUNTIME_DIR="/nowhere", TMPDIR=str(tmp_path))
    assert (code, found["run folder"]["state"]) == (0, NOTE)
    assert "XDG_RUNTIME_DIR is /nowhere" in found["run folder"]["follows"]
    assert found["run folder"]["figures"]["path"].startswith(str(tmp_path))


def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(places, "LOW_MB", float("inf"))
    assert places.check_run_folder().state == NOTE


@defence(("workbench/cli/doctor/places.py", 'if settings.chosen("port"):', "if False:"))
def test_a_port_that_was_chosen_and_is_taken_is_missing_and_its_holder_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, found = examined(tmp_path, "--port", str(port))
        assert (code, found["port"]["state"]) == (2, MISSING)
        assert f"(pid {os.getpid()})" in found["port"]["found"]
        nobody_chose = Settings(Options.model_construct(host="127.0.0.1", port=port), {})
        by_default = places.check_port(nobody_chose)
    assert by_default.state == NOTE
    assert "The workbench takes a free one" in by_default.follows
    assert places.check_port(nobody_chose).state == OK


def test_a_host_that_is_not_here_is_missing(tmp_path: Path) -> None:
    code, found = examined(tmp_path, "--host", "192.0.2.1")
    assert (code, found["port"]["state"]) == (2, MISSING)
    assert "Choose others: host is set by --host" in found["port"]["follows"]


# --- hot reload --------------------------------------------------------------------------------------


@defence(("workbench/cli/doctor/saves.py", "            trial.unlink()\n", "            pass\n"))
def test_a_save_is_heard_of_and_the_folder_is_as_it_was(tmp_path: Path) -> None:
    found = by_name(saves.check_saves(tmp_path))["saves"]
    assert found.state == OK
    assert not list(tmp_path.iterdir())


def test_without_watches_saves_are_polled_for(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {"proc/sys/fs/inotify/max_user_watches": "0\n", "proc/sys/fs/inotify/max_user_instances": "128\n"},
    )
    found = by_name(saves.check_saves(tmp_path, root))["watches"]
    assert found.state == NOTE
    assert "twice a second" in found.follows
    assert by_name(saves.check_saves(tmp_path, tmp_path / "no"))["watches"].state == NOTE


def test_a_watch_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    def judged() -> dict[str, Any]:
        import watchfiles  # noqa: F401  # importing needs files, too

        top = max(int(name) for name in os.listdir("/proc/self/fd"))
        while os.dup(0) < top:
            continue
        resource.setrlimit(resource.RLIMIT_NOFILE, (top + 2, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return by_name(saves.check_saves(tmp_path))["saves"].to_json("")

    found = in_a_fork(judged)
    assert found["state"] == NOTE
    assert found["found"].startswith(f"The watch on {tmp_path} failed")
    assert "twice a second" in found["follows"]


def test_a_folder_where_nothing_can_be_saved_is_told() -> None:
    found = by_name(saves.check_saves(Path("/proc/self")))["saves"]
    assert found.state == NOTE
    assert found.found.startswith("Nothing can be written in /proc/self")


def test_a_save_that_is_not_told_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saves, "WAIT_S", 0.0)
    found = by_name(saves.check_saves(tmp_path))["saves"]
    assert found.state == NOTE
    assert "was not told within 0 s" in found.found


# --- terminal, clock, program ------------------------------------------------------------------------


def test_without_a_terminal_it_says_where_there_is_none_and_what_follows(tmp_path: Path) -> None:
    found = examined(tmp_path)[1]["terminal"]
    assert found["state"] == NOTE
    assert found["figures"]["not_a_terminal"] == ["stdin", "stdout", "stderr"]
    assert "runs headless" in found["found"]


def test_a_dumb_or_small_or_plain_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd=1: os.terminal_size((40, 10)))
    assert "TERM is dumb" in terminal.check_terminal({"TERM": "dumb"})[0].found
    found = by_name(terminal.check_terminal({"TERM": "xterm", "NO_COLOR": "1"}))
    assert found["size"].state == NOTE
    assert "needs 50 by 20" in found["size"].follows
    assert found["colours"].figures["no_color"] is True


def test_clocks_that_stand_or_lie_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"})
    found = by_name(clock.check_clock(root))
    assert {one.state for one in found.values()} == {OK}
    assert found["steady clock"].figures["source"] == "hpet"
    monkeypatch.setattr(clock, "SLOW_NS", 0)
    assert by_name(clock.check_clock(root))["steady clock"].state == NOTE
    monkeypatch.setattr(clock.time, "time", lambda: 1000.0)
    assert by_name(clock.check_clock(root))["wall clock"].state == NOTE
    monkeypatch.setattr(clock.time, "monotonic", lambda: 5.0)
    assert by_name(clock.check_clock(root))["steady clock"].state == MISSING


def test_libraries_that_are_missing_or_of_another_age_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["aiohttp<2", "pydantic>=2", "nosuchlibrary>=1", "textual>=99", "pytest>=1 ; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    found = by_name(program.check_libraries())
    assert found["libraries"].figures.keys() == {"pydantic"}
    assert (found["aiohttp"].state, found["textual"].state) == (NOTE, NOTE)
    assert found["nosuchlibrary"].state == MISSING
    assert "-m pip install 'nosuchlibrary>=1'" in found["nosuchlibrary"].follows
    assert "pytest" not in found


def test_a_python_that_is_too_old_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.check_python().state == OK
    monkeypatch.setattr(program.metadata, "metadata", lambda name: {"Requires-Python": ">=9.1"})
    assert program.check_python().state == MISSING


@pytest.mark.parametrize(
    ("versions", "version", "allowed"),
    [
        (">=8.2,<9", "8.10.1", True),
        (">=8.2,<9", "8.1.9", False),
        (">=8.2,<9", "9.0", False),
        ("==1.1.0", "1.1.0", True),
        (">=2.10", "2.9", False),
        ("", "1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(versions: str, version: str, allowed: bool) -> None:
    assert program.allows(versions, version) is allowed


@pytest.mark.parametrize(
    ("uid", "pid", "state", "words"), [(0, 1, NOTE, "process 1"), (54321, 7, OK, "without a name")]
)
def test_root_and_process_1_are_told(
    monkeypatch: pytest.MonkeyPatch, uid: int, pid: int, state: str, words: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "getpid", lambda: pid)
    found = program.check_user()
    assert found.state == state
    assert words in found.found
