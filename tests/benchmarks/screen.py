"""The workbench on a terminal: its first paint, and how soon a key shows while a job floods the logs."""

import asyncio
import json
import re
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from tests.benchmarks.figures import Figure
from tests.benchmarks.terminal import Terminal
from tests.benchmarks.worker import AGENTS, command
from tests.conftest import child_environment

PER_S = 10_000
CPU_OVER_S = 10.0
KEY_EVERY_S = 0.237  # no multiple of the paint's period
BACKSPACE, ESCAPE, CTRL_Q = "\x7f", "\x1b", "\x11"
TYPED = re.compile(r"key:(\w?)")
TWENTY = ("--max-processes=21", "--num-idle-processes=20")
NUMBER = re.compile(r" I +(\d+) x{8}")

Rows = list[str]


@contextmanager
def _workbench(*flags: str, **metadata: object) -> Iterator[Terminal]:
    """The workbench on a terminal; left by its own key."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        argv = [*command(), str(AGENTS / "trivial.py"), "--metadata", json.dumps(metadata), *flags]
        terminal = Terminal(argv, child_environment(XDG_RUNTIME_DIR=name, XDG_CONFIG_HOME=name))
        try:
            yield terminal
        finally:
            for key in (ESCAPE, "q"):
                terminal.press(key)
                terminal.read(0.2)  # together they would be one key: Alt-q
            terminal.close()


async def first_paint(rounds: int = 9) -> list[Figure]:
    """`workbench AGENT` at 120x40: from exec to the first whole screen, and to an idle process on it."""
    return await asyncio.to_thread(_first_paint, rounds)


def _first_paint(rounds: int) -> list[Figure]:
    whole_ms, alive_ms, floor_ms = [], [], []
    for _ in range(rounds + 1):
        with _workbench(do="wait") as terminal:
            terminal.read(5.0, lambda piece: "○ idle".encode() in piece)
            terminal.read(0.2)
        whole_ms.append(_first(terminal, _is_whole))
        alive_ms.append(_first(terminal, lambda rows: _is_whole(rows) and any("○ idle" in row for row in rows)))
        floor = Terminal([sys.executable, str(AGENTS / "hello_textual.py")], child_environment())
        floor.read(5.0, lambda piece: b"hello" in piece)
        floor.press(CTRL_Q)
        floor.close()
        floor_ms.append(_first(floor, lambda rows: any("hello" in row for row in rows)))
    name = "first_paint the whole screen"
    return [
        Figure(name, whole_ms[1:], "ms", 500.0),
        Figure("  with an idle process on it", alive_ms[1:], "ms", beside=name),
        Figure("  a Textual app of one word", floor_ms[1:], "ms", beside=name),
    ]


def _is_whole(rows: Rows) -> bool:
    """The header, the panes and the key bar are there."""
    return "trivial" in rows[0] and any("Logs" in row for row in rows) and "q Quit" in rows[-1]


def _first(terminal: Terminal, wanted: Callable[[Rows], bool]) -> float:
    for at, screen in terminal.screens():
        if wanted(screen.display):
            return (at - terminal.began) * 1e3
    raise RuntimeError("it was never painted")


async def key_to_screen(rounds: int = 60) -> list[Figure]:
    """From a key to its letter in the talk field, with 20 processes; a job prints 10,000 lines a second, or none."""
    return await asyncio.to_thread(_key_to_screen, rounds)


def _key_to_screen(rounds: int) -> list[Figure]:
    flooded_ms, rate = _type(rounds, PER_S)
    quiet_ms, _ = _type(rounds // 2, 0)
    name = "key_to_screen median, 10,000 lines/s"
    return [
        Figure(name, flooded_ms, "ms", 30.0),
        Figure("key_to_screen worst, 10,000 lines/s", flooded_ms, "ms", 60.0, judged="worst"),
        Figure("  a quiet job", quiet_ms, "ms", beside=name),
        Figure("  lines a second by the numbers on the screen", [rate], "/s", more_is_better=True),
    ]


def _type(rounds: int, per_s: int) -> tuple[list[float], float]:
    with _workbench(*TWENTY, do="chatter", per_s=per_s) as terminal:
        terminal.read(5.0, lambda piece: "○ idle".encode() in piece)
        terminal.read(4.0)
        for key in "tkey:":
            terminal.press(key)
            terminal.read(0.3)
        pressed = []
        for turn in range(rounds):
            letter = "" if turn % 2 else string.ascii_letters[turn // 2 % 52]
            pressed.append((terminal.press(letter or BACKSPACE), letter))
            terminal.read(KEY_EVERY_S)
        last = time.monotonic()
        terminal.read(0.5)
    return _latencies(terminal, pressed), _rate(terminal, pressed[0][0], last)


def _latencies(terminal: Terminal, pressed: list[tuple[float, str]]) -> list[float]:
    """From each key to the first screen on which the field holds what it must hold then."""
    times, waiting = [], list(pressed)
    for at, screen in terminal.screens():
        while waiting and at >= waiting[0][0]:
            typed = TYPED.search("\n".join(screen.display))
            if typed is None or typed[1] != waiting[0][1]:
                break
            times.append((at - waiting.pop(0)[0]) * 1e3)
    if waiting:
        raise RuntimeError(f"{len(waiting)} of {len(pressed)} keys were never shown")
    return times


def _rate(terminal: Terminal, begin: float, end: float) -> float:
    """Lines a second between two moments, by the highest number of a line on the screen."""
    numbers: list[tuple[float, int]] = []
    for at, screen in terminal.screens():
        if begin <= at <= end:
            found = [int(number) for number in NUMBER.findall("\n".join(screen.display))]
            numbers.append((at, max(found, default=0)))
    (began, first), (ended, last) = numbers[0], numbers[-1]
    return (last - first) / (ended - began)


async def screen_cpu(rounds: int = 3) -> list[Figure]:
    """Share of a core that the screen takes with 20 processes; a job prints 10,000 lines a second, or none."""
    return await asyncio.to_thread(_screen_cpu, rounds)


def _screen_cpu(rounds: int) -> list[Figure]:
    flooded = [_cpu_share(PER_S) for _ in range(rounds)]
    quiet = [_cpu_share(0) for _ in range(rounds)]
    return [
        Figure("screen_cpu, 10,000 lines/s", flooded, "%", 25.0),
        Figure("screen_cpu, nothing changes", quiet, "%", 5.0),
    ]


def _cpu_share(per_s: int) -> float:
    with _workbench(*TWENTY, do="chatter" if per_s else "wait", per_s=per_s) as terminal:
        terminal.read(5.0, lambda piece: "○ idle".encode() in piece)
        terminal.read(4.0)
        process = psutil.Process(terminal.pid)
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        terminal.read(CPU_OVER_S)
        return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


async def screen_memory(rounds: int = 1) -> list[Figure]:
    """What the screen holds after ten million log lines, beside what it held after one million."""
    figures = []
    for _ in range(rounds):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(AGENTS / "log_lines.py"), stdout=subprocess.PIPE, env=child_environment()
        )
        out, _ = await process.communicate()
        figures.append([float(word) for word in out.split()])
    grown = [after - before for before, after in figures]
    return [
        Figure("screen_memory, growth over 9,000,000 lines", grown, "MB", 5.0),
        Figure("  held after 10,000,000", [after for _, after in figures], "MB"),
    ]
