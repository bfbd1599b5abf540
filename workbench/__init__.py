"""Run, watch and tune the worker that runs your AI agent.

The names an agent file uses are resolved when they are first asked for, so that `import workbench` costs
nothing in processes that need only a part.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.agent.context import JobContext, JobInfo, ProcessInfo, RoomOptions
    from workbench.agent.job import WorkerJob
    from workbench.agent.room import Message, Room
    from workbench.model.options import Options, OptionsError

__version__ = "0.1.0"
__all__ = [
    "JobContext",
    "JobInfo",
    "Message",
    "Options",
    "OptionsError",
    "ProcessInfo",
    "Room",
    "RoomOptions",
    "WorkerJob",
]

_HOMES = {
    "JobContext": "workbench.agent.context",
    "JobInfo": "workbench.agent.context",
    "ProcessInfo": "workbench.agent.context",
    "RoomOptions": "workbench.agent.context",
    "WorkerJob": "workbench.agent.job",
    "Message": "workbench.agent.room",
    "Room": "workbench.agent.room",
    "Options": "workbench.model.options",
    "OptionsError": "workbench.model.options",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
