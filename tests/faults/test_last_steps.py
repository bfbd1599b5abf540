"""The last steps of a worker and of a job: each is taken, whatever fails or hangs, and all that failed is told."""

import signal
from typing import Any

import pytest

from tests.defences import defence
from tests.workers import begin, log_lines, nothing_is_left, run, until_ended, until_ready

AGENT = "leaving.py"
LAST_STEPS = "workbench/supervisor/last_steps.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging

RAISE = """
def broken(*args, **more): raise OSError("broken for the test")
"""
HANG = """
async def broken(*args, **more):
    while True:
        try: await asyncio.sleep(600)
        except asyncio.CancelledError: continue
"""
PARTS = [  # what is broken, how, and the exit code that is known before
    ("the clock", RAISE, 0, "from workbench.supervisor.shell import Shell; Shell.close = broken"),
    ("the zygotes", RAISE, 7, "from workbench.supervisor.reloading import Reloading; Reloading.close = broken"),
    ("what is left of", RAISE, 7, "from workbench.supervisor.helpers import Helpers; Helpers.kill_all = broken"),
    ("the reaping", RAISE, 0, "from workbench.process.reaper import Reaper; Reaper.stop = broken"),
    ("the beats", RAISE, 7, "from workbench.process.beats import Beats; Beats.close = broken"),
    ("the doors", RAISE, 0, "from aiohttp.web import AppRunner; AppRunner.cleanup = broken"),
    ("the doors", HANG, 7, "from aiohttp.web import AppRunner; AppRunner.cleanup = broken"),
    ("the side tasks", HANG, 0, "import workbench.supervisor.watch as watch; watch.watch = broken"),
    ("the measuring", HANG, 7, "from workbench.supervisor.sampler import Sampler; Sampler.run = broken"),
    ("the printer", RAISE, 0, "from workbench.cli.printer import Printer; Printer.close = broken"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "how", "code", "edit"), PARTS, ids=[f"{part[0]}{part[2]}" for part in PARTS])
@defence((LAST_STEPS, "except (Exception, asyncio.CancelledError) as error:", "except ValueError as error:"))
@defence((LAST_STEPS, "asyncio.wait({task}, timeout=limit_s)", "asyncio.wait({task})"))
@defence((LAST_STEPS, "return known or (1 if self.failures else 0)", "return known"))
@defence(("workbench/cli/signals.py", "    timer.start()\n", ""))
async def test_fault_F13_a_part_that_cannot_be_ended_keeps_no_other_from_it(
    broken_worker: Any, name: str, how: str, code: int, edit: str
) -> None:
    leave_soon = "import workbench.cli.serve as serve; serve.LEAVE_S = 1.0"
    flags = ("--drain-timeout", "0.2", "--close-timeout", "0.2", "--reload")
    worker = broken_worker(leave_soon + how + edit, AGENT, *flags)
    async with worker.client() as client:
        await until_ready(client)
        if code:
            await begin(client, worker, "endless")
        worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == (code or 1)
    assert f"ending {name}" in worker.output()
    nothing_is_left(worker)


@defence(("workbench/agent/context.py", "except (Exception, asyncio.CancelledError, SystemExit):", "except Exception:"))
async def test_fault_F13_a_shutdown_callback_that_fails_keeps_no_other_from_its_work(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "closers")
        lines = [line.text for line in await log_lines(client)]
    assert (job["status"], job["reason"]) == ("completed", "returned")
    assert [e["number"] for e in worker.entries() if e["what"] == "closed"] == [2, 1]
    assert len([line for line in lines if line == "a shutdown callback failed"]) == 3


@defence(
    ("workbench/agent/context.py", "async with asyncio.timeout_at(deadline):", "async with asyncio.timeout(None):")
)
async def test_fault_F13_a_shutdown_callback_that_hangs_is_cut_and_the_others_are_done(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "0.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "hanging closer")
        lines = [line.text for line in await log_lines(client)]
    assert (job["status"], job["reason"]) == ("completed", "returned")
    assert [e["number"] for e in worker.entries() if e["what"] == "closed"] == [1]
    assert "a shutdown callback failed, or was not done within close_timeout" in lines


async def test_fault_F13_a_shutdown_callback_that_will_not_end_is_cut_with_its_job(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "0.5")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "stubborn closer", "finish")
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
        assert (await run(client, "closers"))["status"] == "completed"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0
    nothing_is_left(worker)
