"""Options: what is allowed, which layer wins, what contradicts."""

import os
from pathlib import Path

import pytest

from workbench import Options, OptionsError
from workbench.cli.layers import read_layers
from workbench.model.errors import UsageError
from workbench.model.options import FIELDS, TOKEN_WORDS, check
from workbench.model.settings import Layers


@pytest.mark.parametrize("name", ["\ud800", ""])
def test_a_name_that_nobody_could_mean_is_no_option(name: str) -> None:
    with pytest.raises(OptionsError, match="no such option"):
        Options(**{name: 3})  # type: ignore[arg-type]


def test_a_secret_is_never_in_an_error_or_a_table() -> None:
    with pytest.raises(OptionsError) as refused:
        Options(auth_token="canary canary")  # type: ignore[arg-type]
    assert "canary" not in str(refused.value)
    layers = Layers()
    layers.add("environment", "auth_token", "canary", "VIDEOSDK_AUTH_TOKEN", text=True)
    assert "canary" not in str(layers.settings().table())


@pytest.mark.parametrize("name", FIELDS)
def test_what_holds_when_nothing_is_set_passes_its_own_check(name: str) -> None:
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
        ("workbench.toml", 'host = "a\\u0000b"', "host (workbench.toml:1): must be a host's name"),
        ("workbench.toml", 'auth_token = "can ary"', f"must be {TOKEN_WORDS}, not ********"),
        ("workbench.toml", 'registry_url = "ftp://me:canary@x"', "not 'ftp://********@x'"),
        ("workbench.toml", "x = " + "[" * 3000, "nested too deep"),
        ("workbench.toml", "x = [", "cannot read"),
        ("workbench.toml", "# " + "x" * 1024 * 1024, "larger than 1 MB"),
    ],
    ids=range(8),
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


def test_a_variable_that_is_like_no_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NOTHING_LIKE_IT", "x")
    with pytest.raises(UsageError, match=r"unknown option in the environment: WORKBENCH_NOTHING_LIKE_IT$"):
        read_layers(tmp_path, None, {}, "bot")


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
    monkeypatch.setenv("VIDEOSDK_AUTH_TOKEN", "canary")
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
