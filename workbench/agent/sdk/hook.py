"""Notices that an agent's file imports the VideoSDK SDK, before the file can have used it."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

MODULE = "videosdk.agents.job"

Told = Callable[[ModuleType], None]


def watch(told: Told) -> None:
    """Have `told` called with the SDK's module of jobs: now if it is imported already, else right after its import."""
    there = sys.modules.get(MODULE)
    if there is not None:
        told(there)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(told))


class _Finder(importlib.abc.MetaPathFinder):
    """Leaves the finding to Python, and only has a word after the module's code ran."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib`."""
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._told(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
