"""Runs of `workbench doctor`, and what it found."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import kernels
from tests.conftest import WAIT_S, child_environment
from workbench.cli.doctor.finding import Finding

NEEDS_FILTERS = pytest.mark.skipif(not kernels.KNOWN, reason="system calls are not numbered here")


def run(
    folder: Path, *arguments: str, before: Callable[[], Any] | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The command as a script would run it; `before` runs in its process before it starts."""
    port = [] if "--port" in arguments else ["--port", "0"]
    return subprocess.run(
        [sys.executable, "-m", "workbench", "doctor", *port, *arguments],
        cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False, stdin=subprocess.DEVNULL,
        env=child_environment(**{"XDG_RUNTIME_DIR": str(folder), **environment}), preexec_fn=before,
    )  # fmt: skip


def examined(folder: Path, *arguments: str, **more: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit code, and its findings by name."""
    done = run(folder, "--json", *arguments, **more)
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return done.returncode, {finding["check"]: finding for finding in report["findings"]}


@pytest.fixture
def tag() -> str:
    """Marks the processes of one run of one test."""
    return uuid.uuid4().hex


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
