"""Options: what is allowed, which layer wins, what contradicts."""

import pytest

from workbench import Options, OptionsError
from workbench.model.options import FIELDS, check
from workbench.model.settings import Layers


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"memroy_limit": 3}, "did you mean 'memory_limit_mb'"),
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
