"""What several fault tests need."""

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Worker

PROBE_S = 1.5  # between two tries of a degraded pool, in a worker that is `hurried`


@pytest.fixture
def hurried(tmp_path: Path) -> dict[str, str]:
    """The environment of a worker whose longest waits are short: whoever waits for half a minute tests little more."""
    folder = tmp_path / "hurried"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "from workbench.model import backoff, pool\n"
        f"backoff.LONGEST_DELAY_S = pool.PROBE_EVERY_S = {PROBE_S}\npool.MIN_UPTIME_S = 1.0\n"
    )
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


BROKEN = """#!{python}
import asyncio, sys, time
{edit}
from workbench.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def broken_worker(start_worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a worker of which some part was replaced."""

    def start(edit: str, agent: str, *flags: str) -> Worker:
        program = tmp_path / "python"
        program.write_text(BROKEN.format(python=sys.executable, edit=edit))
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        paths = os.pathsep.join(path for path in sys.path if path)
        worker: Worker = start_worker(agent, *flags, PYTHONPATH=paths)
        return worker

    return start


def signal_all(pids: Iterable[int], number: int) -> None:
    """To each of them that is there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
