"""`python -m tests.benchmarks NAME`: one figure, or `all`; `peers` and `reload_peers` beside others."""

import argparse
import asyncio
import inspect
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.cpu import log_lines, supervisor_cpu
from tests.benchmarks.ends import drain_exit, stall_named, supervisor_killed
from tests.benchmarks.figures import Figure, surroundings, table
from tests.benchmarks.help import help
from tests.benchmarks.jobs import exit_known, jobs_per_second, warm_start
from tests.benchmarks.memory import memory_overshoot, uss
from tests.benchmarks.peers.beside import NAMES, peers
from tests.benchmarks.peers.reloading import reload_peers
from tests.benchmarks.registering import registry_start
from tests.benchmarks.registry import registry_dispatch, registry_idle
from tests.benchmarks.reloads import reload
from tests.benchmarks.screen import first_paint, key_to_screen, screen_cpu, screen_memory
from tests.benchmarks.sdk import sdk
from tests.benchmarks.starts import child_ready, five_idle

Benchmark = Callable[..., Awaitable[list[Figure]]]
BENCHMARKS: dict[str, Benchmark] = {
    made.__name__: made
    for made in (
        five_idle, child_ready, warm_start, jobs_per_second, uss, exit_known, supervisor_killed, drain_exit,
        memory_overshoot, stall_named, reload, supervisor_cpu, log_lines, first_paint, key_to_screen,
        screen_cpu, screen_memory, registry_start, registry_dispatch, registry_idle, help, sdk,
    )
}  # fmt: skip
BESIDE: dict[str, Benchmark] = {"peers": peers, "reload_peers": reload_peers}


def parse() -> argparse.Namespace:
    """The command line."""
    lines = [f"  {name:<18} {inspect.getdoc(made)}" for name, made in {**BENCHMARKS, **BESIDE}.items()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", epilog="\n".join(["figures:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", choices=[*BENCHMARKS, "all", *BESIDE], metavar="NAME", help="a figure, or all")
    parser.add_argument("--rounds", type=int, help="how often each value is measured")
    for peer, words in NAMES.items():
        parser.add_argument(f"--{peer}-python", metavar="PATH", help=f"peers: an interpreter that has {words}'s agents")
    parser.add_argument("--uvicorn-python", metavar="PATH", help="reload_peers: an interpreter that has uvicorn")
    parsed = parser.parse_args()
    parsed.pythons = {peer: path for peer in NAMES if (path := getattr(parsed, f"{peer}_python"))}
    if (parsed.name == "peers") != bool(parsed.pythons):
        parser.error("peers needs --videosdk-python or --livekit-python; nothing else takes them")
    if parsed.uvicorn_python:
        if parsed.name != "reload_peers":
            parser.error("--uvicorn-python is for reload_peers")
        parsed.pythons["uvicorn"] = parsed.uvicorn_python
    return parsed


async def measure(names: list[str], more: dict[str, Any]) -> tuple[list[Figure], list[str]]:
    """Every figure that could be measured, and the names of those that could not."""
    figures, broken = [], []
    for name in names:
        began = time.monotonic()
        try:
            figures += await {**BENCHMARKS, **BESIDE}[name](**more)
        except Exception:
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s, {surroundings()}", file=sys.stderr, flush=True)
    return figures, broken


def main() -> int:
    """Measure and print; 1 if something could not be measured. A missed goal is no failure."""
    parsed = parse()
    names = list(BENCHMARKS) if parsed.name == "all" else [parsed.name]
    print(surroundings(), flush=True)
    more = {"rounds": parsed.rounds} if parsed.rounds else {}
    figures, broken = asyncio.run(measure(names, more | ({"pythons": parsed.pythons} if parsed.pythons else {})))
    print(table(figures))
    if broken:
        print("not measured:", ", ".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
