"""Options that contradict each other (H3), and where each value comes from (H6)."""

from pathlib import Path

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conftest import Worker
from tests.defences import defence
from tests.faults.test_config import RUN, Start
from tests.test_cli import agent_file, workbench
from tests.workers import until
from workbench.client.client import ClientError
from workbench.model.options import FIELDS, PRESETS, OptionsError
from workbench.model.settings import Layers

# --- H3: contradictions ------------------------------------------------------------------------------


PAIRS = [
    ("num_idle_processes", "max_processes"),
    ("close_timeout", "drain_timeout"),
    ("memory_warn_mb", "memory_limit_mb"),
]


@defence(
    (
        "workbench/model/settings.py",
        "        if set_by_somebody(weak) and set_by_somebody(strong):",
        "        if False:",
    )
)
@defence(("workbench/model/settings.py", "{value(name):g} ({values[name].source})", "{value(name):g}"))
@pytest.mark.parametrize(("weak", "strong"), PAIRS)
def test_fault_H3_two_set_values_that_contradict_are_2_and_both_are_named_with_their_sources(
    tmp_path: Path, weak: str, strong: str
) -> None:
    agent_file(tmp_path, f"{weak}=3")
    flag = f"--{strong.replace('_', '-')}"
    run = workbench(tmp_path, "bot.py", *RUN, "--port", "0", flag, "2")
    assert run.returncode == 2, run.stderr
    both = f"{weak} = 3 (Options(...) in bot.py), {strong} = 2 ({flag})"
    assert f"{weak}: must be at most {strong}: {both}; change one of the two" in run.stderr.splitlines()[-1]
    agent_file(tmp_path)
    (tmp_path / "workbench.toml").write_text(f"{weak} = 3\n")
    run = workbench(tmp_path, "bot.py", *RUN, **{f"WORKBENCH_{strong.upper()}": "2"})
    assert run.returncode == 2, run.stderr
    both = f"{weak} = 3 (workbench.toml:1), {strong} = 2 (WORKBENCH_{strong.upper()})"
    assert run.stderr.startswith(f"workbench: {weak}: must be at most {strong}: {both}; change one of the two")


VALUES = st.dictionaries(
    st.sampled_from([name for pair in PAIRS for name in pair]), st.sampled_from([1, 2, 5, 7, 800]), max_size=3
)


@defence(("workbench/model/settings.py", "        if set_by_somebody(weak):\n", "        if False:\n"))
@defence(
    (
        "workbench/model/settings.py",
        "        if set_by_somebody(weak) and set_by_somebody(strong):",
        "        if False:",
    )
)
@defence(
    (
        "workbench/model/settings.py",
        'name in values and not values[name].source.startswith("preset ")',
        "name in values",
    )
)
@defence(("workbench/model/settings.py", '        at_most("memory_warn_mb", "memory_limit_mb", 0.8)', "        return"))
@given(st.sampled_from([None, *PRESETS]), VALUES, VALUES)
@example(None, {"num_idle_processes": 7}, {})
@example("high-scale", {"max_processes": 2}, {})
@example("high-scale", {}, {"memory_warn_mb": 3000})
def test_fault_H3_a_default_yields_and_a_set_value_never_does(
    preset: str | None, code: dict[str, int], flags: dict[str, int]
) -> None:
    layers = Layers()
    layers.put_preset(preset)
    layers.put("code", code, "bot.py")
    layers.put("flag", flags, "--flag")
    given = code | flags
    clash = [pair for pair in PAIRS if all(name in given for name in pair) and given[pair[0]] > given[pair[1]]]
    if clash:
        with pytest.raises(OptionsError) as refused:
            layers.settings()
        assert refused.value.problems[0][0] == clash[0][0]
        return
    made = layers.settings()
    for name, value in given.items():
        assert (getattr(made.options, name), made.chosen(name)) == (value, True)
    for weak, strong in PAIRS:
        high = getattr(made.options, strong)
        assert getattr(made.options, weak) <= high or (strong == "memory_limit_mb" and high == 0)


@defence(("workbench/model/settings.py", "        if set_by_somebody(weak):\n", "        if False:\n"))
async def test_fault_H3_the_worker_that_runs_keeps_what_was_set_and_refuses_a_change_against_it(
    start_worker: Start,
) -> None:
    worker = start_worker("ledger.py", "--num-idle-processes", "6")  # more than max_processes is by default
    async with worker.client() as client:
        await until(client, lambda state: len(state.live("idle")) == state.option("num_idle_processes"))
        idle = of_jobs(worker)
        assert len(idle) == 6
        with pytest.raises(
            ClientError, match=r"num_idle_processes = 6 \(--num-idle-processes\), max_processes = 2 \(live\)"
        ):
            await client.set_options({"max_processes": 2})
        options = await client.request("GET", "/options")
        assert of_jobs(worker) == idle
    assert (options["max_processes"]["value"], options["max_processes"]["origin"]) == (
        6, "derived: at least num_idle_processes",
    )  # fmt: skip


def of_jobs(worker: Worker) -> set[int]:
    """The processes that it has for jobs, by the process table."""
    below = psutil.Process(worker.process.pid).children()
    return {child.pid for child in below if "-g" not in child.environ().get("WORKBENCH_PROCESS", "-g")}


# --- H6: where values come from ----------------------------------------------------------------------


@defence(
    (
        "workbench/model/settings.py",
        '"preset", "code", "file", "environment", "flag"',
        '"preset", "code", "environment", "file", "flag"',
    )
)
@defence(
    (
        "workbench/model/settings.py",
        '"preset", "code", "file", "environment", "flag"',
        '"preset", "file", "code", "environment", "flag"',
    )
)
@defence(
    (
        "workbench/model/settings.py",
        '"preset", "code", "file", "environment", "flag"',
        '"flag", "preset", "code", "file", "environment"',
    )
)
@defence(("workbench/model/options.py", "return HIDDEN if value is not None else None", "return value"))
def test_fault_H6_each_value_is_shown_with_its_origin_and_secrets_are_masked(tmp_path: Path) -> None:
    agent_file(
        tmp_path, "max_processes=3, log_level='error', load_threshold=float('inf'), close_timeout=8, ping_timeout=5"
    )
    (tmp_path / "pyproject.toml").write_text(
        "[other]\nclose_timeout = 1\n[tool.workbench]\n\nclose_timeout = 7.0\nmemory_limit_mb = 100\n"
    )
    (tmp_path / "workbench.toml").write_text("ping_interval = 4\ndrain_timeout = 30\ntool.workbench.ping_timeout = 9\n")
    run = workbench(
        tmp_path, "options", "bot.py", "--no-register", "--max-processes", "4", "--preset", "high-scale",
        WORKBENCH_DRAIN_TIMEOUT="20", WORKBENCH_MAX_PROCESSES="6", VIDEOSDK_AUTH_TOKEN="canary",
        WORKBENCH_CONTROL_TOKEN="canary",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in run.stdout.splitlines()}
    for name, value, origin in (
        ("max_processes", "4", "--max-processes"),
        ("num_idle_processes", "4", "derived: at most max_processes"),
        ("register", "false", "--no-register"),
        ("log_level", '"ERROR"', "Options(...) in bot.py"),
        ("load_threshold", "inf", "Options(...) in bot.py"),
        ("close_timeout", "7.0", "pyproject.toml:5"),
        ("memory_warn_mb", "80.0", "derived: 80 % of memory_limit_mb"),
        ("ping_interval", "4.0", "workbench.toml:1"),
        ("ping_timeout", "9.0", "workbench.toml:3"),
        ("drain_timeout", "20.0", "WORKBENCH_DRAIN_TIMEOUT"),
        ("auth_token", '"********"', "VIDEOSDK_AUTH_TOKEN"),
        ("control_token", '"********"', "WORKBENCH_CONTROL_TOKEN"),
        ("agent_id", '"bot"', "derived: the file's name"),
        ("job_timeout", "0.0", "default"),
    ):
        assert rows[name].startswith(value), name
        assert rows[name].endswith(origin), name
    assert set(rows) == set(FIELDS)
    assert "canary" not in run.stdout + run.stderr


@defence(
    (
        "workbench/model/settings.py",
        '"preset", "code", "file", "environment", "flag"',
        '"preset", "code", "environment", "file", "flag"',
    )
)
@defence(("workbench/cli/layers.py", "    _read_environment(layers, os.environ)\n", ""))
async def test_fault_H6_the_environment_beats_the_file_in_a_worker_that_runs(
    start_worker: Start, tmp_path: Path
) -> None:
    agent = agent_file(tmp_path, "num_idle_processes=1")
    (tmp_path / "workbench.toml").write_text("num_idle_processes = 2\n")
    worker = start_worker(agent, WORKBENCH_NUM_IDLE_PROCESSES="3", WORKBENCH_CONTROL_TOKEN="canary")
    async with worker.client() as client:
        await until(client, lambda state: len(state.live("idle")) == state.option("num_idle_processes"))
        assert len(of_jobs(worker)) == 3
        options = await client.request("GET", "/options")
    assert options["num_idle_processes"]["origin"] == "WORKBENCH_NUM_IDLE_PROCESSES"
    assert (options["control_token"]["value"], options["control_token"]["origin"]) == (
        "********", "WORKBENCH_CONTROL_TOKEN",
    )  # fmt: skip
