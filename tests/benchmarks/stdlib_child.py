"""The same child by `multiprocessing`: agent imported, event loop running, `ready` sent. A program of its own.

It imports nothing of ours: every child of `multiprocessing` imports this file again, and would pay for it.
"""

import asyncio
import importlib
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection


def child(agent: str, ready: Connection) -> None:
    """Load and report."""
    importlib.import_module(agent)

    async def report() -> None:
        ready.send("ready")
        ready.recv()

    asyncio.run(report())


def main(agent: str, method: str, preloaded: bool, count: int) -> None:
    """Print the milliseconds from `start()` to `ready` as JSON; the first child, which may start the fork server,
    is not counted."""
    context = multiprocessing.get_context(method)
    if preloaded:
        # Needs the agent's folder in PYTHONPATH: by `sys.path` alone the preload silently does nothing.
        context.set_forkserver_preload([agent])
    times = []
    for _ in range(count + 1):
        ours, theirs = context.Pipe()
        began = time.perf_counter()
        process = context.Process(target=child, args=(agent, theirs))
        process.start()
        ours.recv()
        times.append((time.perf_counter() - began) * 1e3)
        ours.send("leave")
        process.join()
    print(json.dumps(times[1:]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "preloaded", int(sys.argv[4]))
