"""Finding and executing the agent: `bot.py`, `bot.py:name`, `package.module`, `package.module:name`.

A file that holds `WorkerJob(` is executed as `__main__`, as `python bot.py` would; anything else is imported
by its dotted name, so that a `__main__` guard stays asleep.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.agent import job as jobs
from workbench.model.errors import AgentError, nearest


@dataclass(frozen=True, slots=True)
class Target:
    """What to load. `root` goes first on `sys.path`; `dotted` is the module's full name."""

    file: str
    name: str
    root: str
    dotted: str
    given: str

    @property
    def stem(self) -> str:
        """What the agent is called when nobody says."""
        path = Path(self.file)
        return path.parent.name if path.stem in ("__main__", "__init__") else path.stem


def find(given: str) -> Target:
    """The file that `given` names, without executing anything.

    Raises:
        AgentError: there is no such file or module; close names are suggested.
    """
    path, _, name = given.partition(":") if not os.path.exists(given) else (given, "", "")
    if path.endswith(".py") or os.sep in path or os.path.exists(path):
        return _from_file(Path(path), name, given)
    root = os.getcwd()
    sys.path.insert(0, root)
    try:
        spec = importlib.util.find_spec(path)
    except (ImportError, ValueError, AttributeError) as error:
        raise AgentError(f"no module {path!r}: {error}{_close(Path(path + '.py'))}") from None
    finally:
        sys.path.remove(root)
    if spec is not None and spec.submodule_search_locations is not None:
        main = Path(next(iter(spec.submodule_search_locations))) / "__main__.py"
        return _from_file(main if main.exists() or not spec.origin else Path(spec.origin), name, given)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise AgentError(f"no file or module {path!r}{_close(Path(path + '.py'))}")
    return Target(os.path.realpath(spec.origin), name, root, path, given)


def _from_file(path: Path, name: str, given: str) -> Target:
    if path.is_dir():
        raise AgentError(f"{path} is a folder; name the agent's file in it, for example {path / 'bot.py'}")
    if not path.exists():
        raise AgentError(f"no file {str(path)!r}{_close(path)}")
    file = path.absolute()
    parts = [file.stem] if file.stem != "__init__" else []
    folder = file.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    return Target(str(file), name, str(folder), ".".join(parts) or file.parent.name, given)


def _close(path: Path) -> str:
    try:
        names = [entry.name for entry in path.absolute().parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    return nearest(path.name, names)


def executes_as_main(target: Target) -> bool:
    """The file hands itself over with `WorkerJob(...)`, and no name was asked for.

    Raises:
        AgentError: the file cannot be read.
    """
    try:
        source = Path(target.file).read_bytes()
    except OSError as error:
        raise AgentError(f"cannot read {target.file}: {error.strerror}") from None
    return not target.name and b"WorkerJob(" in source


def prepare(target: Target, arguments: list[str]) -> None:
    """Set `sys.path` and `sys.argv` as a plain run of the file would."""
    package = "." in target.dotted
    folder = target.root if package else os.path.dirname(target.file)
    sys.path.insert(0, folder)
    sys.argv = [target.file, *arguments]


def execute(target: Target) -> jobs.WorkerJob:
    """Run the agent's file once and return its job; a `start()` in it never comes back here.

    Raises:
        AgentError: nothing in it can be run, or too much.
        BaseException: whatever the file itself raises.
    """
    if executes_as_main(target):
        module = _as_main(target)
    else:
        module = importlib.import_module(target.dotted)
    return _pick(module, target)


def _as_main(target: Target) -> types.ModuleType:
    loader = importlib.machinery.SourceFileLoader("__main__", target.file)
    module = types.ModuleType("__main__")
    package = target.dotted.rpartition(".")[0]
    module.__dict__.update(__file__=target.file, __builtins__=__builtins__, __loader__=loader)
    if package:
        module.__spec__ = importlib.machinery.ModuleSpec(target.dotted, loader, origin=target.file)
        module.__package__ = package
        importlib.import_module(package)
    else:
        module.__spec__ = None
    # Under its dotted name, too: an `import bot` elsewhere must find this module, not run a second copy.
    sys.modules["__main__"] = sys.modules[target.dotted] = module
    code = compile(Path(target.file).read_bytes(), target.file, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def _pick(module: types.ModuleType, target: Target) -> jobs.WorkerJob:
    file = os.path.basename(target.file)
    if target.name:
        return _named(module, target, file)
    candidates = {id(v): k for k, v in vars(module).items() if isinstance(v, jobs.WorkerJob)}
    if len(jobs.made) == 1:
        return jobs.made[0]
    if len(jobs.made) > 1:
        names = " or ".join(f"{file}:{name}" for name in candidates.values()) or "one of them"
        raise AgentError(f"{file} makes {len(jobs.made)} WorkerJobs and starts none; choose with {names}")
    entrypoint = getattr(module, "entrypoint", None)
    if entrypoint is None:
        raise AgentError(
            f"{file} has nothing to run: write `async def entrypoint(ctx):`, or start a WorkerJob(entrypoint=...)"
            + _similar(module)
        )
    return jobs.WorkerJob(entrypoint)


def _named(module: types.ModuleType, target: Target, file: str) -> jobs.WorkerJob:
    value: Any = module
    for part in target.name.split("."):
        if not hasattr(value, part):
            raise AgentError(f"{file} has no name {target.name!r}{nearest(part, vars(module))}")
        value = getattr(value, part)
    return value if isinstance(value, jobs.WorkerJob) else jobs.WorkerJob(value)


def _similar(module: types.ModuleType) -> str:
    import inspect

    found = [name for name, value in vars(module).items() if inspect.iscoroutinefunction(value)]
    return f" (it has {', '.join(found)}; run `{os.path.basename(str(module.__file__))}:{found[0]}`?)" if found else ""
