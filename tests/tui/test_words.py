"""Signs, words and tones of states."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.tui.stage import fresh_state
from workbench.model.state import PROCESS_MOVES, Job, Process
from workbench.tui.words import (
    admission_look,
    job_end,
    job_look,
    job_story,
    level_tone,
    link_look,
    problem_place,
    process_look,
)

JOB_STATUSES = ("queued", "starting", "running", "completed", "failed", "cancelled")
ADMISSIONS = ("starting", "ready", "full", "over_load", "draining", "degraded", "stopping")
LINKS = ("local", "connecting", "connected", "waiting", "failed")


def a_process(state: str, stalled: bool = False) -> Process:
    """A process in that state."""
    return Process(1, 7, "zygote", 0.0, pid=1, state=state, stalled=stalled)


def test_every_state_has_a_sign_of_its_own_word() -> None:
    looks = [process_look(a_process(state)) for state in PROCESS_MOVES]
    looks += [job_look(status) for status in JOB_STATUSES] + [link_look(state) for state in LINKS]
    assert all(look.sign != "?" for look in looks)
    for one, other in itertools.combinations([process_look(a_process(state)) for state in PROCESS_MOVES], 2):
        assert one.sign != other.sign  # colour alone never tells two states apart


@pytest.mark.parametrize("status", ADMISSIONS)
def test_admission_is_written_in_capitals(status: str) -> None:
    state = fresh_state()
    state.worker.status = status
    look = admission_look(state)
    assert look.word == status.replace("_", " ").upper()
    assert look.sign != "?"


def test_a_state_of_a_later_version_is_shown_as_it_is() -> None:
    assert job_look("parked") == ("?", "parked", "warn")


def test_stalled_comes_first_but_not_before_the_end() -> None:
    assert process_look(a_process("busy", stalled=True)).word == "stalled"
    assert process_look(a_process("stopping", stalled=True)).word == "stopping"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (("running", None, None, None), "running"),
        (("completed", "returned", None, None), "completed / returned"),
        (("failed", "signalled", "SIGKILL", None), "failed / signalled SIGKILL"),
        (("failed", "exited", None, 0), "failed / exited 0"),
        (("failed", "exited", None, 3), "failed / exited 3"),
        (("failed", "oom_limit", "SIGKILL", None), "failed / oom_limit"),
        (("failed", "hung", "SIGKILL", None), "failed / hung"),
    ],
)
def test_an_end_is_told_in_the_words_of_the_contract(how: tuple[Any, ...], words: str) -> None:
    assert job_end(*how) == words


def test_an_error_that_only_says_the_same_again_is_left_out() -> None:
    job = Job("j", "r", {}, 0.0, status="failed", reason="signalled", signal="SIGKILL")
    job.error = "the job's process was killed by SIGKILL"
    assert job_story(job) == "failed / signalled SIGKILL"
    job.error = "ValueError: boom (bot.py:38 in entrypoint)"
    assert job_story(job).endswith("SIGKILL: ValueError: boom (bot.py:38 in entrypoint)")


@pytest.mark.parametrize(
    ("level", "tone"),
    [
        ("DEBUG", "dim"),
        ("INFO", "info"),
        ("WARNING", "warn"),
        ("ERROR", "bad"),
        ("CRITICAL", "bad"),
        ("TRACE", "plain"),
    ],
)
def test_levels(level: str, tone: str) -> None:
    assert level_tone(level) == tone


@pytest.mark.parametrize(
    ("problem", "place"),
    [
        ({}, ""),
        ({"file": None, "line": 3}, ""),
        ({"file": "bot.py", "line": 3}, "bot.py:3"),
        ({"file": "bot.py", "line": 38, "column": 12, "frame": "entrypoint"}, "bot.py:38:12 in entrypoint"),
        ({"file": "bot.py", "line": 3, "column": 0, "frame": "<module>"}, "bot.py:3"),
        ({"file": "bot.py", "line": None, "column": 4}, "bot.py"),
        ({"file": "b\x1b[2Jot.py", "line": 3}, "bot.py:3"),
        ({"file": "/elsewhere/bot.py", "line": 3}, "/elsewhere/bot.py:3"),
    ],
)
def test_the_place_of_a_problem(problem: dict[str, Any], place: str) -> None:
    assert problem_place(problem) == place


def test_a_file_below_the_current_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert problem_place({"file": str(tmp_path / "agents" / "bot.py"), "line": 3}) == "agents/bot.py:3"
