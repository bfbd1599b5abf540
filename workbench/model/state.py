"""The worker's state: what the supervisor, the TUI and a replay fold from the same events with this code."""

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from workbench.model import events as ev
from workbench.model.fold import HANDLERS
from workbench.model.records import (
    ACTIVE,
    ENDED,
    PROCESS_MOVES,
    IllegalMove,
    Job,
    Link,
    Load,
    Process,
    Reload,
    Worker,
)

__all__ = [
    "ACTIVE", "ENDED", "PROCESS_MOVES", "IllegalMove", "Job", "Link", "Load", "Process", "Reload", "State", "Worker",
]  # fmt: skip

M_ = TypeVar("M_")


@dataclass(slots=True)
class State:
    """Everything an outsider may know. `apply` is the only way it changes."""

    seq: int = 0
    worker: Worker = field(default_factory=Worker)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    link: Link = field(default_factory=Link)
    reload: Reload = field(default_factory=Reload)
    counters: Counter[str] = field(default_factory=Counter)
    _active: dict[str, Job] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._active = {job.id: job for job in self.jobs.values() if job.active}

    def apply(self, event: ev.Event) -> None:
        """Fold one event into the state."""
        self.seq += 1
        handler = HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    # --- reading --------------------------------------------------------------------------------

    def active_jobs(self) -> list[Job]:
        """Jobs that hold a slot, oldest first."""
        return list(self._active.values())

    def live(self, *states: str) -> list[Process]:
        """Processes in any of `states`."""
        return [process for process in self.processes.values() if process.state in states]

    def option(self, name: str) -> Any:
        """The value of an option as shown."""
        return self.options[name]["value"] if name in self.options else None

    def to_json(self) -> dict[str, Any]:
        """The snapshot that `GET /stats` answers."""
        return {
            "seq": self.seq,
            "worker": asdict(self.worker),
            "options": self.options,
            "processes": [asdict(p) for p in self.processes.values()],
            "jobs": [asdict(j) for j in reversed(self.jobs.values())],
            "load": asdict(self.load),
            "link": asdict(self.link),
            "reload": asdict(self.reload),
            "counters": dict(self.counters),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "State":
        """The state a snapshot stands for; unknown fields are left out."""
        return cls(
            seq=data["seq"],
            worker=_make(Worker, data["worker"]),
            options=data["options"],
            processes={p["id"]: _make(Process, p) for p in data["processes"]},
            jobs={j["id"]: _make(Job, j) for j in reversed(data["jobs"])},
            load=_make(Load, data["load"]),
            link=_make(Link, data["link"]),
            reload=_make(Reload, data["reload"]),
            counters=Counter(data["counters"]),
        )


def _make(cls: type[M_], data: dict[str, Any]) -> M_:
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]  # every caller hands in a dataclass
    return cls(**{name: value for name, value in data.items() if name in names})
