"""What the agent's file says of the options: the layer that changes when newer code is promoted."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.model.options import FIELDS, meta
from workbench.model.settings import Given, Layers, Settings


@dataclass(frozen=True, slots=True)
class Change:
    """What the worker's settings become with a file's options, and which of those have no effect before a restart."""

    layer: dict[str, Given]
    settings: Settings
    needs_restart: list[str]


class CodeOptions:
    """The options of the file as they hold now, and of those that come and go with generations."""

    def __init__(self, layers: Layers, target: str) -> None:
        self._layers = layers
        self._source = f"Options(...) in {os.path.basename(target)}"
        self._in_force: Settings | None = None  # from the first generation on: what cannot change any more
        self._before: dict[str, Given] = {}

    def judge(self, values: Mapping[str, Any]) -> Change:
        """What follows from a file's options; nothing is changed.

        Raises:
            OptionsError: an unknown option, an impossible value, or a contradiction.
        """
        trial = Layers({**self._layers.by_name}, self._layers.agent_stem)
        trial.put("code", values, self._source)
        settings = trial.settings()
        if self._in_force is None:
            return Change(trial.by_name["code"], settings, [])
        old, now = self._layers.by_name["code"], self._in_force.options
        fixed = [
            name
            for name in FIELDS
            if meta(name)["effect"] == "restart" and getattr(settings.options, name) != getattr(now, name)
        ]
        for name in fixed:
            trial.by_name["code"].pop(name, None)
            if name in old:
                trial.by_name["code"][name] = old[name]
        return Change(trial.by_name["code"], trial.settings(), fixed)

    def take(self, change: Change) -> None:
        """From now on these are the file's options."""
        self._before = self._layers.by_name["code"]
        self._layers.by_name["code"] = change.layer
        self._in_force = self._in_force or change.settings

    def take_back(self) -> Settings:
        """Those before are again.

        Raises:
            OptionsError: they contradict what was changed live meanwhile.
        """
        self._layers.by_name["code"] = self._before
        return self._layers.settings()
