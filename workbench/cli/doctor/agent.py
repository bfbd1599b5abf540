"""The agent, loaded as a worker would load it: in a zygote of its own, up to one process that is ready."""

import asyncio
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.cli.doctor.finding import MISSING, NOTE, OK, Finding
from workbench.model import events as ev
from workbench.model.errors import WorkbenchError
from workbench.model.mask import Mask
from workbench.model.settings import Layers, Settings
from workbench.process.reaper import become_subreaper
from workbench.process.sampling import PAGE_MB, exact_mb
from workbench.process.tree import descendants
from workbench.supervisor.worker import Supervisor


@dataclass(slots=True)
class AgentTrial:
    """What loading it showed. `failure` is what `workbench AGENT` would end with."""

    name: str
    settings: Settings
    failure: WorkbenchError | None = None
    start_method: str = ""
    against_fork: list[str] = field(default_factory=list)
    load_ms: float = 0.0
    ready_ms: float = 0.0
    own_mb: float = 0.0
    files_each: int | None = None

    def findings(self) -> list[Finding]:
        """As lines of the report."""
        if self.failure is not None:
            return not_loaded(self.name)
        return [self._loaded(), self._method(), self._warm()]

    def _loaded(self) -> Finding:
        found = f"{self.name} was loaded in {self.load_ms:,.0f} ms."
        return Finding("agent", OK, found, "", {"load_ms": round(self.load_ms, 1)})

    def _method(self) -> Finding:
        figures = {"start_method": self.start_method, "against_fork": self.against_fork}
        reasons = "; ".join(self.against_fork)
        if self.start_method == "zygote" and reasons:
            risk = "A forked process may hang or share what it must not: leave the choice to the worker."
            return Finding("start method", NOTE, f"`zygote`, as asked for, in spite of {reasons}.", risk, figures)
        if self.start_method == "zygote":
            found = "`zygote`: nothing stands against forking; no thread, socket or pipe was made while loading."
            return Finding("start method", OK, found, "", figures)
        costs = "Each process loads the file for itself: it starts slower and takes more memory."
        if not reasons:
            return Finding(
                "start method", NOTE, "`spawn`, as asked for; nothing stands against `zygote`.", costs, figures
            )
        cure = "Make these in `prewarm` or in the entrypoint instead, and processes are forked."
        return Finding("start method", NOTE, f"`spawn`, because of {reasons}.", f"{costs} {cure}", figures)

    def _warm(self) -> Finding:
        most = self.settings.options.max_processes
        found = f"One was ready after {self.ready_ms:,.0f} ms, with {self.own_mb:.1f} MB of its own"
        found += f"; {most} idle ones have about {most * self.own_mb:,.0f} MB." if most > 1 else "."
        figures = {"ready_ms": self.ready_ms, "own_mb": round(self.own_mb, 1), "files_each": self.files_each}
        return Finding("warm process", OK, found, "", figures)


def not_loaded(name: str) -> list[Finding]:
    """The line of an agent whose problem is told in whole at the end."""
    return [Finding("agent", MISSING, f"{name} cannot be loaded.", "The reason stands below.")]


def try_agent(
    given: str,
    layers: Layers,
    arguments: list[str],
    start_method: str | None,
    wait: Callable[[str], None],
    mask: Mask,
) -> AgentTrial:
    """Load the agent, wait for one process that is ready, and end all of it.

    Args:
        wait: called with the line where a slow import stands.
        mask: learns the secrets that stand in the agent's file.

    Raises:
        UsageError: options of other sources than the agent's file that cannot be.
    """
    trial = AgentTrial(given, layers.settings())
    layers.put("live", {"num_idle_processes": 1}, "doctor")  # one is enough to judge by
    supervisor = Supervisor(given, layers, arguments=arguments, start_method=start_method)
    supervisor.logs.mask = mask
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    become_subreaper()
    try:
        asyncio.run(_Watch(supervisor, trial, wait).run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        layers.put("live", {}, "doctor")
    trial.failure = supervisor.failure or trial.failure
    if trial.failure is None:
        try:
            trial.settings = layers.settings()
        except WorkbenchError as error:
            trial.failure = error
    return trial


class _Watch:
    """Hears a supervisor until its agent serves, or has failed."""

    def __init__(self, supervisor: Supervisor, trial: AgentTrial, wait: Callable[[str], None]) -> None:
        self._supervisor, self._trial, self._wait = supervisor, trial, wait
        self._files_before = 0
        self._stood_at = ""

    async def run(self) -> None:
        """Until the supervisor has ended, and nothing is left of it."""
        self._supervisor.listeners.append(self._heard)
        try:
            await self._supervisor.run()
        except WorkbenchError as error:  # not even a zygote could be made
            self._trial.failure = error

    def _heard(self, event: ev.Event) -> None:
        if isinstance(event, ev.ReloadStep) and event.step == "warming":
            self._files_before = _open_files()
        elif isinstance(event, ev.ReloadStep) and event.detail not in ("", self._stood_at):
            self._stood_at = event.detail
            self._wait(f"still loading {self._trial.name}: {event.detail}")
        elif isinstance(event, ev.ReloadDone):
            self._measure(event)
            self._supervisor.finish(0)

    def _measure(self, done: ev.ReloadDone) -> None:
        generation = self._supervisor.serving
        loaded: dict[str, Any] = (generation.loaded if generation is not None else None) or {}
        trial = self._trial
        trial.start_method, trial.against_fork = done.start_method, list(loaded.get("against_fork") or [])
        trial.load_ms = float(loaded.get("ms") or 0.0)
        trial.files_each = _open_files() - self._files_before
        for child in self._supervisor.children.by_pid.values():
            trial.ready_ms = round((time.monotonic() - child.asked_at) * 1e3, 1)
            exact = exact_mb(child.pid, descendants(child.pid))
            resident = child.files.memory_pages() * PAGE_MB if child.files is not None else 0.0
            trial.own_mb = exact if exact is not None else resident


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
