"""The command line as a stranger, a script and a process manager meet it."""

import asyncio
import json
import os
import pty
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

from tests.conftest import AGENTS, WAIT_S, Worker, child_environment, tagged, wait_until
from tests.workers import free_port, until_ready
from workbench.cli import main
from workbench.client.address import Address, live_supervisors, resolve, run_folder, socket_path
from workbench.client.client import ClientError
from workbench.client.knock import knock
from workbench.model.errors import UsageError

AGENT = """
from workbench import Options, WorkerJob
async def entrypoint(ctx):
    await ctx.run_until_shutdown()
WorkerJob(entrypoint, options=Options({options})).start()
"""


def workbench(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as a script would: no terminal, output in pipes."""
    return subprocess.run(
        [sys.executable, "-m", "workbench", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(**{"XDG_RUNTIME_DIR": str(folder), **environment}),
    )  # fmt: skip


def agent_file(folder: Path, options: str = "") -> Path:
    path = folder / "bot.py"
    path.write_text(AGENT.format(options=options))
    return path


def records(worker: Worker) -> list[dict[str, Any]]:
    """Every line that a worker printed; in a pipe each must be JSON."""
    return [json.loads(line) for line in worker.output().splitlines()]


# --- help and mistakes -------------------------------------------------------------------------------


def test_help_is_printed_without_importing_anything_heavy(tmp_path: Path) -> None:
    program = "import sys; from workbench.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("workbench: run, watch and tune")
    assert not {"pydantic", "aiohttp", "asyncio", "argparse", "json", "rich"} & set(run.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "workbench attach"),
        (["-h"], 0, "workbench attach"),
        (["help"], 0, "workbench attach"),
        (["bot.py", "--help"], 0, "workbench attach"),
        (["dispatch", "--help"], 0, "workbench attach"),
        ([], 2, "workbench attach"),
        (["--version"], 0, "workbench 0."),
        (["-V"], 0, "workbench 0."),
        (["version"], 0, "workbench 0."),
    ],
)
def test_help_and_version_have_the_names_people_try(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert main(arguments) == code
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dispach"], "did you mean `workbench dispatch`?"),
        (["atach"], "did you mean `workbench attach`?"),
        (["optoins", "bot.py"], "no command 'optoins'; did you mean `workbench options bot.py`?"),
        (["run", "bot.py"], "no command 'run'; did you mean `workbench bot.py`?"),
        (["--verison"], "did you mean --version?"),
        (["bot.py", "--prot", "1"], "unknown flag '--prot'; did you mean --port?"),
        (["bot.py", "x"], "unexpected argument 'x'; arguments of the agent itself follow `--`"),
        (["bot.py", "--reload", "manual"], "write `--reload=manual`"),
        (["bot.py", "--port"], "argument --port: expected one argument"),
        (["bot.py", "--preset", "x"], "choose from 'high-scale', 'local', 'standard'"),
        (["bot.py", "--log-format", "xml"], "choose from 'auto', 'text', 'json'"),
        (["bot.py", "--once"], "add --no-tui"),
        (["bot.py", "--ready-fd=x"], "invalid int value"),
        (["--no-tui"], "no agent given; run `workbench bot.py`"),
        ([""], "no agent given"),
        (["--", "bot.py"], "no agent given"),
        (["options"], "run `workbench options bot.py`"),
        (["attach", "a", "b"], "unexpected argument 'b'"),
        (["attach", "foo://x"], "'foo://x' is no address of a worker"),
        (["attach", "localhost"], "needs a terminal"),
        (["dispatch", "--url", "http://"], "is no address of a worker"),
        (["dispatch", "--url", "http://x:99999"], "Port out of range"),
        (["dispatch", "--url", "http://x/path"], "is no address of a worker"),
        (["dispatch", "--url", "http://[x"], "is no address"),
        (["dispatch", "--url", "http://x y"], "is no address of a worker"),
        (["dispatch", "--metadata", "{"], "--metadata is not JSON"),
        (["dispatch", "--metadata", "[]"], "--metadata must be a JSON object"),
        (["dispatch", "--metadata", '{"a": NaN}'], "NaN is no JSON number"),
        (["dispatch", "--metadata", '{"a":' * 100 + "1" + "}" * 100], "nested deeper"),
        (["dispatch", "--room", "a b"], "--room must be 1 to 128 letters"),
        (["dispatch", "--control-token-file", "/nope"], "no worker runs here"),
        (["dispatch", "--url", "x", "--control-token-file", "/nope"], "No such file or directory"),
        (["dispatch", "--url", "x", "--control-token-file", "/dev/null"], "must hold a token"),
    ],
)
def test_a_mistake_is_one_error_that_says_how_to_mend_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ""
    assert "Traceback" not in output.err


def test_a_value_behind_an_unknown_flag_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bot.py", "--control-token=canary"]) == 2
    error = capsys.readouterr().err
    assert "did you mean --control-token-file?" in error
    assert "canary" not in error


def test_an_agent_that_has_the_name_of_a_mistyped_command_runs(tmp_path: Path) -> None:
    (tmp_path / "dispach.py").write_text("async def entrypoint(ctx): pass\n")
    assert workbench(tmp_path, "dispach", "--no-tui", "--once").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope.py"], 3, "no file 'nope.py'"),
        (["bot.py", "--control-token-file", "nope"], 2, "control_token_file nope: No such file or directory"),
        (["bot.py", "--control-token-file", "bot.py"], 2, "must hold a token without blanks"),
        (["bot.py", "--room", "x"], 2, "--room and --metadata are for the job of --once or --start-job"),
        (["bot.py", "--once", "--room", "x/y"], 2, "--room must be"),
        (["bot.py", "--once", "--metadata", "x"], 2, "--metadata is not JSON"),
    ],
)
def test_a_headless_error_is_a_record_in_a_pipe_and_a_line_on_request(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    agent_file(tmp_path)
    run = workbench(tmp_path, *arguments, "--no-tui")
    assert run.returncode == code
    record = json.loads(run.stderr)
    assert (record["event"], record["level"], record["exit_code"]) == ("failed", "ERROR", code)
    assert words in record["message"]
    run = workbench(tmp_path, *arguments, "--no-tui", "--log-format", "text")
    assert run.returncode == code
    assert run.stderr.startswith("workbench: ")
    assert words in run.stderr


def test_a_folder_that_has_gone_and_a_machine_that_is_full_are_no_bugs_of_ours(tmp_path: Path) -> None:
    agent_file(tmp_path)
    for script, code, words in (
        ("mkdir gone; cd gone; rmdir ../gone; {}", 2, "the current folder does not exist any more"),
        ("ulimit -n 6; {}", 1, "Too many open files"),
    ):
        command = f"{sys.executable} -m workbench {tmp_path}/bot.py --no-tui --once --job-timeout 9 --log-format text"
        run = subprocess.run(
            ["bash", "-c", script.format(command)], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S,
            env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)), check=False,
        )  # fmt: skip
        assert run.returncode == code, run.stderr
        assert words in run.stderr
        assert "Traceback" not in run.stderr


# --- standard streams --------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_worker_runs_with_closed_standard_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "bot.py").write_text(
        "import os\nasync def entrypoint(ctx):\n    print('words', flush=True)\n    open('fds', 'w').write(\n"
        "        ' '.join(os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)))\n"
    )
    command = f"exec {sys.executable} -m workbench bot.py --no-tui --once {closed}"
    run = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    stdin, stdout, stderr = (tmp_path / "fds").read_text().split()
    assert (stdin, stdout) == ("/dev/null", stderr)
    assert stdout.startswith("pipe:")
    assert "words" not in run.stdout


@pytest.mark.parametrize(
    ("redirect", "code"), [("| true; exit ${PIPESTATUS[0]}", 141), ("> /dev/full", 1), ("1>&-", 0)]
)
def test_output_that_nobody_takes_is_no_traceback(tmp_path: Path, redirect: str, code: int) -> None:
    agent_file(tmp_path)
    run = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m workbench options bot.py {redirect}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_S, check=False,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert run.returncode == code
    assert run.stderr == ("workbench: cannot write the output: No space left on device\n" if code == 1 else "")


@pytest.mark.parametrize(("term", "redirected"), [("dumb", False), ("xterm", True)])
def test_without_a_terminal_the_worker_runs_headless_and_says_so(tmp_path: Path, term: str, redirected: bool) -> None:
    agent_file(tmp_path)
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "bot.py", "--port", "0"],
        cwd=tmp_path, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL if redirected else theirs,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TERM=term), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while b"the worker runs" not in written:
        written += os.read(mine, 65536)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    os.close(mine)
    assert b"no terminal here: running headless, as with --no-tui\r\n" in written
    assert b"\x1b" not in written


def test_in_a_pipe_every_line_is_a_record_from_the_first_on(tmp_path: Path) -> None:
    agent_file(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "bot.py", "--port", "0"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    while not lines or lines[-1].get("event") != "started":
        lines.append(json.loads(process.stderr.readline()))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert lines[0]["message"] == "no terminal here: running headless, as with --no-tui"


# --- options and their layers ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_options_of_an_endless_file_can_be_interrupted_and_leave_nothing(tmp_path: Path, number: int) -> None:
    (tmp_path / "bot.py").write_text("open('loading', 'w').close()\nwhile True: pass\n")
    tag = f"options-{os.getpid()}-{number}"
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "options", "bot.py"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), TEST_TAG=tag),
    )  # fmt: skip
    wait_until((tmp_path / "loading").exists, "the file is loading")
    process.send_signal(number)
    _, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, errors) == (130 if number == signal.SIGINT else -signal.SIGTERM, "")
    wait_until(lambda: not tagged(tag), "nothing is left")


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
            env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), LEDGER=str(tmp_path / "ledger")),
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
        assert (full.returncode, "1 jobs of max_processes 1" in full.stderr) == (1, True)
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
