"""The sources that a generation was loaded from, for processes that load it for themselves later.

By then a save or a `git pull` may have changed the files; those processes belong to their generation all the same.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

_files: dict[str, bytes] = {}


def read(file: str) -> bytes:
    """A source as this generation has it.

    Raises:
        OSError: it is one of the disk's, and cannot be read.
    """
    return _files[file] if file in _files else Path(file).read_bytes()


def keep(main: str, root: str) -> int:
    """Keep the agent's own file and what it imported of the project; a descriptor that others may open by its number.

    Raises:
        OSError: no descriptor is left, or a file has gone since it was imported.
    """
    modules: dict[str, tuple[str, bool]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")  # a module's own `__getattr__` may raise
        if isinstance(file, str) and file.endswith(".py") and file != main and _of_project(file, root):
            modules[name] = file, os.path.basename(file) == "__init__.py"
    files = {main, *(file for file, _ in modules.values())}
    texts = {file: Path(file).read_bytes().decode("latin-1") for file in files}
    kept = os.memfd_create("workbench-sources", os.MFD_CLOEXEC)
    with open(kept, "w", encoding="utf-8", closefd=False) as content:
        json.dump({"modules": modules, "files": texts}, content)
    return kept


def _of_project(file: str, root: str) -> bool:
    return file.startswith(root + os.sep) and "site-packages" not in file


def take(place: str) -> None:
    """Load what was kept there, whatever is on the disk by now.

    Raises:
        OSError: who kept it has gone.
    """
    with open(place, encoding="utf-8") as content:
        kept = json.load(content)
    _files.update({file: text.encode("latin-1") for file, text in kept["files"].items()})
    sys.meta_path.insert(0, _Finder({name: (file, package) for name, (file, package) in kept["modules"].items()}))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that the generation had imported, even where their files have gone."""

    def __init__(self, modules: dict[str, tuple[str, bool]]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib`."""
        if name not in self._modules:
            return None
        file, package = self._modules[name]
        folders = [os.path.dirname(file)] if package else None
        return importlib.util.spec_from_file_location(
            name, file, loader=_Loader(name, file), submodule_search_locations=folders
        )


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles what was kept: a cached compilation may be of what is on the disk."""

    def get_code(self, fullname: str) -> CodeType:
        """See `importlib`."""
        code: CodeType = compile(read(self.path), self.path, "exec", dont_inherit=True)
        return code
