"""Every option has its effect on a real worker, and not only in the table of options."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.conftest import WAIT_S, Worker, child_environment, wait_until
from tests.defences import defence
from tests.workers import begin, free_port, log_lines, of_worker, run, until, until_ended, until_ready
from workbench.client.client import Client, ClientError

AGENT = "defects.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


def starts(worker: Worker) -> list[int]:
    """The processes in which jobs have begun, in their order; by the jobs' own word."""
    return [entry["pid"] for entry in worker.entries() if entry["what"] == "start"]


def living(worker: Worker) -> int:
    """The processes for jobs that the process table has: children of the supervisor that are no zygotes."""
    return sum("-g" not in child.environ().get("WORKBENCH_PROCESS", "-g") for child in of_worker(worker).children())


def listens_at(worker: Worker) -> list[tuple[str, int]]:
    """By the kernel's table."""
    doors = of_worker(worker).net_connections(kind="inet")
    return [(door.laddr.ip, door.laddr.port) for door in doors if door.status == psutil.CONN_LISTEN]


def stopped(worker: Worker) -> int:
    worker.process.send_signal(signal.SIGTERM)
    return worker.ended()


async def refusal(client: Client) -> str:
    with pytest.raises(ClientError) as refused:
        await client.dispatch(None, {"do": "wait"})
    return str(refused.value.body["reason"])


# --- how many, and of whom ----------------------------------------------------------------------------


@pytest.mark.option("agent_id")
@defence(("workbench/cli/serve.py", "socket_path(self.supervisor.settings.options.agent_id,", 'socket_path("defects",'))
async def test_agent_id_is_the_name_by_which_a_worker_is_found(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--agent-id", "other")
    async with worker.client() as client:
        await until_ready(client)
    assert [file.name for file in (worker.folder / "workbench").glob("*.sock")] == [f"other-{worker.process.pid}.sock"]
    asked = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "workbench", "dispatch", "--agent-id", "other", "--wait"],
        env=child_environment(XDG_RUNTIME_DIR=str(worker.folder)), capture_output=True, timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert len(starts(worker)) == 1


@pytest.mark.option("max_processes")
@defence(("workbench/model/admission.py", "if active + worker.reserved >= options.max_processes:", "if active >= 5:"))
async def test_max_processes_bounds_the_jobs_and_the_processes(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2", "--num-idle-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "wait")
        await begin(client, worker, "wait")
        assert await refusal(client) == "full"
        assert living(worker) == len(starts(worker)) == 2
        await client.set_options({"max_processes": 3})
        await begin(client, worker, "wait")
        assert await refusal(client) == "full"
        assert living(worker) == len(starts(worker)) == 3


@pytest.mark.option("num_idle_processes")
@defence(("workbench/model/pool.py", "else self._desk.options.num_idle_processes", "else 1"))
@pytest.mark.parametrize("number", [0, 3])
async def test_num_idle_processes_are_kept_ready(start_worker: Any, number: int) -> None:
    worker = start_worker(AGENT, "--num-idle-processes", str(number))
    async with worker.client() as client:
        await until(
            client,
            lambda state: state.worker.status == "ready" and len(state.processes) == len(state.live("idle")) == number,
        )
        assert living(worker) == number
        job = await run(client, "return")
        await until(client, lambda state: len(state.processes) == len(state.live("idle")) == number)
        assert (living(worker), job["warm"]) == (number, number > 0)


@pytest.mark.option("max_jobs_per_process")
@defence(("workbench/model/core.py", "most = self.options.max_jobs_per_process", "most = 1"))
@defence(("workbench/model/core.py", "most = self.options.max_jobs_per_process", "most = 0"))
@pytest.mark.parametrize(("most", "each"), [(0, [6]), (1, [1] * 6), (2, [2, 2, 2]), (5, [5, 1])])
async def test_max_jobs_per_process_is_how_many_run_before_it_is_replaced(
    start_worker: Any, most: int, each: list[int]
) -> None:
    worker = start_worker(AGENT, "--max-processes", "1", "--max-jobs-per-process", str(most))
    async with worker.client() as client:
        for _ in range(6):
            await until_ready(client)
            await run(client, "return")
    pids = starts(worker)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == each


# --- admission ----------------------------------------------------------------------------------------


@pytest.mark.option("load_threshold")
@defence(
    ("workbench/model/core.py", "jobs_load, self.options.load_threshold,", "jobs_load, 0.75,"),
    ("workbench/model/core.py", "else load, self.options.load_threshold,", "else load, 0.75,"),
)
@defence(("workbench/model/admission.py", "REOPEN_AFTER_S = 2.0", "REOPEN_AFTER_S = 0.0"))
async def test_load_threshold_refuses_at_its_value_and_opens_again_after_two_seconds_below(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "4", "--load", "jobs", "--load-threshold", "0.5")
    async with worker.client() as client:
        await until_ready(client)
        first, second = [await begin(client, worker, "wait") for _ in range(2)]
        assert await refusal(client) == "over_load"
        forced = await client.dispatch(None, {"do": "return"}, force=True)
        assert (await until_ended(client, forced["id"]))["status"] == "completed"
        assert await refusal(client) == "over_load"
        await client.end_job(first["job"])
        ended = await until_ended(client, first["job"])
        opened = await until(client, lambda state: state.worker.status == "ready" and state.worker.status_since)
        assert opened - ended["ended_at"] > 1.9
        await begin(client, worker, "wait")
        await client.end_job(second["job"])
    assert len(starts(worker)) == 4


@pytest.mark.option("load")
@defence(
    ("workbench/model/core.py", 'self.jobs_load if self.options.load == "jobs" else load,', "load,"),
    ("workbench/model/core.py", 'if self.options.load == "jobs":', "if not self.options:"),
    ("workbench/supervisor/watchdog.py", 'if self._shell.settings.options.load == "jobs":', "if load == -1:"),
)
@defence(("workbench/model/core.py", 'self.jobs_load if self.options.load == "jobs" else load,', "self.jobs_load,"))
async def test_load_is_the_processors_share_or_that_of_the_jobs(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "10", "--load", "cpu", "--load-threshold", "0.2")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.generation)
        busy = await client.dispatch(None, {"do": "spin"}, force=True)
        await until(client, lambda state: state.worker.status == "over_load")
        assert await refusal(client) == "over_load"
        await client.set_options({"load": "jobs"})  # 1 of 10, however busy the processors are
        assert (await until(client, lambda state: state.worker.status == "ready" and state)).load.load is not None
        await until(client, lambda state: state.load.load == 0.1)
        assert (await run(client, "return"))["status"] == "completed"
        await client.end_job(busy["id"])
    assert len(starts(worker)) == 2


# --- doors --------------------------------------------------------------------------------------------


@pytest.mark.option("host")
@defence(("workbench/cli/serve.py", ".tcp = bind(options.host, options", '.tcp = bind("127.0.0.1", options'))
async def test_host_is_the_address_it_listens_on(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--host", "127.0.0.2")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.url)
    assert [address for address, _ in listens_at(worker)] == ["127.0.0.2"]


@pytest.mark.option("port")
@defence(("workbench/cli/serve.py", "self.tcp = bind(options.host, options.port)", "self.tcp = bind(options.host, 0)"))
async def test_port_is_the_port_it_listens_on(start_worker: Any) -> None:
    port = free_port()
    worker = start_worker(AGENT, "--port", str(port))
    async with worker.client() as client:
        await until(client, lambda state: state.worker.url)
    assert listens_at(worker) == [("127.0.0.1", port)]


@pytest.mark.parametrize(
    "by",
    [
        pytest.param("", marks=pytest.mark.option("control_token")),
        pytest.param("_file", marks=pytest.mark.option("control_token_file")),
    ],
)
@defence(
    ("workbench/cli/serve.py", "options.control_token.get_secret_value() if options.control_token else None", "None")
)
@defence(("workbench/cli/serve.py", "read_token(value, options.control_token_file)", "read_token(value, None)"))
@defence(("workbench/server/guard.py", 'return scheme.lower() == "bearer" and same', "return True"))
async def test_beyond_this_machine_who_has_no_control_token_controls_nothing(
    start_worker: Any, tmp_path: Path, by: str
) -> None:
    (tmp_path / "token").write_text("canary\n")
    given = str(tmp_path / "token") if by else "canary"
    worker = start_worker(AGENT, "--host", "0.0.0.0", **{f"WORKBENCH_CONTROL_TOKEN{by.upper()}": given})
    async with worker.client() as client, aiohttp.ClientSession() as http:
        await until_ready(client)
        url = (await until(client, lambda state: state.worker.url)).replace("0.0.0.0", "127.0.0.1")
        for token, status in (("wrong", 401), ("canary", 202)):
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post(f"{url}/jobs", json={}, headers=headers) as answer:
                assert answer.status == status
                job = await answer.json()
        await until_ended(client, job["id"])
    assert len(starts(worker)) == 1


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.option("memory_warn_mb")
@defence(("workbench/model/core.py", "self.options.memory_warn_mb\n        warned", "500.0\n        warned"))
async def test_memory_warn_mb_warns_from_there_on_and_harms_nobody(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--memory-warn-mb", "60")
    async with worker.client() as client:
        await until_ready(client)
        held = await begin(client, worker, "hold", "holding", mb=100)
        (warned,) = [await until(client, lambda state: next((p.warned_mb for p in state.live("busy")), None))]
        lines = [line.text for line in await log_lines(client) if "memory_warn_mb 60" in line.text]
        await client.end_job(held["job"])
        assert (await until_ended(client, held["job"]))["reason"] == "cancelled"
        await client.set_options({"memory_warn_mb": 0})
        more = await begin(client, worker, "hold", "holding", mb=100)
        await until(client, lambda state: any((p.memory_mb or 0) > 90 for p in state.live("busy")))
        assert await until(client, lambda state: [p.warned_mb for p in state.live("busy")]) == [None]
        await client.end_job(more["job"])
    assert warned >= 60
    assert lines
    assert f"process {held['pid']} uses" in lines[0]


@pytest.mark.option("memory_limit_mb")
@defence(("workbench/model/core.py", "limit, warn = self.options.memory_limit_mb,", "limit, warn = 0.0,"))
async def test_memory_limit_mb_ends_a_job_that_takes_more(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--memory-limit-mb", "100")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch(None, {"do": "hold", "mb": 300})
        wait_until(lambda: any(e["what"] == "grew" for e in worker.entries()), "it grows")
        pid = starts(worker)[0]
        wait_until(lambda: not psutil.pid_exists(pid), "it is killed")
        ended = await until_ended(client, job["id"])
    assert (ended["reason"], ended["signal"]) == ("oom_limit", "SIGKILL")
    assert "over 100 MB (memory_limit_mb)" in ended["error"]
    assert "holding" not in [entry["what"] for entry in worker.entries()]


@pytest.mark.option("ping_interval")
@defence(("workbench/supervisor/watchdog.py", "self._shell.settings.options.ping_interval", "3600.0"))
async def test_ping_interval_is_how_soon_a_process_is_found_that_does_not_answer(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-interval", "0.2", "--ping-timeout", "0.7")
    async with worker.client() as client:
        await until_ready(client)
        await until(client, lambda state: any(p.memory_mb is not None for p in state.live("idle")))
        job = await run(client, "deaf")  # its loop turns all the time: only a ping can tell
    assert (job["reason"], job["signal"]) == ("hung", "SIGKILL")
    assert "a ping was not answered" in job["error"]
    assert [entry["what"] for entry in worker.entries() if entry["job"]] == ["start", "deaf"]


@pytest.mark.option("ping_timeout")
@defence(("workbench/supervisor/watchdog.py", "limit = self._shell.settings.options.ping_timeout", "limit = 3600.0"))
async def test_ping_timeout_is_how_long_a_loop_may_stand_still(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "1.2")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "stand still")
        assert not psutil.pid_exists(starts(worker)[0])
    assert (job["reason"], job["signal"]) == ("hung", "SIGKILL")
    assert "ping_timeout 1.2 s" in job["error"]


@pytest.mark.option("close_timeout")
@defence(("workbench/model/core.py", "ask_end(job, reason, self.options.close_timeout", "ask_end(job, reason, 3600.0"))
async def test_close_timeout_is_how_long_a_job_that_was_asked_to_end_may_go_on(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--close-timeout", "0.3")
    async with worker.client() as client:
        await until_ready(client)
        begun = await begin(client, worker, "tick", "tick")
        await client.end_job(begun["job"])
        job = await until_ended(client, begun["job"])
        assert not psutil.pid_exists(begun["pid"])
    assert (job["reason"], job["signal"]) == ("cancelled", "SIGKILL")


@pytest.mark.option("drain_timeout")
@defence(("workbench/model/closing.py", "self._desk.options.drain_timeout", "3600.0"))
async def test_drain_timeout_cuts_what_still_runs_after_a_signal(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--drain-timeout", "0.3")
    async with worker.client() as client:
        await until_ready(client)
        begun = await begin(client, worker, "clean up", s=0)
    assert stopped(worker) == 7
    written = [entry["what"] for entry in worker.entries() if entry["job"] == begun["job"]]
    assert written == ["start", "asked", "cleaned", "finish"]
    assert "drain_cut" in worker.output()


@pytest.mark.option("job_timeout")
@defence(
    ("workbench/model/jobs.py", "limit = self._desk.options.job_timeout\n", "limit = 0.0\n"),
    ("workbench/model/jobs.py", "(limit := self._desk.options.job_timeout) > 0", "(limit := 0.0) > 0"),
)
async def test_job_timeout_ends_a_job_that_runs_longer(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--job-timeout", "0.3")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "clean up", s=0)
    assert [entry["what"] for entry in worker.entries() if entry["job"]] == ["start", "asked", "cleaned", "finish"]
    assert (job["status"], job["reason"], job["error"]) == ("failed", "timeout", "job_timeout passed")


# --- words --------------------------------------------------------------------------------------------


@pytest.mark.option("log_level")
@defence(
    ("workbench/supervisor/children.py", '"log_level": self._shell.settings.options.log_level', '"log_level": "INFO"')
)
@defence(("workbench/supervisor/worker.py", '"level": settings.options.log_level})', '"level": "DEBUG"})'))
async def test_log_level_is_the_least_severe_level_of_what_is_kept(start_worker: Any) -> None:
    flags = "--log-level DEBUG --log-format json --max-jobs-per-process 0 --max-processes 1".split()
    worker = start_worker(AGENT, *flags)
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "speak")
        assert await spoken(client) == ["DEBUG", "INFO", "WARNING", "ERROR"]
        await client.set_options({"log_level": "ERROR"})
        await run(client, "speak")
        assert await spoken(client) == ["DEBUG", "INFO", "WARNING", "ERROR", "ERROR"]
        assert len(set(starts(worker))) == 1, "both spoke in the same process"
    stopped(worker)
    printed = [json.loads(line).get("message", "") for line in worker.output().splitlines()]
    assert [text.split()[-1] for text in printed if text.startswith("spoken at")] == [
        "DEBUG", "INFO", "WARNING", "ERROR", "ERROR",
    ]  # fmt: skip


async def spoken(client: Client) -> list[str]:
    return [line.level for line in await log_lines(client) if line.text.startswith("spoken at")]
