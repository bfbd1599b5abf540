"""Hot reload: from a save to a process that runs the new code."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.stream import Watch
from tests.benchmarks.worker import AGENTS, KINDS, ready

GOAL_MS = {"trivial.py": 130.0, "heavy.py": 600.0}
LAYERED_GOAL_MS = {"trivial.py": 60.0, "heavy.py": 80.0}
WARM_UP = 8  # saves until the libraries are imported once and for all, at most


async def reload(rounds: int = 12) -> list[Figure]:
    """From an editor's save (a new file put in place of the old one) to an idle process of the new generation."""
    figures = []
    for kind, agent in KINDS:
        plain = Figure(f"reload {kind}", await _saves(agent, rounds), "ms", GOAL_MS[agent])
        layered = await _saves(agent, rounds, "--layers")
        figures += [plain, Figure(f"reload {kind}, --layers", layered, "ms", LAYERED_GOAL_MS[agent])]
    return figures


async def _saves(agent: str, rounds: int, *flags: str) -> list[float]:
    times = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for file in AGENTS.glob("*.py"):
            shutil.copy(file, folder)
        async with ready(folder / agent, "--reload", *flags) as (_, watch):
            await watch.until(lambda state: state.reload.watched)
            for _ in range(WARM_UP):
                await asyncio.sleep(1.0)  # a process that later generations are forked from is made meanwhile
                await _save(folder / agent, watch)
                if watch.state.reload.layered == bool(flags):
                    break
            else:
                raise RuntimeError(f"after {WARM_UP} saves still without layers")
            for turn in range(rounds):
                await asyncio.sleep(0.4 + 0.031 * turn)  # at another phase of the watcher each time
                times.append(await _save(folder / agent, watch))
    return times


async def _save(file: Path, watch: Watch) -> float:
    """Save; milliseconds until a process of the new generation is idle. Returns when it serves."""
    old, saved = watch.state.worker.generation, put(file, f"{file.read_text()}# saved\n")
    new = await watch.until(
        lambda state: any(p.generation > old and p.state == "idle" for p in state.processes.values())
    )
    await watch.until(lambda state: state.worker.generation > old)
    return (new.at - saved) * 1e3


def put(file: Path, text: str) -> float:
    """Save as editors do, by a new file in place of the old one; the monotonic time at which it is there."""
    beside = file.with_suffix(".swp")
    beside.write_text(text)
    saved = time.monotonic()
    os.replace(beside, file)
    return saved
