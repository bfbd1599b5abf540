"""The README against the product: its tables, commands, keys and pictures are the real ones."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.defences import every_test
from workbench.cli.flag_names import FLAGGED, PRESET_NAMES, SWITCHES
from workbench.cli.parser import help_text, options_table
from workbench.model.ending import STATUS_OF
from workbench.model.options import FIELDS, PRESETS, SECRETS
from workbench.supervisor.worker import CHILD_REASONS
from workbench.tui.app import WorkbenchApp
from workbench.tui.screens.board import BoardScreen
from workbench.tui.widgets.logs.view import LogView

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NAMES = {"question_mark": "?", "slash": "/", "escape": "esc"}


def test_the_committed_help_is_the_generated_one() -> None:
    assert files("workbench.cli").joinpath("help.txt").read_text() == help_text()


def test_the_names_of_the_flags_are_those_of_the_options() -> None:
    flagged = tuple(name for name in FIELDS if name not in SECRETS)
    assert flagged == FLAGGED
    assert tuple(name for name in flagged if FIELDS[name].annotation is bool) == SWITCHES
    assert tuple(sorted(PRESETS)) == PRESET_NAMES


def test_the_readme_has_the_generated_options_table() -> None:
    assert options_table() in README


@pytest.mark.parametrize("node", [WorkbenchApp, BoardScreen, LogView])
def test_every_key_that_is_offered_stands_in_the_readme(node: type) -> None:
    told = {key for row in README.splitlines() if row.startswith("| `") for key in re.findall(r"`(.+?)`", row)}
    for binding in node.BINDINGS:
        if binding.show:
            assert NAMES.get(binding.key, binding.key) in told, binding.description


def test_every_picture_in_the_readme_exists() -> None:
    pictures = re.findall(r"!\[.*?\]\((.+?)\)", README)
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_every_promise_names_tests_that_exist() -> None:
    rows = {match[1] for test in every_test() if (match := re.match(r"test_fault_([A-Z]\d+)_", test.name))}
    start = README.index("| promised | tests |")
    named = []
    for row in README[start:].splitlines()[2:]:
        if not row.startswith("|"):
            break
        for first, last in re.findall(r"\b([A-Z]\d+)(?:-([A-Z]\d+))?", row.split("|")[2]):
            numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
            named += [f"{first[0]}{number}" for number in numbers]
    assert len(named) > 30
    assert not set(named) - rows


def test_every_sample_agent_stands_in_the_readme_and_says_what_to_watch() -> None:
    for sample in (ROOT / "sample_agents").glob("*.py"):
        assert f"`{sample.name}`" in README
        assert sample.read_text().startswith('"""')


def test_every_reason_for_an_end_stands_in_the_readme() -> None:
    for reason in {
        *STATUS_OF,
        *CHILD_REASONS,
        "signalled",
        "oom_limit",
        "oom_kernel",
        "hung",
        "timeout",
        "init_failed",
        "drain_cut",
    }:
        assert f"| `{reason}` |" in README


def test_ci_runs_the_readmes_test_command() -> None:
    command = next(line for line in README.splitlines() if line.endswith("-m tests.check"))
    script = (ROOT / ".ci" / "run").read_text()
    for part in command.split(" && "):
        assert part.removesuffix(" ") in script
