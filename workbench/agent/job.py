"""`WorkerJob`: the agent, as its author hands it over."""

import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

from workbench.agent.context import JobContext, ProcessInfo
from workbench.model.errors import AgentError
from workbench.model.options import Options
from workbench.model.text import cut

Entrypoint = Callable[[JobContext], Awaitable[Any]]
Prewarm = Callable[[ProcessInfo], Any]


class Host(Protocol):
    """The process that is loading the agent file: a zygote, or a spawned child."""

    def take(self, job: "WorkerJob") -> NoReturn:
        """Serve this agent; never returns to the file."""


_host: Host | None = None
_wanted = ("", "")
made: list["WorkerJob"] = []


def set_host(host: Host | None) -> None:
    """Say who takes over when the file calls `start()`; None is plain `python bot.py`."""
    global _host
    _host = host
    made.clear()


def want(module: str, name: str) -> None:
    """Only the job of this name in this module may hand itself over; the empty name lets every job do so."""
    global _wanted
    _wanted = (module, name)


class WorkerJob:
    """An agent: its entrypoint, how a context is made for each job, and its options.

    Args:
        entrypoint: a coroutine function that takes a `JobContext`.
        jobctx: a context, or a callable that makes one; every job has a copy of its own.
        options: see `Options`.
        prewarm: called once in each process, sync or async, before it counts as idle.

    Raises:
        AgentError: the entrypoint cannot be run as a job.
    """

    def __init__(
        self,
        entrypoint: Entrypoint,
        jobctx: JobContext | Callable[[], JobContext] | None = None,
        options: Options | None = None,
        *,
        prewarm: Prewarm | None = None,
    ) -> None:
        check_entrypoint(entrypoint)
        if jobctx is not None and not isinstance(jobctx, JobContext):
            _check_maker(jobctx)
        if options is not None and not isinstance(options, Options):
            raise AgentError(f"options must be Options(...), not {type(options).__name__}")
        if prewarm is not None:
            _check_prewarm(prewarm)
        self.entrypoint = entrypoint
        self.jobctx = jobctx
        self.options = options or Options()
        self.prewarm = prewarm
        self.stands_for: tuple[Any, ...] = (self, entrypoint)  # what a name in the file may mean by it
        made.append(self)

    def make_context(self) -> JobContext:
        """A fresh context for one job.

        Raises:
            AgentError: `jobctx` made something else.
        """
        context = self.jobctx() if callable(self.jobctx) else self.jobctx
        if context is None:
            return JobContext()
        if not isinstance(context, JobContext):
            raise AgentError(f"jobctx made a {type(context).__name__}, not a JobContext")
        return context

    def not_used(self) -> list[str]:
        """Fields that only the VideoSDK SDK knows; of a context that a callable makes, they are not known yet."""
        fields = self.jobctx.sdk_only if isinstance(self.jobctx, JobContext) else []
        return sorted(self.options.sdk_only) + fields

    def start(self) -> NoReturn:
        """Hand the agent over to the worker. Never returns.

        Under `workbench bot.py` the process goes on as the file's zygote. Under plain `python bot.py` it is
        replaced by the headless worker of this file: same pid, arguments, folder and environment.

        Raises:
            AgentError: called in a `multiprocessing` child of the agent, or from no file at all.
        """
        if _in_multiprocessing_child():
            raise AgentError(
                "WorkerJob.start() was called in a multiprocessing child of the agent; put it under "
                "`if __name__ == '__main__':` so that children which import the file do not start a worker"
            )
        if _host is not None:
            _check_wanted(self)
            _host.take(self)
        _become_worker()


def check_entrypoint(entrypoint: Any) -> None:
    """Refuse what cannot be run as a job, before any process is made.

    Raises:
        AgentError: not callable, not a coroutine function, or it does not take one context.
    """
    name = str(getattr(entrypoint, "__qualname__", "") or f"{cut(repr(entrypoint), 80)}")
    what = "the entrypoint" if name == "entrypoint" else f"the entrypoint {name}"
    if not callable(entrypoint):
        raise AgentError(f"{what} is not callable; write `async def entrypoint(ctx):`")
    called = entrypoint if inspect.isroutine(entrypoint) else type(entrypoint).__call__
    inner = inspect.unwrap(getattr(called, "func", called))
    if not (inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(entrypoint)):
        if inspect.isasyncgenfunction(inner):
            raise AgentError(f"{what} is an async generator: it has a `yield`; send with `await ctx.room.send(...)`")
        is_lambda = getattr(entrypoint, "__name__", "") == "<lambda>"
        if not is_lambda:  # a lambda may return a coroutine: that is known only when it runs
            plain = name.rpartition(".")[2] if name.replace(".", "").isidentifier() else "entrypoint"
            raise AgentError(f"{what} is not a coroutine function; write `async def {plain}(ctx):`")
    try:
        inspect.signature(entrypoint).bind(object())
    except TypeError as error:
        raise AgentError(f"{what} must take one argument, the JobContext: {error}") from None
    except ValueError:
        return  # a builtin without a signature: calling it will tell


def _check_maker(jobctx: Any) -> None:
    if not callable(jobctx):
        raise AgentError(f"jobctx must be a JobContext or a callable that makes one, not {cut(repr(jobctx), 80)}")
    if inspect.iscoroutinefunction(jobctx):
        raise AgentError("jobctx must be a plain function that makes a JobContext, not an async one")
    if not _takes(jobctx):
        raise AgentError("jobctx is called without arguments; it must need none")


def _check_prewarm(prewarm: Any) -> None:
    if not callable(prewarm):
        raise AgentError(f"prewarm must be callable, not {cut(repr(prewarm), 80)}")
    if not _takes(prewarm, object()):
        raise AgentError("prewarm must take one argument, the process")


def _takes(function: Any, *arguments: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True  # a builtin without a signature: calling it will tell
    return True


def _in_multiprocessing_child() -> bool:
    if "multiprocessing" not in sys.modules:
        return False
    import multiprocessing

    # A spawned child imports the main file before it knows its parent; until then it is "inheriting".
    importing = getattr(multiprocessing.current_process(), "_inheriting", False)
    return importing or multiprocessing.parent_process() is not None


def _check_wanted(job: WorkerJob) -> None:
    """Refuse the start of another job than the one that was named (`bot.py:name`): it would run in its place."""
    module, name = _wanted
    value: Any = sys.modules.get(module)
    if not name or value is None:
        return
    for part in name.split("."):
        value = getattr(value, part, None)
    if not any(value is one for one in job.stands_for):
        raise AgentError(
            f"another WorkerJob than {name!r} is started while the file is imported; put its `.start()` under "
            "`if __name__ == '__main__':`"
        )


def _become_worker() -> NoReturn:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    path = getattr(main, "__file__", None)
    if spec is not None and spec.name != "__main__":
        target = spec.name.removesuffix(".__main__")
    elif path is not None and os.path.isfile(path):
        target = path
    else:
        raise AgentError("WorkerJob.start() needs a file to run; save the agent as bot.py and run `workbench bot.py`")
    if not _names_worker_job(path):
        target += ":__main__"  # it starts a job that another module made: only a run as __main__ gets there
    arguments = ["-m", "workbench", target, "--no-tui", "--start-job"]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", *arguments, "--", *sys.argv[1:]])


def _names_worker_job(path: str | None) -> bool:
    """Whether loading would run this file as `__main__` by itself (see `agent.loading`)."""
    if path is None or os.path.basename(path) == "__main__.py":
        return True
    with open(path, "rb") as file:
        return b"WorkerJob(" in file.read()
