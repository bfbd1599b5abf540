"""Our figures, and those of the peers' pools, in one table."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure
from tests.benchmarks.jobs import rate, warm_start
from tests.benchmarks.memory import idle_uss
from tests.benchmarks.starts import five_idle_ms, one_more
from tests.benchmarks.worker import KINDS
from tests.conftest import child_environment

LIMIT_S = 300.0
NAMES = {"videosdk": "VideoSDK", "livekit": "LiveKit"}
NOWHERE = "http://127.0.0.1:9"  # no pool has a reason to ask anybody outside
COLD_JOBS, WARM_JOBS, JOBS = 8, 40, 200

Pythons = dict[str, str]


async def peers(pythons: Pythons, rounds: int = 3) -> list[Figure]:
    """What ours and the peers' pools take for the same; some minutes."""
    figures = []
    for kind, agent in KINDS:
        figures += await _starts(kind, agent, pythons, rounds)
        figures += await _cold(kind, agent, pythons)
    return [*figures, *await _warm(pythons), *await _rates(pythons, rounds)]


async def _starts(kind: str, agent: str, pythons: Pythons, rounds: int) -> list[Figure]:
    five, memory = f"five idle from exec, {kind}", f"own memory per idle process, {kind}"
    starts = [Figure(f"{five}: ours", [await five_idle_ms(agent) for _ in range(rounds)], "ms")]
    sizes = [Figure(f"{memory}: ours", (await idle_uss(agent))[0], "MB")]
    for peer, python in pythons.items():
        began, runs = [], []
        for _ in range(rounds):
            began.append(time.monotonic())
            runs.append(_drive(peer, python, agent, "idle", 5))
        whole_ms = [(run["at"] - at) * 1e3 for at, run in zip(began, runs, strict=True)]
        pool_ms = [run["pool_ms"] for run in runs]
        own_mb = [value for run in runs for value in run["uss_mb"]]
        starts.append(Figure(f"  {NAMES[peer]}, {five}", whole_ms, "ms", beside=starts[0].name))
        starts.append(Figure(f"  {NAMES[peer]}, its imports not counted", pool_ms, "ms", beside=starts[0].name))
        sizes.append(Figure(f"  {NAMES[peer]}, {memory}", own_mb, "MB", beside=sizes[0].name))
    return [*starts, *sizes]


async def _cold(kind: str, agent: str, pythons: Pythons) -> list[Figure]:
    name = f"a job without an idle process, {kind}"
    ours = Figure(f"{name}: ours", (await one_more(agent, 3 * COLD_JOBS))[1], "ms")
    return [ours, *_others(name, "cold", COLD_JOBS, agent, pythons, ours)]


async def _warm(pythons: Pythons) -> list[Figure]:
    name = "a job with an idle process, request to first line"
    ours = Figure(f"{name}: ours", (await warm_start(3 * WARM_JOBS))[2].values, "ms")
    return [ours, *_others(name, "warm", WARM_JOBS, "trivial.py", pythons, ours)]


def _others(name: str, measure: str, count: int, agent: str, pythons: Pythons, ours: Figure) -> list[Figure]:
    return [
        Figure(f"  {NAMES[peer]}, {name}", _drive(peer, python, agent, measure, count)["ms"], "ms", beside=ours.name)
        for peer, python in pythons.items()
    ]


async def _rates(pythons: Pythons, rounds: int) -> list[Figure]:
    """VideoSDK uses its processes again, LiveKit has one for each job: each beside its like."""
    figures = []
    for words, per_process, peer in (("reused", "0", "videosdk"), ("a process per job", "1", "livekit")):
        ours = [await rate(JOBS, per_process) for _ in range(rounds)]
        figures.append(Figure(f"jobs a second, {words}: ours", ours, "/s", more_is_better=True))
        if peer in pythons:
            runs = [_drive(peer, pythons[peer], "trivial.py", "rate", JOBS) for _ in range(rounds)]
            beside = figures[-1].name
            rates = [run["per_s"] for run in runs]
            wrong = [float(run["ran"] - run["reported_good"]) for run in runs]
            figures.append(Figure(f"  {NAMES[peer]}, {words}", rates, "/s", beside=beside, more_is_better=True))
            figures.append(Figure(f"  {NAMES[peer]}, of {JOBS} that ran, not reported as good", wrong, ""))
    return figures


def _drive(peer: str, python: str, agent: str, measure: str, count: int) -> dict[str, Any]:
    """One measurement in the peer's interpreter, in a group of its own that is ended with it."""
    program = Path(__file__).with_name("drive.py")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        output, errors = Path(name) / "output", Path(name) / "errors"
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [python, str(program), peer, Path(agent).stem, measure, str(count)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=name, start_new_session=True,
                env=child_environment(STAMPS=f"{name}/stamps", http_proxy=NOWHERE, https_proxy=NOWHERE),
            )  # fmt: skip
        try:
            process.wait(LIMIT_S)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for line in output.read_text().splitlines():
            if line.startswith("RESULT "):
                result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
                return result
        raise RuntimeError(f"{peer} {measure}: {errors.read_text()[-2000:]}")
