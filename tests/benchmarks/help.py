"""`workbench --help`, the whole process."""

import subprocess
import sys
import time

from tests.benchmarks.figures import Figure
from tests.benchmarks.worker import command
from tests.conftest import child_environment


async def help(rounds: int = 25) -> list[Figure]:
    """From starting `workbench --help` to its end."""
    ours = [_run_ms([*command(), "--help"]) for _ in range(rounds + 1)][1:]
    floor = [_run_ms([sys.executable, "-c", "pass"]) for _ in range(rounds + 1)][1:]
    return [
        Figure("help", ours, "ms", 60.0),
        Figure("  python -c pass", floor, "ms", beside="help"),
    ]


def _run_ms(argv: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, env=child_environment(), stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1e3
