"""Rows D5 to D11 and X13: what goes wrong between a job's process and the supervisor, on its channel and its pipes."""

import ast
import asyncio
import os
import signal
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import wait_until
from tests.defences import ROOT, defence
from tests.workers import begin, log_lines, of_worker, run, until, until_ended, until_ready, until_written
from workbench.client.client import ClientError

AGENT = "talker.py"
CHANNEL, RECORDS = 3, 5
pytestmark = pytest.mark.timeout(120)


async def go_on(client: Any) -> None:
    """The next job runs."""
    assert (await run(client, "return"))["status"] == "completed"


async def assert_killed(client: Any, job: dict[str, Any], words: str) -> None:
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "signalled", "SIGKILL")
    assert words in job["error"]
    await go_on(client)


# --- D5, D6: nobody reads ---------------------------------------------------------------------------


@defence(
    (
        "workbench/process/child.py",
        "if len(self._unsent) + len(data) > MAX_UNSENT:",
        "if len(self._unsent) < 0:",
    ),
    ("workbench/process/child.py", "self._sock.setblocking(False)", "self._sock.setblocking(True)"),
)
async def test_fault_D5_a_job_that_does_not_read_is_cut_off_and_holds_nobody_up(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--ping-timeout", "0", "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        other = await client.dispatch("other", {"do": "echo"})
        await until_written(worker, other["id"], "start")
        job = await client.dispatch("r", {"do": "echo"})
        started = await until_written(worker, job["id"], "start")
        os.kill(started["pid"], signal.SIGSTOP)
        before = of_worker(worker).memory_info().rss
        for _ in range(200):
            try:
                await client.request("POST", "/rooms/r/messages", {"text": "x" * 60_000})
            except ClientError:
                break
        ended = await until_ended(client, job["id"])
        assert (ended["status"], ended["reason"]) == ("failed", "signalled")
        assert "does not read" in ended["error"]
        assert of_worker(worker).memory_info().rss - before < 60_000_000
        said = await client.request("POST", "/rooms/other/messages", {"text": "still there?"})
        answer = await client.request("GET", f"/rooms/other/messages?after={said['id']}&wait_s=20")
        assert answer["messages"][0]["text"] == "STILL THERE?"
        await client.end_job(other["id"])
        await until_ended(client, other["id"])


@defence(
    ("workbench/process/records.py", "if not select.select([], [RECORDS_FD], [], patience_s)[1]:", "if False:"),
)
@defence(("workbench/supervisor/hearing.py", "elif lost := records.lost_in(line):", "elif lost := 0:"))
async def test_fault_D6_a_supervisor_that_stands_still_holds_no_logging_job_up(
    start_worker: Any, tmp_path: Path
) -> None:
    worker, count, go = start_worker(AGENT), 20_000, tmp_path / "go"
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch(None, {"do": "log much", "records": count, "until": str(go)})
        started = await until_written(worker, job["id"], "start")
        worker.process.send_signal(signal.SIGSTOP)
        try:  # megabytes of records, while nobody reads
            await until_written(worker, job["id"], "logged")
        finally:
            worker.process.send_signal(signal.SIGCONT)
        await until(client, lambda state: state.counters["log_lines"] > 1000)  # it has emptied the pipe
        go.touch()
        assert (await until_ended(client, job["id"]))["status"] == "completed"
        lines = [line for line in await log_lines(client) if line.pid == started["pid"]]
        dropped = await until(client, lambda state: state.counters["log_lines_dropped"])
    kept = [line.text for line in lines if line.text.startswith("record ")]
    said = [int(line.text.split()[0]) for line in lines if "records were lost here" in line.text]
    assert lines[-1].text == "after them"
    assert 0 < len(kept) < count
    assert len(kept) + sum(said) == count
    assert dropped == sum(said)


def writes(pid: int) -> bool:
    """It is in a system call on its standard output: that can only be a write."""
    number, *arguments = Path(f"/proc/{pid}/syscall").read_text().split()
    return number.isdecimal() and arguments[0] == "0x1"


@defence(
    (
        "workbench/process/pipes.py",
        "        os.set_blocking(self.read_fd, False)\n",
        "        os.set_blocking(self.read_fd, False)\n        os.set_blocking(self.write_fd, False)\n",
    )
)
async def test_fault_D6_what_is_printed_meanwhile_waits_and_is_not_lost(start_worker: Any, tmp_path: Path) -> None:
    worker, go = start_worker(AGENT), tmp_path / "go"
    async with worker.client() as client:
        await until_ready(client)
        code = f"while not os.path.exists({str(go)!r}): pass\nfor n in range(9000): print('line', n, 'x' * 100)"
        job = await client.dispatch(None, {"do": "exec", "code": code})
        started = await until_written(worker, job["id"], "start")
        of_worker(worker).suspend()
        try:
            wait_until(lambda: of_worker(worker).status() == psutil.STATUS_STOPPED, "nobody reads")
            go.touch()
            wait_until(lambda: writes(started["pid"]), "it waits for us")
        finally:
            of_worker(worker).resume()
        assert (await until_ended(client, job["id"]))["status"] == "completed"
        lines = [line.text.split()[:2] for line in await log_lines(client) if line.text.startswith("line ")]
    assert lines == [["line", str(n)] for n in range(9000)]


# --- D7: late news ----------------------------------------------------------------------------------

OWN_PAST = """
import json
async def main():
    body = json.dumps({**ctx.metadata["own"], "job": ctx.job.id}).encode()
    os.write(3, len(body).to_bytes(4, "big") + body)
    ctx.report(step="spoken")
    async for message in ctx.room:
        print("it runs on")
        return
"""


@defence(("workbench/model/jobs.py", "if job is not None and job.active and job.process_id == process_id:", "if job:"))
@defence(("workbench/model/jobs.py", 'if attempt != job.attempt + (job.status == "starting"):', "if attempt < 0:"))
@defence(
    (
        "workbench/supervisor/hearing.py",
        "if job is None or not job.active or job.process_id != child.id:",
        "if True:",
    )
)
async def test_fault_D7_a_late_result_is_told_and_changes_nothing(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-jobs-per-process", "0", "--max-processes", "1")
    async with worker.client() as client:
        await until_ready(client)
        first = await run(client, "return")
        over = {"t": "over", "reason": "raised", "error": "stale", "seen": False}
        stale = [{**over, "job": first["id"], "attempt": 1}]
        second = await client.dispatch(None, {"do": "frames", "frames": [*stale, {"t": "pong"}]})
        written = await until_written(worker, second["id"], "written")
        assert written["pid"] == next(e["pid"] for e in worker.entries() if e["job"] == first["id"])
        await client.end_job(second["id"])
        ended = await until_ended(client, second["id"])
        assert (ended["status"], ended["reason"]) == ("cancelled", "cancelled")
        assert await client.request("GET", f"/jobs/{first['id']}") == first
        own = {**over, "attempt": 99}
        job = await client.dispatch("r", {"do": "exec", "code": OWN_PAST, "call": "main", "own": own})
        await until(client, lambda state: state.jobs[job["id"]].report == {"step": "spoken"})
        await client.request("POST", "/rooms/r/messages", {"text": "go on"})
        third = await until_ended(client, job["id"])
        assert (third["status"], third["error"]) == ("completed", None)
        lines = await log_lines(client)
    late = [line.text for line in lines if line.text.startswith("late: ")]
    assert [text.split(": ")[1] for text in late] == [first["id"], third["id"]]
    assert [line.job_id for line in lines if line.text == "it runs on"] == [third["id"]]


@defence(
    ("workbench/model/jobs.py", "if job is not None and job.active and job.process_id == process_id:", "if job:"),
)
@defence(("workbench/supervisor/hearing.py", "if room is not None and child.job_id == room.job_id:", "if room:"))
async def test_fault_D7_a_job_cannot_speak_for_another(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        other = await begin(client, worker, "echo")
        for kind in ("over", "report", "say", "started", "free"):
            frame = {
                "t": kind, "job": other["job"], "attempt": 1, "reason": "returned", "seen": False, "at": 1,
                "fields": {"forged": 1}, "id": "m", "text": "forged", "partial": False,
            }  # fmt: skip
            liar = await begin(client, worker, "frames", "written", frames=[frame])
            await client.end_job(liar["job"])
            assert (await until_ended(client, liar["job"]))["reason"] == "cancelled"
        still = await client.request("GET", f"/jobs/{other['job']}")
        assert (still["status"], still["report"]) == ("running", {})
        assert (await client.request("GET", f"/rooms/{still['room_id']}/messages"))["messages"] == []
        await client.end_job(other["job"])
        assert (await until_ended(client, other["job"]))["reason"] == "cancelled"


# --- D9: somebody writes where it should not --------------------------------------------------------


@defence(("workbench/process/beats.py", "fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)", "pass"))
async def test_fault_D9_an_agent_that_writes_to_every_descriptor_fails_alone(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--max-processes", "3", "--ping-timeout", "2")
    async with worker.client() as client:
        await until_ready(client)
        other = await begin(client, worker, "echo")
        beats = [fd for fd in Path(f"/proc/{worker.process.pid}/fd").iterdir() if "workbench-beats" in os.readlink(fd)]
        slots = 24 * 64
        before = beats[0].read_bytes()[:slots]
        assert before.strip(b"\0")
        job = await run(client, "everywhere")
        assert b"xxxxxxxx" not in beats[0].read_bytes()
        await assert_killed(client, job, "does not speak our protocol")
        await client.end_job(other["job"])
        assert (await until_ended(client, other["job"]))["reason"] == "cancelled"


THREADS = """
def report():
    for n in range(2000):
        ctx.report(n=n, text="x" * 900)
await asyncio.gather(*(asyncio.to_thread(report) for _ in range(4)))
ctx.report(done=True)
"""


@defence(("workbench/process/channel.py", "if threading.get_ident() == self._thread or", "if True or"))
async def test_fault_D9_reports_from_many_threads_tear_no_frame(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exec", code=f"async def main():\n{textwrap.indent(THREADS, '    ')}", call="main")
    assert (job["status"], job["error"]) == ("completed", None)
    assert job["report"] == {"n": 1999, "text": "x" * 900, "done": True}


# --- X13: nothing that comes from outside is executed -----------------------------------------------

EXECUTE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "code", "codeop"}
CALLS = {"eval", "exec", "compile", "__import__"}
# The agent's own files.
ALLOWED = {("agent/loading.py", "compile"), ("agent/loading.py", "exec"), ("agent/sources.py", "compile")}


@defence(("workbench/process/wire.py", "import json\nimport struct", "import json\nimport pickle\nimport struct"))
def test_fault_X13_nothing_here_can_execute_what_it_reads() -> None:
    found = set()
    for file in sorted((ROOT / "workbench").rglob("*.py")):
        name = str(file.relative_to(ROOT / "workbench"))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {(name, a.name) for a in node.names if a.name.split(".")[0] in EXECUTE}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in EXECUTE:
                found.add((name, node.module))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                found.add((name, node.func.id))
    assert found == ALLOWED


@defence(
    (
        "workbench/process/wire.py",
        "message = json.loads(body)",
        'message = json.loads(body) if body[:1] == b"{" else __import__("pickle").loads(body)',
    ),
)
@defence(
    (
        "workbench/process/child.py",
        '    if not line.startswith(b"["):',
        '    if line[:1] == b"\\x80":\n        __import__("pickle").loads(line)\n    if not line.startswith(b"["):',
    ),
)
async def test_fault_X13_a_job_that_sends_a_pickle_fails_and_nothing_of_it_is_executed(
    start_worker: Any, tmp_path: Path
) -> None:
    worker, made = start_worker(AGENT), tmp_path / "made by a pickle"
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "pickle", path=str(made))
        await assert_killed(client, job, "does not speak our protocol")
    assert not made.exists()


# --- D10, D11: the end ------------------------------------------------------------------------------


async def test_fault_D10_the_last_lines_of_a_job_are_kept_and_are_the_jobs(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exec", code="for n in range(200): print('line', n)")
        lines = [line for line in await log_lines(client) if line.text.startswith("line ")]
    assert [line.text for line in lines] == [f"line {n}" for n in range(200)]
    assert {line.job_id for line in lines} == {job["id"]}


@defence(
    ("workbench/supervisor/logs.py", "        tail.add(batch)\n", ""),
)
@defence(("workbench/process/records.py", "reconfigure(line_buffering=True", "reconfigure(line_buffering=False"))
@pytest.mark.parametrize("code", [0, 3])
async def test_fault_D10_the_last_lines_of_a_dying_process_are_kept_while_another_floods(
    start_worker: Any, tmp_path: Path, code: int
) -> None:
    worker, stop = start_worker(AGENT, "--max-processes", "3", "--log-level", "WARNING"), tmp_path / "stop"
    async with worker.client() as client:
        await until_ready(client)
        flood = await client.dispatch(None, {"do": "flood", "until": str(stop)})
        await until_written(worker, flood["id"], "start")
        job = await run(client, "die talking", code=code)
        assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exited", code)
        taken = await until(client, lambda state: state.counters["log_lines"])
        async with asyncio.timeout(60):  # until the ring has been filled anew, twice
            async for frame in client.frames():
                if frame.state.counters["log_lines"] > taken + 20_000:
                    break
        stop.touch()
        assert (await until_ended(client, flood["id"]))["status"] == "completed"
        lines = await log_lines(client)
    assert [line.text for line in lines if line.job_id == job["id"]] == [f"last {n}" for n in range(200)]
    assert [line.n for line in lines] == sorted(line.n for line in lines)
    assert any(line.text.startswith(f"{job['id']} failed") for line in lines), "our own words are not lost either"


@defence(
    (
        "workbench/process/pipes.py",
        "        for _ in range(64):\n",
        "        os.set_blocking(self.read_fd, True)\n        while os.read(self.read_fd, 1):\n            continue\n"
        "        for _ in range(64):\n",
    ),
)
async def test_fault_D11_a_helper_that_holds_the_pipe_does_not_hold_the_end_up(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        before = of_worker(worker).num_fds()
        job = await run(client, "leave a holder")
        helper = next(entry["helper"] for entry in worker.entries() if entry["what"] == "helper")
        assert job["status"] == "completed"
        wait_until(lambda: not psutil.pid_exists(helper), "the helper goes with its job")
        await go_on(client)
        wait_until(lambda: of_worker(worker).num_fds() <= before, "no descriptor is left of it")
