"""`workbench set`: options of a running worker, changed from a shell."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Worker
from tests.test_cli import workbench
from tests.workers import begin, free_port, until, until_ready
from workbench.model.durations import duration, seconds_of

AGENT = "defects.py"
pytestmark = pytest.mark.timeout(120)  # a bound on hanging


async def set_(worker: Worker, *arguments: str) -> Any:
    return await asyncio.to_thread(workbench, worker.folder, "set", *arguments)


async def test_options_are_set_for_a_time_and_for_good_and_taken_back(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        await begin(client, worker, "wait")
        run = await set_(worker, "max_processes=1", "job-timeout=60", "--for", "5s")  # longer than a command
        assert (run.returncode, run.stderr) == (0, "")
        first, second = run.stdout.splitlines()
        assert first.startswith("max_processes  2 -> 1  now, until ")
        assert first.endswith(", then 2 (--max-processes)")
        assert second.startswith("job_timeout  0 -> 60  now, until ")
        full = await asyncio.to_thread(workbench, worker.folder, "dispatch")
        assert (full.returncode, "1 job of max_processes 1" in full.stderr) == (1, True)
        await until(client, lambda state: state.option("max_processes") == 2)
        await begin(client, worker, "wait")

        run = await set_(worker, "max-jobs-per-process=3", "load_threshold=inf", "memory_limit_mb=100")
        assert (run.returncode, run.stdout.splitlines()) == (
            0,
            [
                "max_jobs_per_process  1 -> 3  from the next job on",
                "load_threshold  inf -> inf  now",
                "memory_warn_mb  500 -> 80  now (derived: 80 % of memory_limit_mb)",
                "memory_limit_mb  0 -> 100  now",
            ],
        )
        run = await set_(worker, "--undo", "memory_limit_mb", "--undo", "max_jobs_per_process")
        assert (run.returncode, run.stdout.splitlines()) == (
            0,
            [
                "max_jobs_per_process  3 -> 1  from the next job on (default)",
                "memory_warn_mb  80 -> 500  now (default)",
                "memory_limit_mb  100 -> 0  now (default)",
            ],
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give NAME=VALUE"),
        (["max_processes"], "write NAME=VALUE, not 'max_processes'"),
        (["max_proceses=3"], "did you mean 'max_processes'?"),
        (["max_processes=0"], "max_processes: must be a whole number from 1 to 1,000 (processes), not '0'"),
        (["log_level=loud"], "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        (["max_processes=3", "max-processes=4"], "max_processes is given twice"),
        (["port=1"], "port needs a restart"),
        (["auth_token=canary-canary"], "auth_token needs a restart"),
        (["--undo", "max_proces"], "did you mean 'max_processes'?"),
        (["--undo", "max_processes", "job_timeout=1"], "give NAME=VALUE"),
        (["--undo", "max_processes", "--for", "1m"], "give NAME=VALUE"),
        (["max_processes=3", "--for", "soon"], "--for must be a number with s, m or h behind it: 30s, 10m, 2h"),
        (["max_processes=3", "--for", "0s"], "--for must be"),
        (["max_processes=3", "--for", "25h"], "at most 24h"),
        (["max_processes=3", "--fro", "1m"], "did you mean --for?"),
        (["max_processes=3"], "no worker runs here"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(tmp_path: Path, arguments: list[str], words: str) -> None:
    run = workbench(tmp_path, "set", *arguments)
    assert words in run.stderr
    assert (run.returncode, run.stdout) == (2, "")
    assert "canary" not in run.stderr


async def test_what_the_worker_refuses_is_usage_and_what_cannot_be_reached_is_not(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "2")
    async with worker.client() as client:
        await until_ready(client)
        url = (await client.request("GET", "/stats"))["worker"]["url"]
        for arguments, words in (
            (["num_idle_processes=3"], "must be at most max_processes"),
            (["--undo", "job_timeout"], "no live change of job_timeout"),
            (["job_timeout=3", "--agent-id", "othr"], "running are: defects"),
            (["job_timeout=3", "--url", url, "--agent-id", "other"], "is agent 'defects', not 'other'"),
        ):
            run = await set_(worker, *arguments)
            assert words in run.stderr
            assert (run.returncode, run.stdout) == (2, "")
        assert [name for name, item in (await client.options()).items() if item["origin"] == "live"] == []
        run = await set_(worker, "job_timeout=3", "--url", url.removeprefix("http://"))
        assert (run.returncode, run.stdout) == (0, "job_timeout  0 -> 3  now\n")
        assert (await client.options())["job_timeout"]["value"] == 3
    run = await set_(worker, "job_timeout=3", "--url", f"127.0.0.1:{free_port()}")
    assert (run.returncode, "no answer from" in run.stderr) == (1, True)


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [("30s", 30, "30s"), ("10m", 600, "10m"), ("2h", 7200, "2h"), ("1.5m", 90, "1m30s"), (" 0.5 s ", 0.5, "0.5s"),
     ("24h", 86_400, "24h"), ("10", None, ""), ("m", None, ""), ("-1s", None, ""), ("1e9s", None, ""),
     ("500ms", 0.5, "0.5s"), ("१s", 1, "1s"), ("", None, ""), ("inf", None, "")],
)  # fmt: skip
def test_spans_of_time(text: str, seconds: float | None, again: str) -> None:
    assert seconds_of(text) == seconds
    assert seconds is None or duration(seconds) == again
