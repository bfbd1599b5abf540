"""Ports, sockets, dispatch and attach: how a worker is reached from the command line."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AGENTS, WAIT_S, child_environment, wait_until
from tests.defences import defence
from tests.test_cli import agent_file, records, workbench
from tests.workers import free_port, until_ready
from workbench.client.address import DEFAULT_PORT, Address, live_supervisors, resolve, run_folder, socket_path
from workbench.client.client import ClientError
from workbench.client.knock import knock
from workbench.model.errors import UsageError

# --- ports -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--host", "localhost"], ["--preset", "local"]])
def test_the_files_port_holds_whoever_sets_the_host(tmp_path: Path, flags: list[str]) -> None:
    port = free_port()
    agent_file(tmp_path, f"port={port}")
    command = ["bot.py", "--no-tui", "--once", "--job-timeout", "0.1", "--log-format", "json", *flags]
    run = workbench(tmp_path, *command)
    started = next(json.loads(line) for line in run.stderr.splitlines() if '"started"' in line)
    assert (run.returncode, started["url"].rpartition(":")[2]) == (1, str(port))
    with socket.create_server(("127.0.0.1", port)):
        run = workbench(tmp_path, *command)
    last = json.loads(run.stderr.splitlines()[-1])
    assert (run.returncode, last["exit_code"]) == (4, 4)
    assert f"pid {os.getpid()}" in last["message"]
    assert "died" not in run.stderr


@defence(
    (
        "workbench/cli/serve.py",
        "bind(options.host, 0).close()  # can it",
        "bind(options.host, options.port).close()  # can it",
    )
)
def test_that_the_default_port_is_taken_is_nothing_to_whom_the_file_gives_another(tmp_path: Path) -> None:
    agent_file(tmp_path, f"port={free_port()}")
    with socket.create_server(("127.0.0.2", DEFAULT_PORT)):
        run = workbench(tmp_path, "bot.py", "--no-tui", "--once", "--job-timeout", "0.1", "--host", "127.0.0.2")
    assert '"started"' in run.stderr


def test_the_files_host_holds_whoever_sets_the_port(tmp_path: Path) -> None:
    agent_file(tmp_path, "host='0.0.0.0'")
    port = free_port()
    run = workbench(tmp_path, "bot.py", "--no-tui", "--once", "--job-timeout", "0.1", "--port", str(port))
    assert f'"url": "http://0.0.0.0:{port}"' in run.stderr


async def test_the_started_record_says_where_and_how_the_worker_runs(start_worker: Any, tmp_path: Path) -> None:
    agent = agent_file(tmp_path, "agent_id='Started', host='127.0.0.1', max_processes=7, control_token='canary'")
    worker = start_worker(agent)
    async with worker.client() as client:
        await until_ready(client)
        url = (await client.request("GET", "/stats"))["worker"]["url"]
    (started,) = [record for record in records(worker) if record.get("event") == "started"]
    assert started["url"] == url
    assert (started["pid"], started["agent_id"]) == (worker.process.pid, "Started")
    options = {"max_processes": 7, "port": 0, "control_token": "********", "load_threshold": None}
    assert started["options"] == options


# --- sockets -----------------------------------------------------------------------------------------


async def test_the_socket_is_private_and_goes_with_the_worker(start_worker: Any, tmp_path: Path) -> None:
    worker = start_worker("ledger.py", "--agent-id", "ü" * 128)
    folder = worker.folder / "workbench"
    async with worker.client() as client:
        await until_ready(client)
        path = Path((await client.request("GET", "/stats"))["worker"]["socket"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()} == {0o600}
    assert path.parent == folder
    assert path.name.endswith(f"ü-{worker.process.pid}.sock")
    assert len(os.fsencode(path)) <= 107
    run = workbench(worker.folder, "dispatch", "--agent-id", "ü" * 128, "--wait")
    assert run.returncode == 0, run.stderr
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert list(folder.iterdir()) == []


def test_sockets_of_the_dead_are_removed_and_those_of_the_living_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = run_folder()
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = []
    for name in (f"a-{dead.pid}.sock", f".{dead.pid}.socket", f"b-{os.getpid()}.sock", "strange.sock"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / name))
        kept += [name] if str(os.getpid()) in name else []
    assert live_supervisors() == []
    assert [entry.name for entry in folder.iterdir()] == kept
    with pytest.raises(UsageError, match="no worker runs here"):
        resolve(None)


def test_a_socket_that_a_killed_worker_of_the_same_number_left_is_replaced(tmp_path: Path) -> None:
    """In a container the worker's number is the same at every start, and a volume keeps the socket."""
    agent_file(tmp_path)
    program = (
        "import os, socket, sys; from workbench.client.address import private_socket_path as path;"
        " socket.socket(socket.AF_UNIX).bind(str(path(os.getpid())));"
        " from workbench.cli import main; sys.exit(main(['bot.py', '--no-tui', '--once', '--job-timeout', '0.1']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert (run.returncode, "timeout" in run.stderr) == (1, True), run.stderr


@pytest.mark.parametrize("kind", ["long", "file", "link"])
def test_a_run_folder_that_cannot_be_used_is_one_error(tmp_path: Path, kind: str) -> None:
    agent_file(tmp_path)
    runtime = tmp_path / "r"
    if kind == "long":
        runtime = tmp_path / ("x" * 120)
    runtime.mkdir()
    if kind == "file":
        (runtime / "workbench").touch()
    if kind == "link":
        (runtime / "workbench").symlink_to(tmp_path)
    run = workbench(tmp_path, "bot.py", "--no-tui", "--log-format", "text", XDG_RUNTIME_DIR=str(runtime))
    assert run.returncode == 2
    assert "set XDG_RUNTIME_DIR" in run.stderr
    assert "Traceback" not in run.stderr


def test_without_a_runtime_folder_the_temporary_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run_folder() == tmp_path / f"workbench-{os.getuid()}"
    assert len(os.fsencode(socket_path("ü" * 200, 4_000_000))) <= 107


# --- dispatch and attach -----------------------------------------------------------------------------


@pytest.fixture
def three_workers(tmp_path: Path) -> Iterator[list[Path]]:
    """The sockets of three workers of one user; two are of the same agent."""
    ledger = str(AGENTS / "ledger.py")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "workbench", ledger, "--no-tui", "--port", "0", "--agent-id", name],
            env=child_environment(
                XDG_RUNTIME_DIR=str(tmp_path), LEDGER=str(tmp_path / "ledger"), WORKBENCH_LOAD_THRESHOLD="inf"
            ),
            stderr=subprocess.DEVNULL,
        )
        for name in ("my-agent", "my-agent", "other")
    ]  # fmt: skip
    names = [
        f"{name}-{process.pid}.sock" for name, process in zip(("my-agent", "my-agent", "other"), processes, strict=True)
    ]
    sockets = [tmp_path / "workbench" / name for name in names]
    wait_until(lambda: all(path.exists() for path in sockets), "all three listen")
    yield sockets
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(WAIT_S) for process in processes] == [0, 0, 0]


async def test_dispatch_names_the_workers_there_are_to_choose_from(three_workers: list[Path], tmp_path: Path) -> None:
    async def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(workbench, tmp_path, *arguments)

    other = str(three_workers[2])
    several, both, one, none, wrong, attach = await asyncio.gather(
        run("dispatch"),
        run("dispatch", "--agent-id", "my-agent"),
        run("dispatch", "--agent-id", "other", "--wait"),
        run("dispatch", "--agent-id", "othr"),
        run("dispatch", "--agent-id", "my-agent", "--url", other),
        run("attach", other),
    )
    assert [run.returncode for run in (several, both, one, none, wrong, attach)] == [2, 2, 0, 2, 2, 2]
    assert "3 workers run here" in several.stderr
    assert all(str(path) in several.stderr for path in three_workers)
    assert "2 workers of agent 'my-agent' run here" in both.stderr
    assert other not in both.stderr
    assert json.loads(one.stdout)["status"] == "completed"
    assert "did you mean 'other'?" in none.stderr
    assert "is agent 'other', not 'my-agent'" in wrong.stderr
    assert ("needs a terminal" in attach.stderr, attach.stdout) == (True, "")


async def test_dispatch_tells_by_its_exit_code_how_the_job_went(start_worker: Any) -> None:
    worker = start_worker("ledger.py", "--max-processes", "1")
    async with worker.client() as client:
        await until_ready(client)
        url = (await client.request("GET", "/stats"))["worker"]["url"]

        def dispatch(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return workbench(worker.folder, "dispatch", "--url", url.removeprefix("http://"), *arguments)

        for arguments, code, words in (
            (["--metadata", json.dumps({"x": "y" * 40_000})], 2, "at most 32 KB"),
            (["--wait", "--metadata", '{"do": "raise"}'], 1, '"reason": "raised"'),
            (["--wait", "--metadata", '{"do": "exit", "code": 0}'], 1, '"reason": "exited"'),
            (["--wait", "--room", "named", "--force"], 0, '"room_id": "named"'),
            (["--metadata", '{"do": "wait"}'], 0, '"do": "wait"'),
        ):
            await until_ready(client)
            run = await asyncio.to_thread(dispatch, *arguments)
            assert run.returncode == code, (arguments, run.stderr)
            assert words in run.stdout + run.stderr
        full = await asyncio.to_thread(dispatch)
        assert (full.returncode, "1 job of max_processes 1" in full.stderr) == (1, True)
    gone = workbench(worker.folder, "dispatch", "--url", f"127.0.0.1:{free_port()}")
    assert (gone.returncode, "Connection refused" in gone.stderr) == (1, True)


async def test_dispatch_does_not_wait_for_a_worker_that_was_killed(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "workbench", "dispatch", "--wait", "--metadata", '{"do": "wait"}'],
        env=child_environment(XDG_RUNTIME_DIR=str(worker.folder)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: [e["what"] for e in worker.entries()] == ["start"], "the job runs")
    worker.process.kill()
    worker.ended()
    output, errors = await asyncio.to_thread(waiting.communicate, timeout=WAIT_S)
    assert (waiting.returncode, output, errors.count("\n")) == (1, "", 1)


async def test_attach_asks_whether_it_is_let_in_before_it_opens_the_screen(start_worker: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-token")
    worker = start_worker("ledger.py", "--host", "0.0.0.0", "--control-token-file", str(tmp_path / "token"))
    async with worker.client() as client:
        await until_ready(client)
        url = (await client.request("GET", "/stats"))["worker"]["url"].replace("0.0.0.0", "127.0.0.1")
    knock(Address(path=worker.socket), None)
    await asyncio.to_thread(knock, Address(url=url), "canary-token")
    for address, token, words, status in (
        (Address(url=url), None, "send the control token", 401),
        (Address(url=url), "wrong", "send the control token", 401),
        (Address(url=f"http://127.0.0.1:{free_port()}"), None, "Connection refused", 0),
        (Address(path=str(tmp_path / "nope.sock")), None, "No such file or directory", 0),
    ):
        with pytest.raises(ClientError, match=words) as refused:
            await asyncio.to_thread(knock, address, token)
        assert refused.value.status == status


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"garbage\r\n\r\n", b""])
def test_what_answers_but_is_no_worker_is_one_error(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", "dispatch", "--url", f"127.0.0.1:{server.getsockname()[1]}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(),
        )  # fmt: skip
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
        output, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("workbench: ")
    assert "Traceback" not in errors
    with socket.create_server(("127.0.0.1", 0)) as server:
        asking = threading.Thread(target=_answer_once, args=(server, answer))
        asking.start()
        with pytest.raises(ClientError):
            knock(Address(url=f"http://127.0.0.1:{server.getsockname()[1]}"), None)
        asking.join()


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
