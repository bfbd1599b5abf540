"""Jobs that eat memory, themselves or in their children: warned of, then ended by their limit with the figure told."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import wait_until
from tests.defences import defence
from tests.workers import begin, log_lines, of_worker, run, samples, until_ended, until_ready
from workbench.process.child import Child
from workbench.process.sampling import ProcFiles
from workbench.process.tree import descendants
from workbench.supervisor import memory

AGENT = "running.py"


@pytest.mark.option("memory_warn_mb")
@defence(
    (
        "workbench/model/core.py",
        "max(warn, warned + max(0.1 * warn, 10.0)) if warn > 0",
        "warn if warn > 0",
    )
)
@defence(
    (
        "workbench/model/core.py",
        "max(warn, warned + max(0.1 * warn, 10.0)) if warn > 0",
        "warn if warn > 0 and not warned",
    )
)
async def test_fault_B9_memory_is_warned_of_once_and_again_when_it_has_grown(start_worker: Any, tmp_path: Path) -> None:
    order = tmp_path / "order"
    worker = start_worker(AGENT, "--memory-warn-mb", "100", ORDER=str(order))

    async def grow(mb: int) -> None:
        """In one step for the supervisor, however long it takes."""
        of_worker(worker).suspend()
        order.with_suffix(".new").write_text(str(mb))
        order.with_suffix(".new").replace(order)
        wait_until(lambda: any(e.get("mb") == mb for e in worker.entries()), "it holds that much")
        of_worker(worker).resume()

    async def warnings() -> list[str]:
        await samples(client, 2)
        return [line.text for line in await log_lines(client) if line.text.endswith("memory_warn_mb 100")]

    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "hold")
        counts = []
        for mb in (50, 150, 155, 200, 201):
            await grow(mb)
            counts.append(len(await warnings()))
        told = [int(re.search(r"uses (\d+) MB", text)[1]) for text in await warnings()]
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
    assert counts == [0, 1, 1, 2, 2]
    assert told[0] == pytest.approx(155, abs=15)
    assert told[1] == pytest.approx(205, abs=15)


@pytest.mark.option("memory_limit_mb")
@pytest.mark.parametrize("how", ["slowly", "at once"])
@defence(
    (
        "workbench/model/core.py",
        "if self.pool.slots[process_id].doom is None:\n                self._over_limit(",
        "if False:\n                self._over_limit(",
    )
)
@defence(
    ("workbench/model/core.py", 'f"held {memory_mb:.0f} MB, over {limit:g} MB (memory_limit_mb)"', '"memory_limit_mb"')
)
async def test_fault_B9_a_job_over_its_memory_limit_is_killed_and_the_figure_told(
    start_worker: Any, tmp_path: Path, how: str
) -> None:
    (tmp_path / "order").write_text("300")
    worker = start_worker(AGENT if how == "at once" else "ledger.py", "--memory-limit-mb", "150",
                          ORDER=str(tmp_path / "order"))  # fmt: skip
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "hold" if how == "at once" else "grow")
        wait_until(lambda: not psutil.pid_exists(job["pid"]), "its process is gone")
        after = await client.dispatch(None, {"do": "return" if how == "slowly" else "pool"})
        assert (await until_ended(client, after["id"]))["status"] == "completed"
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "oom_limit", "SIGKILL")
    assert (told := re.fullmatch(r"held (\d+) MB, over 150 MB \(memory_limit_mb\)", job["error"]))
    held = max((e["mb"] for e in worker.entries() if e["job"] == job["id"] and "mb" in e), default=300)
    assert 150 <= int(told[1]) <= held + 60
    assert [e["what"] for e in worker.entries() if e["job"] == job["id"] and e["what"] == "finish"] == []


@defence(
    (
        "workbench/supervisor/memory.py",
        "own_mb + self._of_helpers(child) if child.helpers else own_mb",
        "own_mb",
    ),
    ("workbench/supervisor/memory.py", "exact_mb(child.pid, child.helpers)", "exact_mb(child.pid, [])"),
)
async def test_fault_B10_memory_of_a_child_of_the_job_counts(start_worker: Any) -> None:
    worker = start_worker("trouble.py", "--memory-limit-mb", "150")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "grow in a helper")
        wait_until(lambda: len(of_worker(worker).children(recursive=True)) <= 2, "the helper is gone")
    assert (job["status"], job["reason"]) == ("failed", "oom_limit")
    held = max(e["mb"] for e in worker.entries() if e["what"] == "grew")
    assert 150 <= int(re.search(r"held (\d+) MB", job["error"])[1]) <= held + 60


@defence(("workbench/process/sampling.py", 'total += found[b"Pss:"]', 'total += found[b"Rss:"]'))
async def test_fault_B10_a_forked_child_of_the_job_is_not_counted_twice(start_worker: Any) -> None:
    worker = start_worker("trouble.py", "--memory-limit-mb", "220")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "fork worker", mb=150)
    assert (job["status"], job["reason"]) == ("completed", "returned")


FORKS = """
import os, sys, time
hold = bytearray(b"x") * 120_000_000
print("holds", flush=True)
sys.stdin.readline()
for _ in range(6):
    if os.fork() == 0:
        time.sleep(600)
print("forked", flush=True)
time.sleep(600)
"""


@defence(("workbench/supervisor/memory.py", " or known.helpers != tuple(child.helpers)", ""))
def test_fault_B10_helpers_that_have_just_come_are_not_judged_by_what_was_known_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "EXACT_BEFORE_JUDGING_S", 600.0)  # all of this happens within that time
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        child = Child(1, 1, 0, Any)
        child.pid, child.files = process.pid, ProcFiles(process.pid)
        meter = memory.MemoryMeter()
        alone = meter.refresh(child)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        child.helpers = descendants(process.pid)
        figures = [meter.judged(child, meter.estimate(child)) for _ in range(2)]
        os.killpg(process.pid, signal.SIGKILL)
    child.close()
    assert alone == pytest.approx(125, abs=20)
    assert figures == pytest.approx([alone, alone], abs=40)
