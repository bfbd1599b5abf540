"""The command line as a stranger, a script and a process manager meet it."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, Worker, child_environment, tagged, wait_until
from workbench.cli import main

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
