"""Options that cannot be as given, and addresses that cannot be had: exit 2 or 4, and never something else instead."""

import json
import math
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Worker
from tests.defences import defence
from tests.test_cli import agent_file, workbench
from tests.workers import until_ready
from workbench.cli.layers import read_layers
from workbench.cli.parser import given_flags, parse_run
from workbench.client.client import ClientError
from workbench.model.errors import UsageError
from workbench.model.options import FIELDS, TOKEN_WORDS, Options
from workbench.model.settings import Settings

Start = Callable[..., Worker]
RUN = ("--no-tui", "--once", "--job-timeout", "0.1", "--log-format", "text")  # what runs wrongly ends by itself

# --- H7: files that are none ---------------------------------------------------------------------------


@defence(("workbench/cli/layers.py", "if os.path.lexists(own)", "if os.path.exists(own)"),
         ("workbench/cli/layers.py", "if os.path.lexists(pyproject)", "if os.path.exists(pyproject)"))  # fmt: skip
@defence(("workbench/cli/layers.py", "if not stat.S_ISREG(status.st_mode):", "if False:"))
@defence(("workbench/cli/layers.py", "if status.st_size > MAX_FILE:", "if False:"))
@defence(("workbench/cli/layers.py", "if path.is_symlink() else", "if False else"))
@pytest.mark.parametrize("name", ["workbench.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "{path} is not a file"),
        (os.mkfifo, "{path} is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "{path} is not a file"),
        (lambda path: path.symlink_to(path.name), "cannot read {path}, a link to {name}: Too many levels of symbolic"),
        (lambda path: path.symlink_to("gone.toml"), "cannot read {path}, a link to gone.toml: No such file or direc"),
        (lambda path: path.write_bytes(b"#" * 2_000_000), "{path} is larger than 1 MB"),
        (lambda path: path.write_bytes(b"# caf\xe9\n"), "cannot read {path}: 'utf-8' codec can't decode"),
    ],
    ids=["folder", "pipe", "device", "link to itself", "link to nowhere", "large", "latin"],
)
def test_fault_H7_a_file_of_options_that_cannot_be_read_is_2(
    tmp_path: Path, name: str, make: Callable[[Path], object], words: str
) -> None:
    agent_file(tmp_path)
    make(tmp_path / name)
    run = workbench(tmp_path, "bot.py", *RUN)
    assert run.returncode == 2
    assert run.stderr.startswith("workbench: " + words.format(path=tmp_path / name, name=name))


# --- H1: names that do not exist ---------------------------------------------------------------------


@defence(("workbench/model/options.py", "nearest(name, FIELDS))], source)", "'')], source)"),
         ("workbench/model/options.py", 'nearest(name, FIELDS)))', "''))"),
         ("workbench/cli/parser.py", "if close else \"\")\n    if given in", "if False else \"\")\n    if given in"),
         ("workbench/cli/layers.py", "{variable}{hint}", "{variable}"))  # fmt: skip
@defence(("workbench/cli/layers.py", 'f"{file}:{line}" if line else file', "file"))
@defence(("workbench/agent/problem.py", "exit_code = error.exit_code if", "exit_code = 3 if"))
@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("flag", "unknown flag '--memroy-limit-mb'; did you mean --memory-limit-mb?"),
        (
            "variable",
            "unknown option in the environment: WORKBENCH_MEMROY_LIMIT; did you mean 'WORKBENCH_MEMORY_LIMIT_MB'?",
        ),
        ("workbench.toml", "memroy_limit (workbench.toml:2): no such option; did you mean 'memory_limit_mb'?"),
        ("pyproject.toml", "memroy_limit (pyproject.toml:3): no such option; did you mean 'memory_limit_mb'?"),
        ("code", "memroy_limit: no such option; did you mean 'memory_limit_mb'? (bot.py:5)"),
    ],
)
def test_fault_H1_a_misspelt_option_is_2_with_the_nearest_name_and_its_place(
    tmp_path: Path, layer: str, words: str
) -> None:
    agent_file(tmp_path, "memroy_limit=300" if layer == "code" else "")
    if layer.endswith(".toml"):
        table = "[tool.workbench]\n" if layer == "pyproject.toml" else ""
        (tmp_path / layer).write_text(f"{table}# the limit\nmemroy_limit = 300\n")
    run = workbench(
        tmp_path, "bot.py", *RUN, *(["--memroy-limit-mb", "300"] if layer == "flag" else []),
        **({"WORKBENCH_MEMROY_LIMIT": "300"} if layer == "variable" else {}),
    )  # fmt: skip
    assert words in run.stderr.splitlines()[0]
    assert (run.returncode, run.stdout) == (2, "")


@defence(
    ("workbench/model/options.py", '"no such option" + nearest(name, FIELDS))], source)', '"no such option")], source)')
)
async def test_fault_H1_a_misspelt_option_of_a_live_change_changes_nothing(start_worker: Start) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        with pytest.raises(ClientError, match="did you mean 'memory_limit_mb'") as refused:
            await client.set_options({"num_idle_processes": 3, "memroy_limit": 300})
        options = await client.request("GET", "/options")
    assert refused.value.status == 400
    assert options["num_idle_processes"]["origin"] == "default"


# --- H2: values that cannot be -----------------------------------------------------------------------

ABOVE_0 = math.ulp(0.0)  # the least number above it
NUMBERS: dict[str, tuple[type, float, float, str]] = {
    "max_processes": (int, 1, 1000, "a whole number from 1 to 1,000 (processes)"),
    "num_idle_processes": (int, 0, 1000, "a whole number from 0 to 1,000 (processes)"),
    "max_jobs_per_process": (int, 0, 1_000_000, "a whole number from 0 to 1,000,000 (jobs)"),
    "max_retry": (int, 0, 1_000_000, "a whole number from 0 to 1,000,000 (tries)"),
    "port": (int, 0, 65535, "a whole number from 0 to 65,535"),
    "memory_warn_mb": (float, 0, 16_777_216, "a number from 0 to 16,777,216 (MB)"),
    "memory_limit_mb": (float, 0, 16_777_216, "a number from 0 to 16,777,216 (MB)"),
    "ping_interval": (float, ABOVE_0, 31_536_000, "a number above 0 up to 31,536,000 (s)"),
    "initialize_timeout": (float, ABOVE_0, 31_536_000, "a number above 0 up to 31,536,000 (s)"),
    "ping_timeout": (float, 0, 31_536_000, "a number from 0 to 31,536,000 (s)"),
    "close_timeout": (float, 0, 31_536_000, "a number from 0 to 31,536,000 (s)"),
    "drain_timeout": (float, 0, 31_536_000, "a number from 0 to 31,536,000 (s)"),
    "job_timeout": (float, 0, 31_536_000, "a number from 0 to 31,536,000 (s)"),
    "load_threshold": (float, ABOVE_0, 1, "a share above 0 and up to 1 (0.75 is 75 %), or inf to never refuse"),
}
TEXTS: dict[str, tuple[list[str], str]] = {
    "agent_id": (["", "a b", "a/b", "x" * 129], "1 to 128 letters, digits or any of _ . : @ -"),
    "load": (["", "gpu", "CPU", "1"], "one of cpu, jobs"),
    "log_level": (["", "loud", "10"], "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    "register": (["", "maybe", "2", "-1"], "true or false"),
    "registry_url": (["", "ftp://x", "x", "https://a b"], "an address that starts with https://, http://, ws:// or wss://"),
    "host": (["", "a b", "a\x1bb", "x" * 254], "a host's name or address, for example 127.0.0.1 or ::"),
    "auth_token": (["", "canar", "cana ry", "cana\try"], TOKEN_WORDS),
    "control_token": (["", "canar", "cana ry", "cana\try"], TOKEN_WORDS),
    "auth_token_file": ([""], "the path of a file"),
    "control_token_file": ([""], "the path of a file"),
}  # fmt: skip
NO_NUMBER = ["", "x", "nan", "-nan", "-inf", "300 MB", "1,000", "0x1g", "true", "None", "[1]"]
TYPED = ("file", "code")
OTHER_TYPES = ["[1]", "{a = 1}", "1979-05-27", "nan", "-inf", "-1", "3.5", "true"]  # in TOML


def wrong_number(name: str) -> st.SearchStrategy[str]:
    """Numbers outside the range, as text."""
    kind, low, high, _ = NUMBERS[name]
    below = st.integers(-(10**40), math.ceil(low) - 1 if kind is int or low == 0 else 0)
    above = st.integers(int(high) + 1, 10**40)
    if kind is int:
        return (below | above | st.just(int(high) + 1)).map(str)
    small = st.floats(max_value=low, exclude_max=True, allow_infinity=False)
    large = st.floats(min_value=high, exclude_min=True, allow_infinity=False)
    return (below | above | small | large).map(str)


def wrong(name: str, layer: str) -> st.SearchStrategy[str]:
    """Text that no such option takes from this layer; where values have types, one of TOML."""
    if name in NUMBERS:
        kind, _, _, _ = NUMBERS[name]
        no_number = NO_NUMBER if name == "load_threshold" else [*NO_NUMBER, "inf", "1e999", "9" * 5000]
        if layer not in TYPED:
            more = ["1.5", "1e3"] if kind is int else []
            return wrong_number(name) | st.sampled_from([*no_number, *more])
        types = ['"3"', '""', "true", *OTHER_TYPES[:5], *(["3.5", "3.0"] if kind is int else [])]
        return wrong_number(name) | st.sampled_from(types)
    texts, _ = TEXTS[name]
    if layer not in TYPED:
        return st.sampled_from(texts)
    types = OTHER_TYPES if name != "register" else OTHER_TYPES[:-1]
    return st.sampled_from([*types, *(json.dumps(text) for text in texts)])


def read(name: str, layer: str, value: str, folder: Path) -> Settings:
    """The settings of a worker of which somebody sets this, as the command reads them."""
    arguments, environment = ["bot.py"], {}
    if layer == "code":
        Options(**{name: tomllib.loads(f"value = {value}")["value"]})
    (folder / "workbench.toml").unlink(missing_ok=True)
    if layer == "flag":
        arguments.append(f"--{name.replace('_', '-')}={value}")
    elif layer == "environment":
        environment[f"WORKBENCH_{name.upper()}"] = value
    else:
        (folder / "workbench.toml").write_text(f"\n{name} = {value}\n")
    with mock.patch.dict(os.environ, environment, clear=True):
        return read_layers(folder, None, given_flags(parse_run(arguments)), "bot").settings()


def has_layer(name: str, layer: str) -> bool:
    """Secrets have no flags, and flags that are switches have no values."""
    return layer != "flag" or name not in ("auth_token", "control_token", "register")


def source(name: str, layer: str) -> str:
    """What an error calls the place of a value; that of the agent's own code is the line that raised it."""
    flag, variable = f"--{name.replace('_', '-')}", f"WORKBENCH_{name.upper()}"
    return {"flag": f" ({flag})", "environment": f" ({variable})", "file": " (workbench.toml:2)", "code": ""}[layer]


@defence(("workbench/model/options.py", '(name, f"must be {allowed(name)}, not', '(name, f"is wrong, not'))
@defence(("workbench/model/options.py", "unit = f\" ({meta(name)['unit']})\" if", 'unit = "" if'))
@defence(("workbench/model/options.py", "    if not (0 < value <= 1 or value == math.inf):", "    if False:"))
@defence(("workbench/model/options.py", 'unit="s", allow_inf_nan=False, le=31_536_000', 'unit="s"'))
@defence(("workbench/model/options.py", "frozen=True, strict=True", "frozen=True"))
@defence(("workbench/model/options.py", 'unit="processes", ge=1, le=1000', 'unit="processes", ge=1'))
@defence(("workbench/model/options.py", 'where = f" ({source})" if source else ""', 'where = ""'))
@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_fault_H2_a_value_that_cannot_be_is_refused_with_its_option_its_source_and_what_is_allowed(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    layers = [layer for layer in ("flag", "environment", "file", "code") if has_layer(name, layer)]
    layer = data.draw(st.sampled_from(layers))
    value = data.draw(wrong(name, layer))
    with pytest.raises(UsageError) as refused:
        read(name, layer, value, tmp_path)
    allowed = NUMBERS[name][3] if name in NUMBERS else TEXTS[name][1]
    assert str(refused.value).startswith(f"{name}{source(name, layer)}: must be {allowed}, not ")
    assert len(str(refused.value)) < 400
    assert "cana" not in str(refused.value)
    assert refused.value.exit_code == 2


@defence(("workbench/model/errors.py", "    exit_code = 2\n", "    exit_code = 1\n"))
@pytest.mark.parametrize("layer", ["flag", "variable", "workbench.toml", "pyproject.toml", "code"])
def test_fault_H2_a_worker_with_such_a_value_ends_with_2(start_worker: Start, tmp_path: Path, layer: str) -> None:
    agent = agent_file(tmp_path, "max_processes=-1" if layer == "code" else "")
    if layer.endswith(".toml"):
        table = "[tool.workbench]" if layer == "pyproject.toml" else ""
        (tmp_path / layer).write_text(f"{table}\nmax_processes = -1\n")
    flags = ["--log-format", "text", *(["--max-processes", "-1"] if layer == "flag" else [])]
    variables = {"WORKBENCH_MAX_PROCESSES": "-1"} if layer == "variable" else {}
    worker = start_worker(agent, *flags, wait=False, **variables)
    assert worker.ended() == 2
    place = {"flag": " (--max-processes)", "variable": " (WORKBENCH_MAX_PROCESSES)", "code": ""}
    words = (
        f"max_processes{place.get(layer, f' ({layer}:2)')}: must be a whole number from 1 to 1,000 (processes), not "
    )
    assert words in worker.output().splitlines()[0]
    assert "bot.py:5)" in worker.output() or layer != "code"


@defence(
    (
        "workbench/supervisor/live.py",
        "Given(check(name, value, text=False, source=source), source)",
        "Given(value, source)",
    )
)
@defence(
    (
        "workbench/supervisor/live.py",
        "given = {name: Given(check(name, value, text=False, source=source), source) for",
        "given = self._layers.by_name[LIVE]\n        for name, value in values.items():\n"
        "            given[name] = Given(check(name, value, text=False, source=source), source)\n        _ = {name for",
    )
)
async def test_fault_H2_a_live_change_to_such_a_value_is_refused_whole(start_worker: Start) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        for name, value in (
            ("max_processes", 0), ("max_processes", "3"), ("max_processes", 1e300), ("ping_interval", 0),
            ("memory_limit_mb", -1), ("job_timeout", 10**30), ("load_threshold", 75), ("log_level", "loud"),
        ):  # fmt: skip
            allowed = NUMBERS[name][3] if name in NUMBERS else TEXTS[name][1]
            with pytest.raises(ClientError, match=re.escape(f"{name} (live): must be {allowed}, not ")) as refused:
                await client.set_options({"num_idle_processes": 2, name: value})
            assert refused.value.status == 400
        await client.set_options({"close_timeout": 3})  # nothing of the refused ones is left to come with this
        options = await client.request("GET", "/options")
    assert [name for name, option in options.items() if option["origin"] == "live"] == ["close_timeout"]
