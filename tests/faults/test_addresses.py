"""Addresses that cannot be had: exit 2 or 4, and never silently another one."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, Worker, child_environment, tagged, wait_until
from tests.defences import defence
from tests.test_cli import agent_file, workbench
from tests.workers import free_port, log_lines, until, until_ready
from workbench.client.client import Client
from workbench.client.owner import Owner
from workbench.model.errors import WorkbenchError

Start = Callable[..., Worker]
TEXT = ("--no-tui", "--log-format", "text")
ONCE = ("--no-tui", "--once", "--job-timeout", "0.1")  # one that runs although it must not ends by itself
TAG = uuid.uuid4().hex  # carried by what is started here, and by nothing else

# --- H8: two workers ---------------------------------------------------------------------------------


def worker_at(url: str) -> str:
    """The id of the worker that answers there."""
    with urllib.request.urlopen(f"{url}/worker", timeout=10) as answer:
        return str(json.load(answer)["worker_id"])


@defence(("workbench/server/binding.py", "if error.errno == errno.EADDRINUSE:", "if False:"))
@defence(("workbench/server/binding.py", 'f" by {psutil.Process(one.pid).name()} (pid {one.pid})"', '""'))
@defence(("workbench/model/errors.py", "    exit_code = 4\n", "    exit_code = 1\n"))
@pytest.mark.parametrize("layer", ["flag", "variable", "workbench.toml", "code"])
async def test_fault_H8_a_second_worker_at_the_same_port_ends_with_4_and_names_the_first(
    start_worker: Start, tmp_path: Path, layer: str
) -> None:
    port = free_port()
    first = start_worker("ledger.py", "--port", str(port))
    agent_file(tmp_path, f"port={port}" if layer == "code" else "")
    if layer == "workbench.toml":
        (tmp_path / layer).write_text(f"port = {port}\n")
    flags = ["--port", str(port)] if layer == "flag" else []
    environment = {"XDG_RUNTIME_DIR": str(first.folder)} | (
        {"WORKBENCH_PORT": str(port)} if layer == "variable" else {}
    )
    async with first.client() as client:
        await until_ready(client)
        run = workbench(tmp_path, "bot.py", *TEXT, *flags, TEST_TAG=TAG, **environment)
        assert run.returncode == 4, run.stderr
        in_use = f"127.0.0.1:{port} is in use by python"
        assert in_use in run.stderr
        assert f"(pid {first.process.pid}); choose another with --port" in run.stderr
        assert worker_at(f"http://127.0.0.1:{port}") == (await client.request("GET", "/worker"))["worker_id"]
    assert sorted(path.name for path in (first.folder / "workbench").iterdir()) == [
        f".{first.process.pid}.socket", f"ledger-{first.process.pid}.sock",
    ]  # fmt: skip
    wait_until(lambda: not tagged(TAG), "nothing is left of the second")


@defence(("workbench/cli/serve.py", 'if _picked(settings, "port") or not self.owned:', "if False:"))
def test_fault_H8_a_headless_worker_does_not_leave_the_default_port_for_another(tmp_path: Path) -> None:
    agent_file(tmp_path)
    with held(8081):
        run = workbench(tmp_path, "bot.py", *TEXT, TEST_TAG=TAG)
    assert run.returncode == 4, run.stderr
    assert "127.0.0.1:8081 is in use" in run.stderr
    wait_until(lambda: not tagged(TAG), "nothing is left of the second")


@contextlib.contextmanager
def held(port: int, host: str = "127.0.0.1") -> Any:
    """Somebody listens there: this process, or whoever does already."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server((host, port)))
        yield


# --- H9: addresses that cannot be had ----------------------------------------------------------------


@defence(
    (
        "workbench/server/binding.py",
        '        raise UsageError(f"host {host!r} cannot be',
        "        return bind('127.0.0.1', port)\n        raise UsageError(f\"host {host!r} cannot be",
    )
)
@defence(
    (
        "workbench/server/binding.py",
        "        raise UsageError(f\"host {host!r} is no host's",
        "        return bind('127.0.0.1', 0)\n        raise UsageError(f\"host {host!r} is no host's",
    )
)
@defence(
    (
        "workbench/server/binding.py",
        '        raise UsageError(f"cannot listen on',
        "        return bind('127.0.0.1', 0)\n        raise UsageError(f\"cannot listen on",
    )
)
@defence(("workbench/model/options.py", "ge=0, le=65535", "ge=-1, le=65536"))
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port=65536"], "port (--port): must be a whole number from 0 to 65,535, not '65536'"),
        (["--port=-1"], "port (--port): must be a whole number from 0 to 65,535, not '-1'"),
        (["--port=x"], "port (--port): must be a whole number from 0 to 65,535, not 'x'"),
        (["--host=a..b"], "host 'a..b' is no host's name"),
        (["--host=no-such-host.invalid"], "host 'no-such-host.invalid' cannot be resolved: "),
        (["--host=a\x1b[31mb"], "host (--host): must be a host's name or address"),
        (["--host=203.0.113.1"], "cannot listen on 203.0.113.1: Cannot assign requested address; give an"),
        (["--host=2001:db8::1", "--port=1234"], "cannot listen on [2001:db8::1]:1234: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["json", "text"])
def test_fault_H9_an_address_that_cannot_be_is_2_and_no_other_is_taken(
    tmp_path: Path, flags: list[str], words: str, form: str
) -> None:
    agent_file(tmp_path)
    run = workbench(tmp_path, "bot.py", *ONCE, "--log-format", form, *flags, TEST_TAG=TAG)
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()  # and none that says where it runs
    said = json.loads(line)["message"] if form == "json" else line.removeprefix("workbench: ")
    assert said.startswith(words)
    wait_until(lambda: not tagged(TAG), "nothing is left")


@defence(
    (
        "workbench/server/binding.py",
        '        raise UsageError(f"cannot listen on',
        '        return bind(host, 0)\n        raise UsageError(f"cannot listen on',
    )
)
@defence(("workbench/server/binding.py", "    errno.EACCES:", "    9999:"))
def test_fault_H9_a_port_for_root_only_is_2_and_no_other_is_taken(tmp_path: Path) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("this machine has no ports for root only")
    agent_file(tmp_path)
    program = (  # gives up the right to such ports, if it has it, then becomes the worker
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 10, 0, 0, 0);"
        " os.execv(sys.executable, [sys.executable, '-m', 'workbench', 'bot.py', '--no-tui', '--once', '--port', '1',"
        " '--job-timeout', '0.1', '--log-format', 'text'])"
    )
    run = python(tmp_path, program)
    assert run.returncode == 2, run.stderr
    assert run.stderr == (
        "workbench: cannot listen on 127.0.0.1:1: Permission denied; low ports are for root only: "
        "choose another with --port\n"
    )


def python(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=child_environment(XDG_RUNTIME_DIR=str(folder)), stdin=subprocess.DEVNULL,
    )  # fmt: skip


@defence(("workbench/server/binding.py", "if address in (*ANY, one.laddr.ip) or one.laddr.ip in ANY:", "if True:"))
def test_fault_H9_the_holder_that_is_named_has_the_address_and_not_only_the_port(
    start_worker: Start, tmp_path: Path
) -> None:
    port = free_port()
    with held(port, "127.0.0.2"):
        first = start_worker("ledger.py", "--port", str(port))
        agent_file(tmp_path)
        run = workbench(tmp_path, "bot.py", *TEXT, "--port", str(port))
        assert (run.returncode, f"(pid {first.process.pid})" in run.stderr) == (4, True), run.stderr
        assert str(os.getpid()) not in run.stderr


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.option("host")
@pytest.mark.option("port")
@defence(
    (
        "workbench/server/binding.py",
        "return _listen(family, address)",
        "return _listen(socket.AF_INET, ('127.0.0.1', port))",
    )
)
@defence(("workbench/server/binding.py", '(f"[{host}]" if ":" in host else host)', "host"))
@defence(
    (
        "workbench/model/hosts.py",
        'LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})',
        'LOOPBACK_NAMES = frozenset({"localhost"})',
    ),
    ("workbench/server/guard.py", "host in LOOPBACK_NAMES or host == configured or", "host in LOOPBACK_NAMES or"),
)
async def test_fault_H9_an_address_of_ipv6_is_listened_on_and_when_it_is_taken_that_is_4(
    start_worker: Start, tmp_path: Path
) -> None:
    port = free_port()
    worker = start_worker("ledger.py", "--host", "::1", "--port", str(port))
    async with worker.client() as client:
        await until_ready(client)
        about = (await client.request("GET", "/stats"))["worker"]
        assert about["url"] == f"http://[::1]:{port}"
        assert worker_at(about["url"]) == about["worker_id"]
    listening = psutil.Process(worker.process.pid).net_connections("tcp")
    assert {tuple(one.laddr) for one in listening if one.status == psutil.CONN_LISTEN} == {("::1", port)}
    agent_file(tmp_path)
    run = workbench(tmp_path, "bot.py", *TEXT, "--host", "::1", "--port", str(port))
    assert (run.returncode, run.stderr.count(f"[::1]:{port} is in use by ")) == (4, 1), run.stderr
    assert f"(pid {worker.process.pid})" in run.stderr


# --- H9 under the terminal, where another port may be taken, and is told ------------------------------


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a supervisor as the terminal does; with flags."""
    for name, value in child_environment(
        XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=TAG, WORKBENCH_LOAD_THRESHOLD="inf"
    ).items():
        monkeypatch.setenv(name, value)
    made: list[Owner] = []

    def make(*flags: str) -> Owner:
        made.append(Owner([str(agent_file(tmp_path)), "--no-start-job", *flags]))
        made[-1].start()
        return made[-1]

    yield make
    for owner in made:
        owner.close()
        owner.kill()
        owner._reap()
    wait_until(lambda: not tagged(TAG), "nothing is left")


@defence(
    ("workbench/cli/serve.py", 'if _picked(settings, "port") or not self.owned:', "if False:"),
    (
        "workbench/cli/serve.py",
        'if _picked(self.own_settings, "port"):',
        "if False:",
    ),
)
async def test_fault_H9_a_chosen_port_that_is_taken_is_4_before_the_screen_opens(owned: Callable[..., Owner]) -> None:
    port = free_port()
    with held(port):
        owner = owned("--port", str(port))
        with pytest.raises(WorkbenchError) as refused:
            await owner.wait_until_checked()
    assert refused.value.exit_code == 4
    assert f"127.0.0.1:{port} is in use by " in str(refused.value)
    assert f"(pid {os.getpid()})" in str(refused.value)


@defence(("workbench/cli/serve.py", 'self.note = f"port {options.port} was taken"', "pass"))
@defence(
    (
        "workbench/cli/serve.py",
        '            self.supervisor.logs.note("WARNING", f"{busy}; taking',
        '            str(f"{busy}; taking',
    )
)
async def test_fault_H9_the_default_port_is_left_for_another_under_the_terminal_only_and_told(
    owned: Callable[..., Owner],
) -> None:
    with held(8081):
        async with Client(owned().wait_until_up()) as client:
            state = await until(client, lambda state: state.worker.url and state)
            lines = [line.text for line in await log_lines(client)]
            assert worker_at(state.worker.url) == (await client.request("GET", "/worker"))["worker_id"]
    assert not state.worker.url.endswith(":8081")
    assert state.worker.url_note == "port 8081 was taken"
    assert any("127.0.0.1:8081 is in use" in line and line.endswith("taking a free port instead") for line in lines)
