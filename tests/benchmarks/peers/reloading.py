"""Our hot reload beside `uvicorn --reload` and the `watchfiles` command: the same module, saved in turn."""

import asyncio
import importlib.util
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from tests.benchmarks.figures import Figure, number
from tests.benchmarks.peers.reloaders import Reloader, uvicorn, watchfiles, workbench
from tests.benchmarks.worker import HEAVY

Start = Callable[..., AbstractAsyncContextManager[Reloader]]

LIBRARIES = tuple(name for name in ("numpy", "pydantic", "aiohttp") if importlib.util.find_spec(name))
KINDS = (("trivial", ""), (HEAVY, f"import {', '.join(LIBRARIES)}"))
WORK_S, SAVED_AFTER_S = 3.0, 1.0
NOTICED_S = 3.0  # all have done by then what they do with code that is broken
WARM_UP = 3


async def reload_peers(rounds: int = 9, pythons: dict[str, str] | None = None) -> list[Figure]:
    """From a save to the same module served again: ours, `uvicorn --reload`, the command of `watchfiles`."""
    starts: dict[str, Start] = {
        "workbench": workbench,
        "workbench --layers": lambda imports, seconds=0.0: workbench(imports, "--layers", seconds=seconds),
        "watchfiles": watchfiles,
    }
    if pythons and "uvicorn" in pythons:
        python = pythons["uvicorn"]
        _check(python)
        starts["uvicorn --reload"] = lambda imports, seconds=0.0: uvicorn(python, imports, seconds=seconds)
    figures = []
    for kind, imports in KINDS:
        figures += await _in_turn(kind, imports, starts, rounds)
    told = []
    for name, start in starts.items():
        more, words = await _in_flight(name, start, max(2, rounds // 3))
        figures += more
        told.append((name, *words, await _broken(start)))
    print(
        _table([("at a save", f"work of {WORK_S:g} s in flight", "new code serves after", "while it is broken"), *told])
    )
    return figures


def _check(python: str) -> None:
    """It must be able to import the same, and to hear of saves from the kernel."""
    wanted = ("uvicorn", "watchfiles", *LIBRARIES)
    probe = f"import importlib.util as u; print([n for n in {wanted!r} if not u.find_spec(n)])"
    missing = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    if missing != "[]":
        raise RuntimeError(f"{python} lacks {missing}")


async def _in_turn(kind: str, imports: str, starts: dict[str, Start], rounds: int) -> list[Figure]:
    """All run at once, and one of them is saved at a time."""
    first_ms: dict[str, list[float]] = {name: [] for name in starts}
    second_ms: dict[str, list[float]] = {name: [] for name in starts}
    async with AsyncExitStack() as stack:
        running = {name: await stack.enter_async_context(start(imports)) for name, start in starts.items()}
        for turn in range(-WARM_UP, rounds):
            for name, one in running.items():
                await asyncio.sleep(1.0 + 0.031 * (turn % 7))  # at another phase of the watchers each time
                saved = one.project.save()
                first, second = await one.serves(one.project.version)
                if turn >= 0:
                    first_ms[name].append((first - saved) * 1e3)
                    second_ms[name].append((second - saved) * 1e3)
    figures = []
    for name, one in running.items():
        beside = f"reload_peers {kind}: workbench, {running['workbench'].first}"
        figures.append(Figure(f"reload_peers {kind}: {name}, {one.first}", first_ms[name], "ms", beside=beside))
        if one.second:
            beside = f"  {kind}: workbench, {running['workbench'].second}"
            figures.append(Figure(f"  {kind}: {name}, {one.second}", second_ms[name], "ms", beside=beside))
    return figures


async def _in_flight(name: str, start: Start, rounds: int) -> tuple[list[Figure], tuple[str, str]]:
    """A save while work runs: what becomes of it, and when new code serves."""
    ends: list[str] = []
    served_s = []
    for _ in range(rounds):
        async with start("", seconds=WORK_S) as one:
            old = one.project.version
            work = await one.begin(WORK_S)
            began = await one.project.stamp(what="began", work=work)
            await asyncio.sleep(SAVED_AFTER_S)
            saved = one.project.save()
            served_s.append((await one.serves(one.project.version))[1] - saved)
            try:
                done = await one.project.stamp(WORK_S, what="done", work=work, pid=began["pid"])
                ends.append("finished on the old code" if done["version"] == old else "finished on the new code")
            except TimeoutError:
                ends.append("cut")
    words = "reload_peers work in flight: {}, new code serves"
    figure = Figure(words.format(name), served_s, "s", beside=words.format("workbench"))
    return [figure], (_counted(ends), f"{number(figure.median)} s")


async def _broken(start: Start) -> str:
    """What answers while the code is broken, and how soon the mended code serves."""
    async with start("") as one:
        one.project.save("reply = (")
        await asyncio.sleep(NOTICED_S)
        answer = await one.answers()
        saved = one.project.save()
        mended_s = (await one.serves(one.project.version))[1] - saved
        return f"{'nothing answers' if answer is None else 'the old code answers'}; mended after {number(mended_s)} s"


def _counted(words: Sequence[str]) -> str:
    return ", ".join(f"{word} {words.count(word)} of {len(words)}" for word in sorted(set(words)))


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
