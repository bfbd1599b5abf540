"""Registries for the tests: as processes, and, where a test looks at times, within it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WAIT_S, child_environment, wait_until


class Registry:
    """A registry's process."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log

    @property
    def url(self) -> str:
        """Where it listens, as it says itself."""
        return str(self.record("started")["url"])

    def record(self, event: str) -> dict[str, Any]:
        """A record of its log."""
        found = wait_until(
            lambda: [r for r in self.records() if r.get("event") == event] or self.process.poll() is not None,
            f"the registry logs {event}",
        )
        assert isinstance(found, list), f"the registry has ended:\n{self.log.read_text()}"
        return dict(found[0])

    def records(self) -> list[dict[str, Any]]:
        """All that it logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_S)


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """Start registries; afterwards none may be left, and each must end at the first signal."""
    started: list[Registry] = []

    def start(*flags: str, wait: bool = True, **environment: str) -> Registry:
        log = tmp_path / f"registry{len(started)}"
        given = list(flags) if "--port" in flags else ["--port", "0", *flags]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "workbench", "registry", *given], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=errors, text=True, cwd=tmp_path,
                env=child_environment(**environment),
            )  # fmt: skip
        registry = Registry(process, log)
        started.append(registry)
        if wait:
            registry.record("started")
        return registry

    yield start
    problems = []
    for registry in started:
        if registry.process.poll() is None:
            os.kill(registry.process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                registry.process.wait(20)
        if registry.process.poll() is None:
            registry.process.kill()
            registry.process.wait()
            problems.append("a registry did not end on SIGTERM")
        bugs = [record["message"] for record in registry.records() if "a bug of ours" in record.get("message", "")]
        problems += bugs
    assert not problems
