"""Hot reload: from a save to a process that runs the new code."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.worker import AGENTS, KINDS, ready

GOAL_MS = {"trivial.py": 130.0, "heavy.py": 600.0}


async def reload(rounds: int = 12) -> list[Figure]:
    """From an editor's save (a new file put in place of the old one) to an idle process of the new generation."""
    return [Figure(f"reload {kind}", await _saves(agent, rounds), "ms", GOAL_MS[agent]) for kind, agent in KINDS]


async def _saves(agent: str, rounds: int) -> list[float]:
    times = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for file in AGENTS.glob("*.py"):
            shutil.copy(file, folder)
        async with ready(folder / agent, "--reload") as (_, watch):
            await watch.until(lambda state: state.reload.watched)
            for turn in range(rounds):
                await asyncio.sleep(0.4 + 0.031 * turn)  # at another phase of the watcher each time
                old = watch.state.worker.generation
                saved = _save(folder / agent, turn)
                new = await watch.until(
                    lambda state, old=old: any(
                        p.generation > old and p.state == "idle" for p in state.processes.values()
                    )
                )
                times.append((new.at - saved) * 1e3)
                await watch.until(lambda state, old=old: state.worker.generation > old)
    return times


def _save(file: Path, turn: int) -> float:
    beside = file.with_suffix(".swp")
    beside.write_text(f"{file.read_text()}# saved {turn}\n")
    saved = time.monotonic()
    os.replace(beside, file)
    return saved
