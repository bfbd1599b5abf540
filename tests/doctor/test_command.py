"""`workbench doctor` as a whole, and what it says of an agent."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.conftest import AGENTS, WAIT_S, child_environment, tagged, wait_until
from tests.defences import ROOT, defence
from tests.doctor.trying import examined, run, tag
from workbench.cli.doctor import limits
from workbench.cli.doctor.finding import MISSING, NOTE, OK

__all__ = ["tag"]


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
