"""Someone meets each kind of trouble on a small terminal: the screen names its cause, by keys that it shows itself.

The agents are those in `sample_agents/`; what the screen says is held against the line in the file, and
against what the kernel knows of the process.
"""

import os
import re
from pathlib import Path

import psutil
import pytest

from tests.tui.conftest import SAMPLES
from tests.tui.terminal import Terminal
from tests.tui.test_terminal import OpenTerminal, assert_restored
from tests.tui.test_terminal_jobs import asked, leave

pytestmark = pytest.mark.timeout(240)
SMALL = (80, 24)
TYPED = {"⏎": "\r"}


def line_of(sample: str, code: str) -> int:
    """Where the code stands in the file."""
    lines = (SAMPLES / sample).read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if code in text)


def footer(terminal: Terminal) -> str:
    return terminal.rows()[-1]


def press(terminal: Terminal, key: str, word: str) -> None:
    """Press a key that the last row offers."""
    terminal.until(lambda: f"{key} {word}" in footer(terminal), f"{key} {word} is offered")
    terminal.type(TYPED.get(key, key))


def say(terminal: Terminal, text: str) -> None:
    """Go to the conversation by the key that is offered, say something and step back."""
    press(terminal, "t", "Talk")
    terminal.until(lambda: "esc Leave" in footer(terminal), "the field has the focus")
    terminal.type(f"{text}\r")


def meet(open_terminal: OpenTerminal, agent: str, greeting: str, **environment: str) -> Terminal:
    terminal: Terminal = open_terminal(agent, "--port=0", size=SMALL, **environment)
    terminal.sees("● READY", greeting)
    return terminal


def step_back(terminal: Terminal) -> None:
    """Out of the field, by the key that is offered."""
    terminal.type("\x1b")
    terminal.until(lambda: "q Quit" in footer(terminal), "the keys are back")


def test_a_job_that_leaks_is_named_with_the_limit_it_went_over(open_terminal: OpenTerminal) -> None:
    terminal = meet(open_terminal, "leaky.py", "I never forget anything.")
    say(terminal, "90")
    terminal.sees("over 80M")  # the warning, in its row
    terminal.type("80\r")
    terminal.sees("oom_limit: held ", "MB, over 150 MB")
    (job,) = asked(terminal, "/jobs")["jobs"]
    assert (job["status"], job["reason"]) == ("failed", "oom_limit")
    assert not psutil.pid_exists(job["pid"])
    step_back(terminal)
    leave(terminal)


def test_a_loop_that_stands_still_is_named_with_the_line_that_blocks_it(open_terminal: OpenTerminal) -> None:
    terminal = meet(open_terminal, "stuck.py", "Say block or busy")
    say(terminal, "block")
    place = f"stuck.py:{line_of('stuck.py', 'time.sleep(seconds)')} in block"
    terminal.sees("▲ stalled", f"at {place}")
    terminal.sees("failed / hung")
    step_back(terminal)
    leave(terminal)


@pytest.mark.parametrize(("word", "cause"), [("vanish 3", "failed / exited 3"), ("segv", "failed / signalled SIGSEGV")])
def test_a_job_that_crashes_is_named_with_how(open_terminal: OpenTerminal, word: str, cause: str) -> None:
    terminal = meet(open_terminal, "crashy.py", "Say raise, exit N")
    say(terminal, word)
    terminal.sees(cause)
    step_back(terminal)
    leave(terminal)


def test_a_job_that_raises_is_named_with_its_line(open_terminal: OpenTerminal) -> None:
    terminal = meet(open_terminal, "crashy.py", "Say raise, exit N")
    say(terminal, "raise")
    terminal.sees(f"ValueError: boom (crashy.py:{line_of('crashy.py', 'raise ValueError')}")
    step_back(terminal)
    leave(terminal)


def test_a_job_that_hogs_the_cpus_is_named_with_its_process(open_terminal: OpenTerminal) -> None:
    terminal = meet(open_terminal, "cpu_hog.py", "keep the CPUs busy?", WORKBENCH_LOAD_THRESHOLD="0.6")
    (job,) = asked(terminal, "/jobs")["jobs"]
    say(terminal, "8")
    terminal.sees("▲ OVER LOAD", "load_threshold 0.6", f"over load: process {job['pid']} uses")
    told = re.search(r"uses (\d+)% of a CPU", terminal.text())
    assert told is not None
    assert 30 <= int(told[1]) <= 110 * len(os.sched_getaffinity(0))
    step_back(terminal)
    leave(terminal)


def test_an_import_that_takes_long_is_named_with_the_line_where_it_stands(
    open_terminal: OpenTerminal, tmp_path: Path
) -> None:
    terminal = open_terminal("slow_import.py", "--port=0", size=SMALL)
    terminal.sees(f"stands at slow_import.py:{line_of('slow_import.py', 'time.sleep')}")
    terminal.sees("● READY", "I was imported in")
    leave(terminal)


def test_a_wrong_option_is_found_and_put_right_while_the_worker_runs(open_terminal: OpenTerminal) -> None:
    """Somebody wrote 0.01 where 1 % is not what he meant: no job is ever taken."""
    terminal = open_terminal("bot.py", "--port=0", size=SMALL, WORKBENCH_LOAD_THRESHOLD="0.01")
    terminal.sees("▲ OVER LOAD", "load_threshold 0.01")
    press(terminal, "n", "New")
    terminal.sees("job refused, over_load: load")
    press(terminal, "T", "Tune")
    terminal.type("/threshold\r")  # all at once: no key may reach what had the focus before
    terminal.sees("load_threshold       0.01 share", "refuse jobs at this load or more")
    press(terminal, "⏎", "Edit")
    terminal.type("inf\r")
    terminal.sees("0.01 → inf")
    press(terminal, "a", "Apply")
    terminal.sees("● READY", "applied: load_threshold inf")
    assert asked(terminal, "/options")["load_threshold"]["value"] is None
    press(terminal, "n", "New")
    terminal.until(lambda: terminal.text().count("● busy") == 2, "the job runs")
    assert len([job for job in asked(terminal, "/jobs")["jobs"] if job["status"] == "running"]) == 2
    press(terminal, "w", "Save")
    terminal.sees("wrote load_threshold = inf")
    assert "load_threshold = inf" in (terminal.folder / "workbench.toml").read_text()
    terminal.type("q")
    terminal.sees("What becomes of the worker?")
    terminal.type("s")
    assert terminal.ended() == 0
    assert_restored(terminal)
