"""The end of a worker: what it waits for, what it cuts, what it leaves behind, and with which exit code."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.conftest import WAIT_S, Worker, wait_until
from tests.defences import defence
from tests.workers import begin, nothing_is_left, run, send, until, until_ready, until_written
from workbench.client.client import ClientError

AGENT = "leaving.py"
CLOSING = "workbench/model/closing.py"
LAST_STEPS = "workbench/supervisor/last_steps.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


def whats(worker: Worker, job_id: str) -> list[str]:
    """What a job wrote, in order."""
    return [entry["what"] for entry in worker.entries() if entry["job"] == job_id]


def told(worker: Worker, words: str) -> None:
    """Wait until the worker has printed it."""
    wait_until(lambda: words in worker.output(), f"it says {words!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@defence((CLOSING, "return self.drains_to_exit or self.stop_code is not None", "return self.stop_code is not None"))
async def test_fault_F1_an_idle_worker_ends_at_once_with_0(start_worker: Any, number: signal.Signals) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
    worker.process.send_signal(number)
    assert worker.ended() == 0
    nothing_is_left(worker)


@defence(
    (CLOSING, "or not self.begun or self._state.active_jobs() or kept:", "or not self.begun or kept:"),
    (CLOSING, 'if self._state.live("busy", "stopping") and now.mono < self._exit_by:', "if False:"),
)
async def test_fault_F2_every_job_finishes_and_the_worker_ends_with_the_last(start_worker: Any, tmp_path: Path) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "3")
    gates = [tmp_path / f"gate{number}" for number in range(3)]
    async with worker.client() as client:
        await until_ready(client)
        jobs = [(await begin(client, worker, "until", file=str(gate)))["job"] for gate in gates]
    worker.process.send_signal(signal.SIGTERM)
    told(worker, "SIGTERM: draining, 3 jobs running")
    for gate, job_id in zip(gates, jobs, strict=True):
        assert worker.process.poll() is None, "it waits for those that still run"
        gate.touch()
        wait_until(
            lambda job_id=job_id: whats(worker, job_id) == ["start", "finish"] or worker.process.poll() is not None,
            "its end",
        )
    assert worker.ended() == 0
    assert [whats(worker, job_id) for job_id in jobs] == [["start", "finish"]] * 3
    nothing_is_left(worker)


async def test_fault_F2_what_is_said_in_a_room_is_answered_while_the_worker_drains(start_worker: Any) -> None:
    worker = start_worker("ledger.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("r", {"do": "echo"})
        await until_written(worker, job["id"], "start")
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining)
        await client.request("POST", "/rooms/r/messages", {"text": "still here?"})
        said = await client.request("GET", "/rooms/r/messages?after=m1&wait_s=10")
        assert said["messages"][0]["text"] == "STILL HERE?"
        await client.end_job(job["id"])
    assert worker.ended() == 0
    assert [e["what"] for e in worker.entries()] == ["start", "finish"]


@defence(("workbench/server/app.py", "    app.on_shutdown.append(finish_all)\n", ""))
async def test_fault_F2_whoever_follows_the_events_hears_all_of_them_and_then_the_end(
    start_worker: Any, tmp_path: Path
) -> None:
    worker, said = start_worker(AGENT), []
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "until", file=str(tmp_path / "gate"))
        connector = aiohttp.UnixConnector(worker.socket)
        async with (
            asyncio.timeout(WAIT_S),
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect("http://localhost/events") as events,
        ):
            assert (await events.receive_json())["type"] == "snapshot"
            worker.process.send_signal(signal.SIGTERM)
            (tmp_path / "gate").touch()
            async for message in events:
                said.append(message.json())
            assert events.close_code == aiohttp.WSCloseCode.OK
    assert [event["id"] for event in said if event["type"] == "job_ended"] == [job["job"]]
    assert worker.ended() == 0


@defence((CLOSING, "if self.stop_code is None and self._drain_deadline is not None and", "if False and"))
@defence(("workbench/process/runner.py", "        await self.context.run_callbacks(self._close_s)\n", ""))
async def test_fault_F3_a_drain_is_cut_at_its_deadline_with_7_and_the_job_still_cleans_up(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--drain-timeout", "2", "--close-timeout", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "endless")
        worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 7
    assert whats(worker, job["job"]) == ["start", "closed"]
    assert "drain_cut" in worker.output()
    nothing_is_left(worker)


@pytest.mark.parametrize(("flags", "signals", "code"), [
    (["--drain-timeout", "0.3", "--close-timeout", "0.3"], 1, 7), (["--close-timeout", "0.3"], 2, 143),
])  # fmt: skip
async def test_fault_F3_a_job_that_refuses_to_go_is_killed(
    start_worker: Any, flags: list[str], signals: int, code: int
) -> None:
    worker = start_worker("ledger.py", *flags)
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "stubborn")
        for _ in range(signals):
            send(worker, signal.SIGTERM)
    assert worker.ended() == code
    assert "drain_cut" in worker.output()
    nothing_is_left(worker)


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@defence(
    (CLOSING, "if self.signals == 1:", "if False:"), (CLOSING, "elif self.signals == 2:", "elif self.signals == 1:")
)
@defence((CLOSING, "elif self.signals == 2:", "elif False:"))
@defence(
    (CLOSING, "        else:\n            self._kill_everything(now)\n", ""),
    ("workbench/cli/signals.py", "if number in ENDING and asked == 3:", "if False:"),
)
async def test_fault_F4_a_second_signal_stops_the_jobs_and_a_third_kills_them(
    start_worker: Any, second: signal.Signals, code: int
) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "deaf")
        worker.process.send_signal(signal.SIGTERM)
        told(worker, "SIGTERM: draining, 1 job running, at most 3600 s")
        await until(client, lambda state: state.worker.draining)
        await asyncio.sleep(0.3)
        assert whats(worker, job["job"]) == ["start"]
        worker.process.send_signal(second)
        told(worker, f"{second.name} again: stopping 1 job now")
        await until_written(worker, job["job"], "asked")
        assert psutil.pid_exists(job["pid"])
        worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == code
    assert "a third time: killing everything" in worker.output()
    assert whats(worker, job["job"]) == ["start", "asked"]  # and never the SIGTERM at the end of the ladder
    nothing_is_left(worker)


@defence(
    ("workbench/supervisor/helpers.py", "mine = [pid for pid in self.strangers() if", "mine = [pid for pid in () if"),
    ("workbench/supervisor/helpers.py", "kill_tree(pid)\n            elif", "continue\n            elif"),
    ("workbench/supervisor/children.py", "        self.helpers.sweep()\n", ""),
)
async def test_fault_F4_helpers_that_ran_away_from_their_jobs_end_with_the_worker(start_worker: Any) -> None:
    """Forked twice, in a session of its own, deaf to SIGTERM; or started with an environment of its own."""
    worker = start_worker("trouble.py", "--num-idle-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        helpers = [(await begin(client, worker, do, "helper"))["helper"] for do in ("daemon", "clean daemon")]
        assert (await run(client, "return"))["status"] == "completed"
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining)
        assert all(psutil.pid_exists(helper) for helper in helpers), "the end of another job is not theirs"
        worker.process.send_signal(signal.SIGINT)
    assert worker.ended() == 130
    assert not [helper for helper in helpers if psutil.pid_exists(helper)]
    nothing_is_left(worker)


@defence(("workbench/model/admission.py", "    if worker.draining:\n", "    if False:\n"))
async def test_fault_F10_a_draining_worker_refuses_at_once_and_runs_what_it_had_taken(start_worker: Any) -> None:
    worker = start_worker("trouble.py", "--num-idle-processes", "0", PREWARM="sleep 0.5")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.status == "ready")
        job = await client.dispatch(None, {"do": "return"})
        assert job["status"] == "queued"  # its process warms up
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining)
        for force in (False, True):
            with pytest.raises(ClientError, match="1 job left") as refused:
                await client.request("POST", "/jobs", {"metadata": {"do": "return"}, "force": force})
            assert (refused.value.status, refused.value.body["reason"]) == (503, "draining")
    assert worker.ended() == 0
    assert [e["what"] for e in worker.entries() if e["job"]] == ["start", "finish"]
    nothing_is_left(worker)


@pytest.mark.parametrize("pause_ms", [0, 30, 80, 150])
@defence(
    (CLOSING, "or not self.begun or self._state.active_jobs() or kept:", "or not self.begun or kept:"),
    (CLOSING, 'if self._state.live("busy", "stopping") and now.mono < self._exit_by:', "if False:"),
)
async def test_fault_F14_a_signal_in_the_middle_of_a_reload_waits_for_the_jobs(
    start_worker: Any, tmp_path: Path, pause_ms: int
) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "until", file=str(tmp_path / "gate"))
        await client.reload()
        await asyncio.sleep(pause_ms / 1e3)
        worker.process.send_signal(signal.SIGTERM)
        await until(client, lambda state: state.worker.draining)
        (tmp_path / "gate").touch()
    assert worker.ended() == 0
    assert whats(worker, job["job"]) == ["start", "finish"]
    nothing_is_left(worker)
