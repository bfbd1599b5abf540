"""Finding and executing the agent: `bot.py`, `bot.py:name`, `package.module`, `package.module:name`.

A file that holds `WorkerJob(` is executed as `__main__`, as `python bot.py` would; anything else is imported
by its dotted name, so that a `__main__` guard stays asleep. `bot.py:__main__` insists on the first way.
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
from workbench.agent import sources
from workbench.agent.sdk import capture
from workbench.model.errors import AgentError, nearest
from workbench.model.paths import current_folder

MAIN = "__main__"


@dataclass(frozen=True, slots=True)
class Target:
    """What to load. `root` goes on `sys.path`; `dotted` is the module's full name; `folder` is searched first."""

    file: str
    name: str
    root: str
    dotted: str
    given: str
    folder: str

    @property
    def stem(self) -> str:
        """What the agent is called when nobody says."""
        path = Path(self.file)
        return path.parent.name if path.stem in ("__main__", "__init__") else path.stem


def find(given: str) -> Target:
    """The file that `given` names, without executing anything of it, not even the packages it lies in.

    Raises:
        AgentError: there is no such file or module; close names are suggested.
    """
    path, _, name = given.partition(":") if not os.path.exists(given) else (given, "", "")
    if path.endswith(".py") or os.sep in path or (os.path.exists(path) and not _is_module_name(path)):
        return _from_file(path, name, given)
    found = _module_file(path) if _is_module_name(path) else None
    if found is None:
        return _from_file(path, name, given)
    file, root = found
    dotted = path if file.name != "__main__.py" or path.endswith(".__main__") else f"{path}.__main__"
    return Target(str(file), name, str(root), dotted, given, current_folder())


def _is_module_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _module_file(dotted: str) -> tuple[Path, Path] | None:
    """The file of a module, and the folder its outermost package lies in."""
    top, *rest = dotted.split(".")
    for entry in [current_folder(), *_outermost(top)]:
        folders = [Path(entry)]
        for part in [top, *rest]:
            folders, before = [folder / part for folder in folders], folders
        file = _file_of(folders[0], before[0] / f"{part}.py")
        if file is not None:
            return file, Path(entry)
    return None


def _file_of(package: Path, module: Path) -> Path | None:
    """What `python -m` would run: the package's `__main__.py`, else its `__init__.py`; or the module."""
    for file in (package / "__main__.py", package / "__init__.py", module):
        if os.path.isfile(file):
            return file
    return None


def _outermost(name: str) -> list[str]:
    """The folders that an installed module or package of this name lies in, as Python's finders know them."""
    try:
        spec = importlib.util.find_spec(name)  # of an outermost name: nothing is imported for it
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [os.path.dirname(place) for place in spec.submodule_search_locations]
    return [os.path.dirname(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


def _from_file(path: str, name: str, given: str) -> Target:
    if os.path.isdir(path):
        inner = os.path.join(path, "__main__.py")
        if not os.path.isfile(inner):
            raise AgentError(f"{path} is a folder; name the agent's file in it, for example {path.rstrip('/')}/bot.py")
        path = inner
    if not os.path.exists(path):
        if os.path.islink(path):
            raise AgentError(f"{path} is a link to {os.readlink(path)}, which leads to no file")
        what = "file" if path.endswith(".py") else "file or module"
        if not os.path.isabs(path) and not current_folder():
            raise AgentError(f"no {what} {path!r}: the folder it was in does not exist any more")
        raise AgentError(f"no {what} {path!r}{_close_module(path) or _close(path)}")
    if not os.path.isfile(path):
        raise AgentError(f"{path} is not a file")
    file = Path(path).absolute()
    parts = [file.stem] if file.stem != "__init__" else []
    folder = file.parent
    while os.path.exists(folder / "__init__.py") and folder.parent != folder and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if "." in file.stem:  # bot.v2.py is no module of a package `bot`
        parts[-1] = file.stem.replace(".", "_")
    return Target(str(file), name, str(folder), ".".join(parts) or file.parent.name, given, str(folder))


def _close(path: str) -> str:
    try:
        names = [entry.name for entry in Path(path).absolute().parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    wanted = os.path.basename(path)
    return nearest(wanted if wanted.endswith(".py") else f"{wanted}.py", names)


def _close_module(dotted: str) -> str:
    """The nearest module there is, where only the last part of a module's name is wrong."""
    package, _, tail = dotted.rpartition(".")
    found = _module_file(package) if _is_module_name(dotted) and package else None
    if found is None or found[0].stem not in (MAIN, "__init__"):
        return ""
    try:
        names = [entry.stem for entry in found[0].parent.iterdir() if entry.suffix == ".py" or entry.is_dir()]
    except OSError:
        return ""
    close = nearest(tail, [name for name in names if name.isidentifier()])
    return close.replace("'", f"'{package}.", 1)


def executes_as_main(target: Target) -> bool:
    """The file hands itself over with `WorkerJob(...)`, and no name was asked for.

    Raises:
        AgentError: the file cannot be read.
    """
    source = _source(target)
    main = target.name == MAIN or os.path.basename(target.file) == "__main__.py"
    return main or (not target.name and b"WorkerJob(" in source)


def _source(target: Target) -> bytes:
    try:
        return sources.read(target.file)
    except OSError as error:
        raise AgentError(f"cannot read {target.file}: {error.strerror}") from None


def check(files: list[str]) -> None:
    """Compile files without executing anything, so that a slip is told before the imports around it are waited for.

    Raises:
        SyntaxError: in the first of them that has one.
    """
    for file in files:
        try:
            compile(sources.read(file), file, "exec", dont_inherit=True)
        except SyntaxError as error:
            error.filename = error.filename or file
            raise
        except (OSError, ValueError):  # the import tells it with more words
            continue


def prepare(target: Target, arguments: list[str]) -> None:
    """Set `sys.path` and `sys.argv` as a plain run of the file would."""
    if target.root not in sys.path:
        sys.path.insert(0, target.root)
    sys.path.insert(0, target.folder)
    sys.argv = [target.file, *arguments]


def execute(target: Target) -> jobs.WorkerJob:
    """Run the agent's file once and return its job; a `start()` in it never comes back here.

    Raises:
        AgentError: nothing in it can be run, or too much.
        BaseException: whatever the file itself raises.
    """
    capture.install()
    jobs.want(target.dotted, "" if target.name == MAIN else target.name)
    if executes_as_main(target):
        module = _as_main(target)
    else:
        module = _as_module(target)
    return _pick(module, target)


def _as_main(target: Target) -> types.ModuleType:
    loader = importlib.machinery.SourceFileLoader(MAIN, target.file)
    module = types.ModuleType(MAIN)
    package = target.dotted.rpartition(".")[0]
    module.__dict__.update(__file__=target.file, __builtins__=__builtins__, __loader__=loader)
    if package:
        module.__spec__ = importlib.machinery.ModuleSpec(target.dotted, loader, origin=target.file)
        module.__package__ = package
        importlib.import_module(package)
    else:
        module.__spec__ = None
    sys.modules[MAIN] = module
    # Under its dotted name, too: an `import bot` elsewhere must find this module, not run a second copy.
    sys.modules.setdefault(target.dotted, module)
    _run(target, module)
    return module


def _as_module(target: Target) -> types.ModuleType:
    package, _, tail = target.dotted.rpartition(".")
    parent = importlib.import_module(package) if package else None
    there = sys.modules.get(target.dotted)
    if there is not None:
        if os.path.realpath(getattr(there, "__file__", None) or "") == os.path.realpath(target.file):
            return there  # its package imports it
        raise AgentError(f"{os.path.basename(target.file)} has the name of a module that is in use; rename the file")
    loader = importlib.machinery.SourceFileLoader(target.dotted, target.file)
    spec = importlib.util.spec_from_file_location(target.dotted, target.file, loader=loader)
    assert spec is not None
    module = sys.modules[target.dotted] = importlib.util.module_from_spec(spec)
    _run(target, module)
    if parent is not None:
        setattr(parent, tail, module)
    return module


def _run(target: Target, module: types.ModuleType) -> None:
    """Compile and execute the file as it is now: a cached compilation may be of a save in the same second."""
    try:
        code = compile(_source(target), target.file, "exec", dont_inherit=True)
    except SyntaxError as error:
        error.filename = error.filename or target.file
        raise
    except ValueError as error:  # null bytes, in some versions of Python
        raise AgentError(f"{os.path.basename(target.file)}: {error}") from None
    exec(code, module.__dict__)


def _pick(module: types.ModuleType, target: Target) -> jobs.WorkerJob:
    file = os.path.basename(target.file)
    if target.name not in ("", MAIN):
        return _named(module, target, file)
    made = [*jobs.made, *capture.made]
    if len(made) == 1:
        return _ours(made[0])
    if len(made) > 1:
        known = [name for name, value in vars(module).items() if any(value is one for one in made)]
        names = " or ".join(f"{target.given}:{name}" for name in known) or "a name in the file"
        raise AgentError(f"{file} makes {len(made)} WorkerJobs and starts none; choose with {names}")
    entrypoint = getattr(module, "entrypoint", None)
    if entrypoint is None:
        raise AgentError(
            f"{file} has nothing to run: write `async def entrypoint(ctx):`, or start a WorkerJob(entrypoint=...)"
            + _similar(module, target)
        )
    return _job_of(entrypoint, module, file)


def _named(module: types.ModuleType, target: Target, file: str) -> jobs.WorkerJob:
    value: Any = module
    for part in target.name.split("."):
        if not hasattr(value, part):
            raise AgentError(f"{file} has no name {target.name!r}{nearest(part, vars(module))}")
        value = getattr(value, part)
    is_job = isinstance(value, jobs.WorkerJob) or capture.is_sdk_job(value)
    return _ours(value) if is_job else _job_of(value, module, file)


def _ours(job: Any) -> jobs.WorkerJob:
    return job if isinstance(job, jobs.WorkerJob) else capture.SdkWorkerJob(job)


def _job_of(entrypoint: Any, module: types.ModuleType, file: str) -> jobs.WorkerJob:
    try:
        return capture.job_of(entrypoint) if capture.expects_sdk_context(module) else jobs.WorkerJob(entrypoint)
    except AgentError as error:
        raise AgentError(f"{file}: {error}") from None


def _similar(module: types.ModuleType, target: Target) -> str:
    import inspect

    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    found = [name for name, value in own.items() if inspect.iscoroutinefunction(value)]
    if found:
        return f" (it has {', '.join(found)}; run `{target.given}:{found[0]}`?)"
    if module.__name__ != MAIN and b"__main__" in _source(target):
        return f" (its `if __name__ == '__main__':` part did not run; `{target.given}:__main__` runs it)"
    return ""
