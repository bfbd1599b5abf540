"""Reading the layers of options that lie outside the agent's file: preset, files, environment, flags."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.model.errors import UsageError, nearest
from workbench.model.options import FIELDS
from workbench.model.settings import Layers

PREFIX = "WORKBENCH_"
# Variables of ours that are no options, so that a misspelt option is still found.
OTHER_VARIABLES = frozenset({"WORKBENCH_PROCESS"})
MAX_FILE = 1024 * 1024


def read_layers(agent_folder: Path, preset: str | None, flags: Mapping[str, Any], stem: str) -> Layers:
    """Every layer but the agent's own.

    Raises:
        UsageError: an unknown option or an impossible value, with its source.
    """
    layers = Layers(agent_stem=_as_agent_id(stem))
    layers.put_preset(preset)
    _read_files(layers, agent_folder)
    _read_environment(layers, os.environ)
    for name, value in flags.items():
        layers.add("flag", name, value, "--" + name.replace("_", "-"), text=True)
    return layers


def _as_agent_id(stem: str) -> str:
    return re.sub(r"[^\w.:@-]", "-", stem)[:128] or "agent"


def _read_files(layers: Layers, folder: Path) -> None:
    pyproject, own = folder / "pyproject.toml", folder / "workbench.toml"
    if pyproject.exists():
        table = _toml(pyproject).get("tool", {}).get("workbench", {})
        _put_table(layers, table, pyproject, "[tool.workbench] in pyproject.toml")
    if own.exists():
        _put_table(layers, _toml(own), own, "workbench.toml")


def _put_table(layers: Layers, table: Any, path: Path, name: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{name}: must be a table of options")
    for option, value in table.items():
        layers.add("file", option, value, f"{path.name}:{_line_of(path, option)}")


def _toml(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
        if path.stat().st_size > MAX_FILE:
            raise UsageError(f"{path} is larger than 1 MB")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def _line_of(path: Path, option: str) -> int:
    pattern = re.compile(rf"""^\s*["']?{re.escape(option)}["']?\s*=""")
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if pattern.match(line):
            return number
    return 1


def _read_environment(layers: Layers, environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in FIELDS:
            known = [PREFIX + option.upper() for option in FIELDS]
            raise UsageError(f"unknown option in the environment: {variable}{nearest(variable, known)}")
        layers.add("environment", name, value, variable, text=True)
    token = environment.get("VIDEOSDK_AUTH_TOKEN")
    if token and not any(name in layers.by_name["environment"] for name in ("auth_token", "auth_token_file")):
        layers.add("environment", "auth_token", token, "VIDEOSDK_AUTH_TOKEN", text=True)
