"""Rows M1 and E2: floods of output, and no room for it."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import AGENTS, WAIT_S, child_environment, tagged, wait_until
from tests.defences import defence
from tests.workers import log_lines, of_worker, run, until, until_ended, until_ready, until_written
from workbench.cli import outlet
from workbench.cli.outlet import KEPT_BYTES, MOST_BYTES
from workbench.client.client import Client
from workbench.client.owner import Owner
from workbench.process.pipes import LinePipe
from workbench.supervisor.logs import LogStore, Source

AGENT = "talker.py"
pytestmark = pytest.mark.timeout(120)

# --- M1: floods -------------------------------------------------------------------------------------


@defence(("workbench/supervisor/logs.py", "self.total += len(lines)", "self.total += min(len(lines), 1000)"))
@defence(("workbench/supervisor/logs.py", "return rows, self.total - number - len(rows)", "return rows, 0"))
@defence(("workbench/supervisor/logs.py", "return self._lines + self._only_in_tails", "return self._only_in_tails"))
async def test_fault_M1_every_line_of_a_flood_is_kept_or_counted(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--log-level", "WARNING")
    async with worker.client() as client:
        await until_ready(client)
        received = dropped = 0
        job_id = ""
        async with asyncio.timeout(60):
            async for frame in client.frames(log_tail=1):
                received, dropped = received + len(frame.lines), dropped + frame.lines_dropped
                if not job_id and frame.lines:
                    first = frame.lines[0].n
                    job_id = (await client.dispatch(None, {"do": "flood", "lines": 300_000}))["id"]
                if frame.lines and f"{job_id} completed" in frame.lines[-1].text and job_id:
                    last = frame.lines[-1].n
                    break
        written = (await until_written(worker, job_id, "flooded"))["lines"]
        others = 1  # that the job has completed
        assert last - first == written + others
        assert received + dropped == written + others + 1
        counters = await until(client, lambda s: s.counters["log_lines"] > last and s.counters)
        lines = await log_lines(client)
        async for frame in client.frames(log_tail=1):
            if frame.lines:
                assert frame.lines[-1].n == last
                break
    kept = [line for line in lines if line.text.startswith("flood ")]
    assert counters["log_lines_kept"] == len(lines)
    assert [line.text for line in kept] == [f"flood {n}" for n in range(written - len(kept) + 1, written + 1)]
    assert counters["log_lines_dropped"] == 0


@defence(
    ("workbench/process/pipes.py", "READS_PER_TURN = 4", "READS_PER_TURN = 1 << 60"),
    ("workbench/process/pipes.py", "return len(data) == READ_SIZE", "return True"),
)
async def test_fault_M1_a_pipe_that_is_always_full_has_its_turn_and_no_more() -> None:
    batches, heard = 0, asyncio.get_running_loop().create_future()

    def refill(lines: list[bytes], cut: int) -> None:
        nonlocal batches
        batches += 1
        if batches == 1:
            os.write(calm.write_fd, b"me, too\n")
        if batches < 1000:
            os.write(flooded.write_fd, b"x\n" * 100)

    flooded = LinePipe(refill)
    calm = LinePipe(lambda lines, cut: heard.set_result(batches))
    flooded.start()
    calm.start()
    os.write(flooded.write_fd, b"x\n")
    assert await asyncio.wait_for(heard, WAIT_S) < 100
    batches = 1000
    flooded.close()
    calm.close()


@defence(
    ("workbench/supervisor/logs.py", "KEPT_LINES = 10_000", "KEPT_LINES = 1 << 60"),
    ("workbench/supervisor/logs.py", "KEPT_BYTES = 16 * 1024 * 1024", "KEPT_BYTES = 1 << 60"),
)
async def test_fault_M1_a_flood_starves_nobody_and_costs_no_memory(start_worker: Any, tmp_path: Path) -> None:
    worker, stop = start_worker(AGENT, "--max-processes", "3", "--log-level", "WARNING"), tmp_path / "stop"
    async with worker.client() as client:
        await until_ready(client)
        other = await client.dispatch("r", {"do": "echo"})
        await until_written(worker, other["id"], "start")
        flood = await client.dispatch(None, {"do": "flood", "until": str(stop)})
        before = of_worker(worker).memory_info().rss
        await until(client, lambda state: state.counters["log_lines"] > 2_000_000)
        for number in range(5):
            said = await client.request("POST", "/rooms/r/messages", {"text": f"hello {number}"})
            answer = await client.request("GET", f"/rooms/r/messages?after={said['id']}&wait_s=20")
            assert answer["messages"][0]["text"] == f"HELLO {number}"
        assert of_worker(worker).memory_info().rss - before < 64_000_000
        stop.touch()
        assert (await until_ended(client, flood["id"]))["status"] == "completed"
        await client.end_job(other["id"])
        await until_ended(client, other["id"])


def printed_until(text: str, words: str) -> tuple[int, int]:
    """Log lines printed up to one that has `words`, and lines that are said to be missing before it."""
    lines = gaps = 0
    for line in text.splitlines():
        record = json.loads(line)
        if record.get("event") == "lines_dropped":
            gaps += record["lines"]
        elif "event" not in record:
            lines += 1
            if record["message"] == words:
                return lines, gaps
    return 0, 0


@defence(("workbench/cli/printer.py", "                self._missing += lines\n", ""))
@defence(("workbench/cli/printer.py", "                self._lost += lines\n", ""))
async def test_fault_M1_every_line_is_printed_or_said_to_be_missing(start_worker: Any, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    worker = start_worker(AGENT, stderr=str(fifo))
    written = bytearray()

    def until_printed(words: str) -> tuple[int, int]:
        while data := _read(read):
            written.extend(data)
        whole, _, _ = written.decode().rpartition("\n")
        return printed_until(whole, words)

    try:
        async with worker.client() as client:
            await until_ready(client)
            flood = await run(client, "flood", lines=200_000)  # while nobody reads what is printed
            assert flood["status"] == "completed"
            lost = await until(client, lambda state: state.counters["log_lines_dropped"])
            marker = asyncio.create_task(run(client, "exec", code="print('marker')"))
            while (found := until_printed("marker"))[0] == 0:
                await asyncio.sleep(0.01)
                if marker.done() and not found[0]:
                    marker = asyncio.create_task(run(client, "exec", code="print('marker')"))
            await marker
            number = next(line.n for line in await log_lines(client) if line.text == "marker")
            counted = await until(client, lambda state: state.counters["log_lines_dropped"])
    finally:
        worker.process.send_signal(signal.SIGTERM)
        while worker.process.poll() is None:
            _read(read)
        os.close(read)
    lines, gaps = found
    assert 0 < lost <= gaps
    assert lines + gaps == number + 1
    assert counted == gaps


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 20)
    except BlockingIOError:
        return b""


@defence(("workbench/cli/printer.py", "self._thread.join(timeout_s)", "self._thread.join()"))
def test_fault_M1_a_worker_whose_log_is_not_read_still_ends(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("async def entrypoint(ctx):\n    for _ in range(200): print('x' * 10_000)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "bot.py", "--no-tui", "--once"],
        cwd=tmp_path, stderr=subprocess.PIPE, env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    with process:
        try:
            assert process.wait(WAIT_S) == 0
        finally:
            process.kill()


@defence(
    ("workbench/cli/outlet.py", "            except BlockingIOError:", "            except ZeroDivisionError:"),
)
def test_fault_M1_a_terminal_that_somebody_made_non_blocking_loses_no_line(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(
        "async def entrypoint(ctx):\n    for n in range(3000): print(f'line {n} ' + 'x' * 100)\n"
    )
    read, write = os.pipe()
    os.set_blocking(write, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", "bot.py", "--no-tui", "--once"],
        cwd=tmp_path, stderr=write, env=child_environment(XDG_RUNTIME_DIR=str(tmp_path)),
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as pipe:
        printed = [json.loads(line)["message"].split()[:2] for line in pipe]
    assert process.wait(WAIT_S) == 0
    assert [words for words in printed if words[0] == "line"] == [["line", str(n)] for n in range(3000)]


@defence(("workbench/supervisor/logs.py", "                self.only_here -= len(oldest.lines)\n", ""))
@defence(
    (
        "workbench/supervisor/logs.py",
        "self._only_in_tails -= self._tails.popitem(last=False)[1].only_here",
        "self._tails.popitem(last=False)",
    )
)
@defence(("workbench/supervisor/logs.py", "                tail.ring_begins(self._begins)\n", ""))
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 250), st.integers(1, 300)), max_size=400))
def test_fault_M1_the_lines_that_are_kept_are_counted_as_they_come_and_go(adds: list[tuple[int, int, int]]) -> None:
    """Processes by their number, how many lines, and how long."""
    store = LogStore(kept_lines=300, kept_bytes=20_000)
    adds = adds + [(number, 3, 10) for number in range(300)]  # more than there are tails
    for process, lines, size in adds:
        store.add(Source(process), "INFO", "", [b"x" * size] * lines)
        if process % 10 == 0:
            assert store.kept == sum(len(batch.lines) for batch in store.past(10**9)[0])


@contextmanager
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **metadata: Any) -> Iterator[Owner]:
    """A supervisor as the TUI starts it, with a first job."""
    tag = f"owned-{os.getpid()}-{tmp_path.name}"
    more = {"XDG_RUNTIME_DIR": str(tmp_path), "TEST_TAG": tag, "LEDGER": str(tmp_path / "ledger")}
    for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in child_environment(**more).items():
        monkeypatch.setenv(name, value)
    owner = Owner([str(AGENTS / AGENT), "--port=0", "--start-job", f"--metadata={json.dumps(metadata)}"])
    owner.start()
    yield owner
    owner.close()
    wait_until(lambda: owner.ended(), "the supervisor has ended")
    wait_until(lambda: not tagged(tag), "nothing is left", 5)


@defence(("workbench/cli/outlet.py", "if self._written > MOST_BYTES:", "if self._written < 0:"))
async def test_fault_M1_the_log_file_of_the_workbench_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, monkeypatch, do="flood", lines=1_000_000) as owner:
        async with Client(owner.wait_until_up()) as client:
            await until(client, lambda state: any(job.status == "completed" for job in state.jobs.values()))
            wait_until(lambda: any("completed" in line for line in owner.last_lines()), "all is written")
            assert KEPT_BYTES // 2 < owner.log_path.stat().st_size <= MOST_BYTES
            last = [line.split()[-1] for line in owner.last_lines() if "flood" in line]
    assert last == [str(n) for n in range(1_000_001 - len(last), 1_000_001)]
    assert len(last) > 10


@defence(("workbench/cli/outlet.py", '+ self._end.partition(b"\\n")[2]', ""))
def test_fault_M1_a_log_file_that_was_shortened_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        for name, value in (("STDERR", file.fileno()), ("MOST_BYTES", 2000), ("KEPT_BYTES", 500)):
            monkeypatch.setattr(outlet, name, value)
        made = outlet.Outlet(lambda why: False, own_file=True)
        for number in range(1000):
            assert made.write(f"line {number}\n".encode()) == b""
            lines = (tmp_path / "log").read_text().splitlines()
            assert lines[-1] == f"line {number}"
            assert number < 200 or len(lines) > 30
            assert (tmp_path / "log").stat().st_size <= 2000


# --- E2: no room ------------------------------------------------------------------------------------


def room_for(pid: int, size: int) -> None:
    """No file that the process writes may grow beyond that: to it, this is a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@defence(("workbench/cli/outlet.py", "if self.gone or not self._pause(error.strerror or str(error)):", "if True:"))
@defence(("workbench/cli/serve.py", "        self.printer.tell_losses()\n", ""))
async def test_fault_E2_with_a_full_disk_jobs_run_and_the_log_is_written_when_there_is_room(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    stderr = worker.folder / "stderr"
    async with worker.client() as client:
        await until_ready(client)
        wait_until(lambda: "the worker runs" in stderr.read_text(), "it has begun to print")
        room_for(worker.process.pid, stderr.stat().st_size + 10)  # half a line fits
        job = await run(client, "exec", code="for n in range(100): print('line', n)")
        assert job["status"] == "completed"
        await until(client, lambda state: state.counters["log_lines"] > 101)
        lines = [line.text for line in await log_lines(client)]
        assert [text for text in lines if text.startswith("line ")] == [f"line {n}" for n in range(100)]
        assert any("the log cannot be written: File too large" in text for text in lines)
        assert "line 0" not in stderr.read_text()
        assert (await run(client, "flood", lines=200_000))["status"] == "completed"  # more than can wait
        lost = await until(client, lambda state: state.counters["log_lines_dropped"])
        room_for(worker.process.pid, resource.RLIM_INFINITY)
        wait_until(lambda: "line 99" in stderr.read_text(), "what waited is written")
        await until(client, lambda state: state.seq)
        assert (await run(client, "exec", code="print('marker')"))["status"] == "completed"
        wait_until(lambda: '"marker"' in stderr.read_text(), "it is written again")
        kept = await log_lines(client)
        number = next(line.n for line in kept if line.text == "marker")
        counted = await until(client, lambda state: state.counters["log_lines_dropped"])
    printed, gaps = printed_until(stderr.read_text(), "marker")
    assert printed + gaps == number + 1
    assert 0 < lost <= counted == gaps
    assert any(line.text == "the log is written again" for line in kept)


@defence(
    ("workbench/cli/outlet.py", "            except OSError as error:", "            except BrokenPipeError as error:"),
)
async def test_fault_E2_a_headless_worker_on_a_full_disk_runs_its_jobs(start_worker: Any) -> None:
    worker = start_worker(AGENT, stderr="/dev/full")
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "exec", code="print('words')"))["status"] == "completed"
        await until(client, lambda state: state.counters["log_lines"] > 2)
        lines = [line.text for line in await log_lines(client)]
    assert "words" in lines
    assert any("the log cannot be written: No space left on device" in text for text in lines)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0


@defence(("workbench/cli/outlet.py", "if self.gone or not self._pause(error.strerror or str(error)):", "if True:"))
async def test_fault_E2_an_owned_worker_with_a_full_run_folder_runs_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned(tmp_path, monkeypatch, do="echo") as owner:
        async with Client(owner.wait_until_up()) as client:
            await until_ready(client)
            room_for(owner.pid, owner.log_path.stat().st_size)
            assert (await run(client, "exec", code="print('words')"))["status"] == "completed"
            await until(client, lambda state: state.counters["log_lines"] > 2)
            lines = [line.text for line in await log_lines(client)]
            assert "words" in lines
            assert any("the log cannot be written: File too large" in text for text in lines)
            room_for(owner.pid, resource.RLIM_INFINITY)
            wait_until(lambda: any(line.endswith(" words") for line in owner.last_lines()), "it is written")
