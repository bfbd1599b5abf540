"""Reading the layers of options that lie outside the agent's file: preset, files, environment, flags."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.model.errors import UsageError, nearest
from workbench.model.options import FIELDS
from workbench.model.settings import Layers

PREFIX = "WORKBENCH_"
# Variables of ours that are no options, so that a misspelt option is still found.
OTHER_VARIABLES = frozenset({"WORKBENCH_PROCESS", "WORKBENCH_REGISTRY_TOKEN"})  # of other programs of ours
# Kubernetes gives these to every container beside a service that is called "workbench"; nobody chose them.
SERVICE_LINK = re.compile(r"WORKBENCH_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")
MAX_FILE = 1024 * 1024
TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")


def read_layers(agent_folder: Path, preset: str | None, flags: Mapping[str, Any], stem: str) -> Layers:
    """Every layer but the agent's own.

    Raises:
        UsageError: an unknown option or an impossible value, with its source.
    """
    layers = Layers(agent_stem=_as_agent_id(stem), folder=os.path.abspath(agent_folder))
    layers.put_preset(preset)
    _read_files(layers, agent_folder)
    _read_environment(layers, os.environ)
    for name, value in flags.items():
        flag = ("--no-" if value is False else "--") + name.replace("_", "-")
        layers.add("flag", name, value, flag, text=True)
    return layers


def _as_agent_id(stem: str) -> str:
    return re.sub(r"[^\w.:@-]", "-", stem)[:128] or "agent"


# --- files ------------------------------------------------------------------------------------------


def _read_files(layers: Layers, folder: Path) -> None:
    """`[tool.workbench]` of either file; in `workbench.toml` the options may also stand at the top."""
    pyproject, own = folder / "pyproject.toml", folder / "workbench.toml"
    if os.path.lexists(pyproject):  # a link to nowhere is no reason to run without what was to stand there
        text, data = _toml(pyproject)
        _put_table(layers, _table(data, pyproject), pyproject.name, text, ["tool", "workbench"])
    if os.path.lexists(own):
        text, data = _toml(own)
        _put_table(layers, _table(data, own), own.name, text, ["tool", "workbench"])
        data.pop("tool", None)
        _put_table(layers, data, own.name, text, [])


def _toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a file")
        if status.st_size > MAX_FILE:
            raise UsageError(f"{path} is larger than 1 MB")
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        link = f", a link to {os.readlink(path)}" if path.is_symlink() else ""
        raise UsageError(f"cannot read {path}{link}: {error.strerror}") from None
    except RecursionError:
        raise UsageError(f"cannot read {path}: it is nested too deep") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"cannot read {path}: {error}") from None


def _table(data: dict[str, Any], path: Path) -> dict[str, Any]:
    value: Any = data
    for depth, part in enumerate(("tool", "workbench")):
        value = value.get(part, {})
        if not isinstance(value, dict):
            name = ".".join(("tool", "workbench")[: depth + 1])
            raise UsageError(f"{path.name}: [{name}] must be a table")
    return dict(value)


def _put_table(layers: Layers, table: Mapping[str, Any], file: str, text: str, where: list[str]) -> None:
    for option, value in table.items():
        line = _line_of(text, [*where, option])
        layers.add("file", option, value, f"{file}:{line}" if line else file)


def _line_of(text: str, key: list[str]) -> int:
    """The line that sets `key`, also as part of a dotted key or an inline table; 0 when it is not found."""
    header: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        table = TABLE.match(line)
        if table:
            header = _parts(table[1])
        elif "=" in line:
            given = header + _parts(line.partition("=")[0])
            if given == key or (key[: len(given)] == given and f"{key[-1]}" in line.partition("=")[2]):
                return number
    return 0


def _parts(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]


# --- environment ------------------------------------------------------------------------------------


def _read_environment(layers: Layers, environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if SERVICE_LINK.fullmatch(variable) or (variable == "WORKBENCH_PORT" and SERVICE_URL.match(value)):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in FIELDS:
            known = [option.upper() for option in FIELDS]
            hint = nearest(name.upper(), known).replace("'", f"'{PREFIX}", 1)
            raise UsageError(f"unknown option in the environment: {variable}{hint}")
        layers.add("environment", name, value, variable, text=True)
    token = environment.get("VIDEOSDK_AUTH_TOKEN")
    if token and not any(name in layers.by_name["environment"] for name in ("auth_token", "auth_token_file")):
        layers.add("environment", "auth_token", token, "VIDEOSDK_AUTH_TOKEN", text=True)
