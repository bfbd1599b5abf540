"""Options: what is allowed, which layer wins, what contradicts."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import WAIT_S, wait_until
from tests.workers import until_ready
from workbench import Options, OptionsError
from workbench.cli.layers import read_layers
from workbench.model.errors import UsageError
from workbench.model.options import FIELDS, check
from workbench.model.settings import Layers


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"memroy_limit": 3}, "did you mean 'memory_limit_mb'"),
        ({"\ud800": 3}, "no such option"),
        ({"": 3}, "no such option"),
        ({"max_processes": 0}, "a whole number from 1 to 1,000, not 0"),
        ({"max_processes": True}, "a whole number"),
        ({"load_threshold": float("nan")}, "a share above 0"),
        ({"load_threshold": 75}, "0.75 is 75 %"),
        ({"memory_warn_mb": "x"}, "(MB), not 'x'"),
        ({"log_level": "loud"}, "one of DEBUG"),
        ({"ping_interval": float("inf")}, "a number above 0"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(values: dict[str, object], words: str) -> None:
    with pytest.raises(OptionsError) as refused:
        Options(**values)  # type: ignore[arg-type]
    assert words in str(refused.value)


def test_a_secret_is_never_in_an_error_or_a_table() -> None:
    with pytest.raises(OptionsError) as refused:
        Options(auth_token="canary canary")  # type: ignore[arg-type]
    assert "canary" not in str(refused.value)
    layers = Layers()
    layers.add("environment", "auth_token", "canary", "VIDEOSDK_AUTH_TOKEN", text=True)
    assert "canary" not in str(layers.settings().table())


def test_a_stronger_layer_wins_and_the_origin_says_so() -> None:
    layers = Layers()
    layers.put("code", {"max_processes": 3}, "bot.py")
    layers.add("environment", "max_processes", "4", "WORKBENCH_MAX_PROCESSES", text=True)
    layers.add("flag", "max_processes", "6", "--max-processes", text=True)
    settings = layers.settings()
    assert (settings.options.max_processes, settings.origin("max_processes")) == (6, "--max-processes")


def test_a_default_yields_to_a_limit_but_two_set_values_contradict() -> None:
    layers = Layers()
    layers.add("flag", "memory_limit_mb", "100", "--memory-limit-mb", text=True)
    assert layers.settings().options.memory_warn_mb == 80
    layers.add("flag", "memory_warn_mb", "200", "--memory-warn-mb", text=True)
    with pytest.raises(OptionsError) as refused:
        layers.settings()
    assert "--memory-warn-mb" in str(refused.value)
    assert "--memory-limit-mb" in str(refused.value)


@pytest.mark.parametrize("name", FIELDS)
def test_every_default_passes_its_own_check(name: str) -> None:
    default = FIELDS[name].default
    if name != "agent_id":
        assert check(name, default, text=False) == default


# --- where values come from --------------------------------------------------------------------------


def test_a_token_and_its_file_are_one_setting_and_the_stronger_layer_wins() -> None:
    layers = Layers()
    layers.add("environment", "auth_token", "canary", "VIDEOSDK_AUTH_TOKEN", text=True)
    layers.add("flag", "auth_token_file", "token.txt", "--auth-token-file", text=True)
    settings = layers.settings()
    assert (settings.options.auth_token, settings.options.auth_token_file) == (None, "token.txt")
    assert settings.origin("auth_token") == "derived: auth_token_file is given by --auth-token-file"
    assert not settings.chosen("auth_token")
    layers.add("flag", "auth_token", "canary", "--both", text=True)
    with pytest.raises(OptionsError, match="not both"):
        layers.settings()


@pytest.mark.parametrize(
    ("weak", "strong", "words"),
    [
        ({"num_idle_processes": 3}, {"max_processes": 2}, "num_idle_processes: must be at most max_processes"),
        ({"close_timeout": 3}, {"drain_timeout": 2}, "close_timeout: must be at most drain_timeout"),
        ({"memory_warn_mb": 3}, {"memory_limit_mb": 2}, "memory_warn_mb: must be at most memory_limit_mb"),
    ],
)
def test_only_two_values_that_somebody_set_contradict(
    weak: dict[str, float], strong: dict[str, float], words: str
) -> None:
    for given in (weak, strong):  # the other one is a default, or a preset's
        for preset in (None, "high-scale"):
            layers = Layers()
            layers.put_preset(preset)
            layers.put("flag", given, "--flag")
            layers.settings()
    layers = Layers()
    layers.put("code", weak, "bot.py")
    layers.put("flag", strong, "--flag")
    with pytest.raises(OptionsError) as refused:
        layers.settings()
    assert words in str(refused.value)
    assert "(bot.py)" in str(refused.value)
    assert "(--flag)" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tool.other]\nmax_processes = 1\n[tool.workbench]\nmax_processes = 7\n", 4),
        ("[tool]\nworkbench.max_processes = 7\n", 2),
        ("\ntool.workbench.max_processes = 7\n", 2),
        ("[ tool . 'workbench' ] # ours\n\n'max_processes' = 7\n", 3),
        ("[tool]\nworkbench = { port = 1, max_processes = 7 }\n", 2),
        ("\ufeff[tool.workbench]\r\nmax_processes=7\r\n", 2),
    ],
)
def test_the_origin_of_a_value_in_a_file_is_its_line(tmp_path: Path, text: str, line: int) -> None:
    for name in ("pyproject.toml", "workbench.toml"):
        (tmp_path / name).write_text(text)
        settings = read_layers(tmp_path, None, {}, "bot").settings()
        assert (settings.options.max_processes, settings.origin("max_processes")) == (7, f"{name}:{line}")
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("pyproject.toml", "tool = 3", "pyproject.toml: [tool] must be a table"),
        ("pyproject.toml", "[tool]\nworkbench = []", "pyproject.toml: [tool.workbench] must be a table"),
        ("pyproject.toml", "[tool.workbench]\nx = 1", "x (pyproject.toml:2): no such option"),
        ("workbench.toml", "max_proceses = 1", "(workbench.toml:1): no such option; did you mean 'max_processes'"),
        ("workbench.toml", 'max_processes = "3"', "max_processes (workbench.toml:1): must be a whole number"),
        ("workbench.toml", "load_threshold = nan", "not nan"),
        ("workbench.toml", "host = 'a b'", "host (workbench.toml:1): must be a host's name"),
        ("workbench.toml", 'host = "a\\u0000b"', "host (workbench.toml:1): must be a host's name"),
        ("workbench.toml", 'control_token_file = ""', "must be the path of a file"),
        ("workbench.toml", 'auth_token = "can ary"', "must be a token without blanks or line breaks, not ********"),
        ("workbench.toml", 'registry_url = "ftp://me:canary@x"', "not 'ftp://********@x'"),
        ("workbench.toml", "x = " + "[" * 3000, "nested too deep"),
        ("workbench.toml", "x = [", "cannot read"),
        ("workbench.toml", "# " + "x" * 1024 * 1024, "larger than 1 MB"),
    ],
    ids=range(14),
)  # fmt: skip
def test_a_wrong_file_is_one_error_that_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as refused:
        read_layers(tmp_path, None, {}, "bot")
    assert words in str(refused.value)
    assert "canary" not in str(refused.value)


def test_a_file_that_is_none_is_refused_without_reading_it(tmp_path: Path) -> None:
    for make in (Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path = tmp_path / "workbench.toml"
        make(path)
        with pytest.raises(UsageError, match="is not a file"):
            read_layers(tmp_path, None, {}, "bot")
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "workbench.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        read_layers(tmp_path, None, {}, "bot")


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("WORKBENCH_MAX_PROCESES", "WORKBENCH_MAX_PROCESES; did you mean 'WORKBENCH_MAX_PROCESSES'?"),
        ("WORKBENCH_NOTHING_LIKE_IT", "unknown option in the environment: WORKBENCH_NOTHING_LIKE_IT"),
        ("WORKBENCH_PORT", "port (WORKBENCH_PORT): must be a whole number from 0 to 65,535, not 'x'"),
        ("WORKBENCH_CONTROL_TOKEN", "control_token (WORKBENCH_CONTROL_TOKEN)"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: str) -> None:
    monkeypatch.setenv(variable, "x" if "TOKEN" not in variable else "can ary")
    with pytest.raises(UsageError) as refused:
        read_layers(tmp_path, None, {}, "bot")
    assert words in str(refused.value)
    assert "can ary" not in str(refused.value)
    assert "did you mean" in words or "did you mean" not in str(refused.value)


def test_the_variables_of_a_kubernetes_service_of_our_name_are_no_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {
        "WORKBENCH_PORT": "tcp://10.0.0.7:8081", "WORKBENCH_SERVICE_HOST": "10.0.0.7",
        "WORKBENCH_SERVICE_PORT_HTTP": "8081", "WORKBENCH_PORT_8081_TCP": "tcp://10.0.0.7:8081",
        "WORKBENCH_PORT_8081_TCP_ADDR": "10.0.0.7",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    assert read_layers(tmp_path, None, {}, "bot").settings().origin("port") == "default"


def test_the_environment_of_the_sdk_is_the_weaker_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOSDK_AUTH_TOKEN", "one")
    assert read_layers(tmp_path, None, {}, "bot").settings().origin("auth_token") == "VIDEOSDK_AUTH_TOKEN"
    monkeypatch.setenv("WORKBENCH_AUTH_TOKEN_FILE", "two")
    settings = read_layers(tmp_path, None, {}, "bot").settings()
    assert (settings.options.auth_token, settings.options.auth_token_file) == (None, "two")


def test_a_flag_that_says_no_is_its_own_origin(tmp_path: Path) -> None:
    for value, flag in ((True, "--register"), (False, "--no-register")):
        assert read_layers(tmp_path, None, {"register": value}, "bot").settings().origin("register") == flag


def test_credentials_in_an_address_are_not_shown() -> None:
    layers = Layers()
    layers.add("flag", "registry_url", "wss://me:canary@registry.example/x", "--registry-url", text=True)
    settings = layers.settings()
    assert settings.table()["registry_url"]["value"] == "wss://********@registry.example/x"
    assert "canary" not in str(settings.differing())
    assert settings.options.registry_url == "wss://me:canary@registry.example/x"


async def until_idle(client: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        async for frame in client.frames():
            if frame.state.live("idle") and not frame.state.live("starting"):
                return


async def test_job_processes_inherit_no_secret_of_the_worker(start_worker: Any) -> None:
    secrets = {"WORKBENCH_CONTROL_TOKEN": "canary-1", "WORKBENCH_AUTH_TOKEN": "canary-2"}
    worker = start_worker("ledger.py", TEST_SEEN="seen", **secrets)
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch(None, {"do": "wait"})
        wait_until(worker.entries, "the job runs")
        await until_idle(client)
        below = psutil.Process(worker.process.pid).children(recursive=True)
        seen = [(process.environ(), process.cmdline()) for process in below if process.is_running()]
        answers = [await client.request("GET", path) for path in ("/stats", "/options", "/worker", "/metrics", "/jobs")]
        await client.end_job(job["id"])
    assert [environment["TEST_SEEN"] for environment, _ in seen].count("seen") >= 2
    assert "canary" not in str(seen) + str(answers)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    assert "canary" not in worker.output()
