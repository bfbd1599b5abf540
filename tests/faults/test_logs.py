"""Rows M and E2: floods, forgeries, bytes, endless lines, secrets and full disks, in everything that is logged."""

import asyncio
import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import AGENTS, WAIT_S, child_environment, tagged, wait_until
from tests.defences import defence
from tests.workers import log_lines, of_worker, run, until, until_ended, until_ready, until_written
from workbench.agent.problem import problem_of
from workbench.cli import outlet
from workbench.cli.library_logs import LibraryLogs
from workbench.cli.outlet import KEPT_BYTES, MOST_BYTES
from workbench.client.client import Client
from workbench.client.owner import Owner
from workbench.model.mask import HIDDEN, Mask
from workbench.model.text import clean_text, cut
from workbench.process.pipes import LONGEST_LINE, LinePipe
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


# --- M2, M3: forgeries and bytes --------------------------------------------------------------------

FORGED = "2026-01-01 00:00:00 INFO workbench all is well"
FORGING = f"""
import json
print("one\\n{FORGED}")
print("two\\r{FORGED}\\x85{FORGED}\\u2028{FORGED}\\x0b{FORGED}")
log.warning("three\\n%s", {FORGED!r})
log.warning("four\\r%s", {FORGED!r})
os.write(5, json.dumps(["INFO\\n{FORGED}", "workbench\\n{FORGED}", "five"]).encode() + b"\\n")
os.write(5, json.dumps(dict(at=0, level="INFO", pid=1, job_id="job-other", message="six")).encode() + b"\\n")
"""


@defence(
    ("workbench/cli/printer.py", "{clean_text(text)}\\n", "{text}\\n"),
    ("workbench/cli/printer.py", "clean_text(level, 16)", "level"),
)
async def test_fault_M2_a_forged_line_is_a_line_of_its_job_in_text(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--log-format", "text")
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exec", code=FORGING)
        assert job["status"] == "completed"
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    with (worker.folder / "stderr").open(newline="") as file:
        text = file.read()
    lines = re.split("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text.rstrip("\n"))
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} \S", line) for line in lines)
    theirs = [line for line in lines if job["id"] in line]
    assert sum("all is well" in line for line in theirs) == 4
    assert not [line for line in lines if "all is well" in line and job["id"] not in line]


@defence(("workbench/cli/printer.py", "{_encode(text)}", '\\"{text}\\"'))
@defence(("workbench/cli/printer.py", '"logger": {_encode(batch.logger)}', '"logger": "{batch.logger}"'))
async def test_fault_M2_a_forged_line_is_an_object_of_its_job_in_json(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exec", code=FORGING)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    records = [json.loads(line) for line in worker.output().split("\n") if line]
    theirs = [record for record in records if "all is well" in json.dumps(record) or record["message"] == "five"]
    assert len(theirs) == 5
    assert {record["job_id"] for record in theirs} == {job["id"]}
    assert {record["pid"] for record in theirs} == {worker.entries()[0]["pid"]}
    forged = next(record for record in records if "job-other" in record["message"])
    assert (forged["job_id"], forged["logger"]) == (job["id"], "stack")


RECORDS = b"".join(record + b"\n" for record in [
    b'["INFO", "talker", "\\ud800 lone"]',
    b'["\\udfff", "\\ud83d", "in its level"]',
    b'["INFO", "talker", "\\u0000 nothing"]',
    b'["INFO", "talker", "not \xff\xfe UTF-8"]',
    b'["INFO", ["x"], "a list"]',
    b'["INFO", "talker", ["no text"]]',
    b'["INFO", "talker"]',
    b"[99999999999999999999]",
    b"[" * 5000,
    b"",
])  # fmt: skip


@defence(
    (
        "workbench/supervisor/hearing.py",
        'part.encode("utf-8", "backslashreplace")',
        "part.encode()",
    ),
)
@defence(("workbench/supervisor/logs.py", 'line.decode("utf-8", "backslashreplace")', "line.decode()"))
async def test_fault_M3_any_bytes_are_logged_and_break_nothing(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    everything = bytes(range(256)).replace(b"\n", b"") + b" all\n"
    async with worker.client() as client:
        await until_ready(client)
        code = (
            f"sys.stdout.flush()\nos.write(1, {everything!r})\nos.write(5, {RECORDS!r})\n"
            "log.warning('lone %s', chr(0xd800))\nprint('\\udcff escaped')"
        )
        assert (await run(client, "exec", code=code))["status"] == "completed"
        lines = [line.text for line in await log_lines(client)]
        assert (await run(client, "return"))["status"] == "completed"
    assert any(line.endswith("\\xfe\\xff all") and "\0" in line and "\\x80" in line for line in lines)
    for words in ("\\ud800 lone", "in its level", "\0 nothing", "\\udcff escaped", "a list", "lone \\ud800"):
        assert [line for line in lines if words in line], words
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert all(json.loads(line) for line in worker.output().splitlines())


@defence(("workbench/supervisor/logs.py", "self.mask.text(level)[:LONGEST_LEVEL]", "level"))
@pytest.mark.parametrize("level", ["a.py", "\ud800", "x" * 100_000])
def test_fault_M3_a_level_and_a_name_are_bounded(level: str) -> None:
    store = LogStore()
    store.add(Source(1), level, level, [b"line"])
    ((row,), dropped) = store.since(0, 10)
    assert (dropped, row[-1]) == (0, "line")
    assert len(row[6]) <= 32
    assert len(row[7]) <= 200


@defence(("workbench/cli/library_logs.py", "except Exception:", "except ZeroDivisionError:"))
def test_fault_M3_a_library_that_logs_nonsense_gets_no_exception() -> None:
    store = LogStore()
    handler = LibraryLogs(store)
    handler.emit(logging.LogRecord("lib", logging.ERROR, __file__, 1, "%d of %d", ("one",), None))
    handler.emit(logging.LogRecord("lib\ud800", logging.ERROR, __file__, 1, "lone \ud800\n\nend", (), None))
    assert [row[-1] for row in store.since(0, 10)[0]] == [
        "'%d of %d' (its arguments do not fit)", "lone \\ud800", "end",
    ]  # fmt: skip


# --- M4: lines without an end -----------------------------------------------------------------------


@defence(("workbench/process/pipes.py", 'f" \\u2026 +{beyond} bytes".encode() if beyond else line', 'b""'))
@defence(
    ("workbench/process/pipes.py", "room = LONGEST_LINE - len(self._tail)", "room = 1 << 40"),
    ("workbench/process/pipes.py", "max(map(len, whole)) > LONGEST_LINE", "False"),
)
async def test_fault_M4_a_line_of_100_megabytes_is_cut_with_a_mark_and_holds_nobody_up(start_worker: Any) -> None:
    worker, size = start_worker(AGENT), 100_000_000
    async with worker.client() as client:
        await until_ready(client)
        before = of_worker(worker).memory_info().rss
        code = f"for _ in range({size // 10**6}): sys.stdout.write('x' * 1_000_000)\nprint('the end')"
        assert (await run(client, "exec", code=code))["status"] == "completed"
        assert of_worker(worker).memory_info().rss - before < 40_000_000
        shown = [line.text for line in await log_lines(client) if line.text.startswith("xxx")]
        counted = await until(client, lambda state: state.counters["log_bytes_cut"])
    beyond = size + len("the end") - LONGEST_LINE
    assert shown == ["x" * LONGEST_LINE + f" … +{beyond} bytes"]
    assert counted == beyond


@defence(("workbench/process/pipes.py", "beyond[0] += self._skipping", "pass"))
def test_fault_M4_a_line_without_end_is_cut_and_counted() -> None:
    taken: list[tuple[list[bytes], int]] = []
    pipe = LinePipe(lambda lines, cut: taken.append((lines, cut)))
    for _ in range(50):
        os.write(pipe.write_fd, b"x" * 60_000)
        pipe.drain()
    os.write(pipe.write_fd, b"end\nnext\nlast")
    pipe.close()
    (whole, cut), (rest, nothing_cut) = taken
    beyond = 50 * 60_000 + 3 - LONGEST_LINE
    assert whole == [b"x" * LONGEST_LINE + f" … +{beyond} bytes".encode(), b"next"]
    assert rest == [b"last"]
    assert (cut, nothing_cut) == (beyond, 0)


@defence(("workbench/process/records.py", "if len(line) < LONGEST_LINE:", "if line:"))
async def test_fault_M4_a_long_record_is_cut_and_stays_a_record(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "exec", code="log.warning('नमस्ते ' * 6000)\nlog.warning('after it')")
        lines = [line for line in await log_lines(client) if line.logger == "talker"]
    assert [line.text[:6] for line in lines] == ["नमस्ते"[:6], "after "]
    assert len(lines[0].text) > 5_000


# --- M7: secrets ------------------------------------------------------------------------------------

SECRETS = {
    "VIDEOSDK_AUTH_TOKEN": "eyJhbGciOiJIUzI1NiJ9.videosdk-canary.x",
    "WORKBENCH_CONTROL_TOKEN": 'control"canary\\with/signs+Ω=',
    "auth_token_file": "auth-file-canary-42",
    "control_token_file": "control-file-canary-43",
}


def secret_files(folder: Path) -> dict[str, str]:
    files = {}
    for name, value in SECRETS.items():
        files[name] = str(folder / name.lower())
        Path(files[name]).write_text(value + "\n")
    return files


def assert_no_secret(text: str, where: str) -> None:
    for value in SECRETS.values():
        for form in (value, json.dumps(value)[1:-1], quote(value), quote(value, safe=""), value[:9], value[-9:]):
            assert form not in text, f"{where}: ...{text[max(0, text.index(form) - 60) :][:160]}"


async def every_answer(client: Client, job: dict[str, Any]) -> str:
    """All that the routes tell, and the stream."""
    import aiohttp

    from workbench.server import app, talk

    paths = [route.path for route in (*app.routes, *talk.routes) if getattr(route, "method", "") == "GET"]
    answers = []
    connector = aiohttp.UnixConnector(path=client.address.path)
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        for path in paths:
            name = job["room_id"] if "rooms" in path else job["id"]
            async with session.get(path.replace("{id}", name)) as answer:
                answers.append(await answer.text())
        async with session.ws_connect("/events", max_msg_size=0) as socket:
            await socket.send_json({"logs": {"tail": 10_000}})
            while '"type": "logs"' not in answers[-1]:
                answers.append((await socket.receive(WAIT_S)).data)
    return "\n".join(answers)


@defence(("workbench/supervisor/logs.py", "        lines = self.mask.lines(lines)\n", ""))
@defence(("workbench/supervisor/logs.py", "self.mask.text(logger)[:LONGEST_LOGGER]", "logger"))
@defence(("workbench/server/app.py", "middlewares=[masked, outermost]", "middlewares=[outermost]"))
@defence(("workbench/server/stream.py", "self._supervisor.logs.mask.json(dump(message))", "dump(message)"))
@defence(("workbench/model/mask.py", "for mark in CUT.finditer(line)]", "for mark in ()]"))
@defence(("workbench/model/mask.py", "(self.text(key) if foreign else key)", "key"))
@defence(("workbench/model/mask.py", '{quote(value), quote(value, safe="")}', "set()"))
@defence(("workbench/model/mask.py", "{value, repr(value)[1:-1]}", "{value}"))
@defence(
    ("workbench/supervisor/secrets.py", "if is_secret_variable(name):", "if not name:"),
    ("workbench/supervisor/secrets.py", "yield plain(given.value)", 'yield ""'),
)
@defence(("workbench/supervisor/secrets.py", "yield _content(given.value)", 'yield ""'))
@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_fault_M7_no_secret_is_told_anywhere(start_worker: Any, tmp_path: Path, log_format: str) -> None:
    files = secret_files(tmp_path)
    environment = {name: SECRETS[name] for name in ("VIDEOSDK_AUTH_TOKEN", "WORKBENCH_CONTROL_TOKEN")}
    worker = start_worker(
        AGENT, "--log-format", log_format, "--log-level", "DEBUG", "--auth-token-file", files["auth_token_file"],
        "--control-token-file", files["control_token_file"], **environment,
    )  # fmt: skip
    async with worker.client() as client:
        await until_ready(client)
        metadata = {"do": "secrets", "files": list(files.values()), "note": list(SECRETS.values())}
        job = await client.dispatch(None, metadata)
        await until_written(worker, job["id"], "told")
        answers = await every_answer(client, job)
        ended = await until_ended(client, job["id"])
        answers += json.dumps(ended) + await every_answer(client, ended)
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    assert_no_secret(answers, "an answer")
    assert_no_secret(worker.output(), "the output")
    assert ended["error"].startswith("ValueError: it was ******** and ******** and ******** and ******** (")
    for text in (answers, worker.output()):
        assert text.count("printed ********") >= len(SECRETS)
        assert text.count("split ********") >= len(SECRETS)


def ended_with_secret(tmp_path: Path, arguments: list[str], source: str) -> "subprocess.CompletedProcess[str]":
    """A command about an agent that knows a secret; it told nobody."""
    secret = SECRETS["VIDEOSDK_AUTH_TOKEN"]
    (tmp_path / "bot.py").write_text(f"import os, threading\nsecret = os.environ['VIDEOSDK_AUTH_TOKEN']\n{source}\n")
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *arguments, "--port", "0"], cwd=tmp_path, capture_output=True,
        text=True, check=False, timeout=WAIT_S, stdin=subprocess.DEVNULL,
        env=child_environment(XDG_RUNTIME_DIR=str(tmp_path), VIDEOSDK_AUTH_TOKEN=secret),
    )  # fmt: skip
    assert_no_secret(done.stdout + done.stderr, "the output")
    return done


@defence(("workbench/supervisor/secrets.py", "error.args = (mask.text(str(error)),)", "pass"))
@defence(
    (
        "workbench/cli/doctor/command.py",
        "print(mask.json(_as_json(parsed, sections, failure, code)))",
        "print(_as_json(parsed, sections, failure, code))",
    )
)
@pytest.mark.parametrize("arguments", [
    ["bot.py", "--no-tui", "--once"], ["doctor", "bot.py"], ["doctor", "--json", "bot.py"], ["options", "bot.py"],
])  # fmt: skip
def test_fault_M7_no_secret_is_in_the_error_of_an_agent_that_cannot_be_loaded(
    tmp_path: Path, arguments: list[str]
) -> None:
    done = ended_with_secret(tmp_path, arguments, "raise ValueError(secret)")
    assert done.returncode == 3
    assert "ValueError: ********" in done.stderr
    if "--json" in arguments:
        assert json.loads(done.stdout)["problem"][0].startswith("ValueError: ********")


@defence(("workbench/cli/doctor/report.py", 'clean_text(self._mask.text(" ".join(', 'clean_text((" ".join('))
@defence(("workbench/cli/doctor/report.py", "what = clean_text(self._mask.text(what))", "what = clean_text(what)"))
@defence(
    (
        "workbench/cli/doctor/command.py",
        "print(mask.json(_as_json(parsed, sections, failure, code)))",
        "print(_as_json(parsed, sections, failure, code))",
    )
)
@pytest.mark.parametrize("arguments", [["doctor", "bot.py"], ["doctor", "--json", "bot.py"]])
def test_fault_M7_no_secret_is_in_the_report_of_the_doctor(tmp_path: Path, arguments: list[str]) -> None:
    done = ended_with_secret(
        tmp_path, arguments,
        "name = __file__.replace('bot', secret)\n"
        "exec(compile('import time\\ntime.sleep(2.5)', name, 'exec'))  # where it stands is told\n"
        "threading.Thread(target=threading.Event().wait, name=secret, daemon=True).start()\n"
        "async def entrypoint(ctx): pass",
    )  # fmt: skip
    assert done.returncode == 0
    assert "while loading: ********" in " ".join(done.stdout.split())
    assert "--json" in arguments or "still loading bot.py: " in done.stdout


@defence(("workbench/cli/serve.py", "self.supervisor.logs.mask.learn([token])", "pass"))
async def test_fault_M7_a_secret_that_replaced_another_in_its_file_is_hidden_once_it_is_used(
    start_worker: Any, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first-canary-1\n")
    worker = start_worker(AGENT, "--host", "0.0.0.0", "--control-token-file", str(file))
    async with worker.client() as client:
        await until_ready(client)
        file.write_text("second-canary-2\n")
        url = (await client.request("GET", "/stats"))["worker"]["url"].replace("0.0.0.0", "127.0.0.1")
        from workbench.client.address import Address

        async with Client(Address(url=url), "second-canary-2") as remote:
            await remote.request("GET", "/jobs")
        await run(client, "exec", code="print('first-canary-1', 'second-canary-2')")
        lines = [line.text for line in await log_lines(client)]
    assert "******** ********" in lines


@defence(("workbench/model/mask.py", "len(value) >= SHORTEST", "value"))
async def test_fault_M7_a_secret_too_short_to_be_one_masks_no_ordinary_words(start_worker: Any) -> None:
    worker = start_worker(AGENT, "--registry-url", "wss://user:a@registry.invalid")
    async with worker.client() as client:
        await until_ready(client)
        await run(client, "exec", code="print('a plain line')")
        assert "a plain line" in [line.text for line in await log_lines(client)]


@defence(("workbench/model/mask.py", "if key in OURS and isinstance(item, str) and not foreign", "if False"))
async def test_fault_M7_a_secret_that_is_a_word_of_ours_breaks_no_answer(start_worker: Any) -> None:
    worker = start_worker(AGENT, WORKBENCH_CONTROL_TOKEN="completed")
    async with worker.client() as client:
        await until_ready(client)
        assert (await run(client, "return"))["status"] == "completed"


@defence(("workbench/model/options.py", "len(text) >= SHORTEST and", "len(text) > 0 and"))
@pytest.mark.parametrize("source", ["WORKBENCH_CONTROL_TOKEN", "VIDEOSDK_AUTH_TOKEN", "file"])
def test_fault_M7_a_token_too_short_to_be_hidden_is_refused(start_worker: Any, tmp_path: Path, source: str) -> None:
    (tmp_path / "token").write_text("abcde\n")
    from_file = ["--control-token-file", str(tmp_path / "token")] if source == "file" else []
    worker = start_worker(AGENT, *from_file, **({} if from_file else {source: "abcde"}))
    assert worker.ended() == 2
    assert "a token without blanks or line breaks, at least 6 characters long" in worker.output()
    assert "abcde" not in worker.output()


@defence(("workbench/model/mask.py", "([len(line)] if unfinished else [])", "[len(line)]"))
async def test_fault_M7_a_secret_that_begins_with_a_name_hides_no_such_name(start_worker: Any) -> None:
    worker = start_worker("ledger.py", WORKBENCH_CONTROL_TOKEN="ledger-2026-secret")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("ledger", {"do": "return"})
        ended = await until_ended(client, job["id"])
        state = await until(client, lambda state: state)
    assert ended["room_id"] == "ledger"
    assert state.worker.agent_id == "ledger"
    assert worker.output().count(HIDDEN) == 1  # that the option is set


def masked(*secrets: str) -> Mask:
    mask = Mask()
    mask.learn(secrets)
    return mask


SECRET = "eyJhbGciOiJIUzI1NiJ9.canary"


@defence(("workbench/model/mask.py", "self._beginning(line, before, end)", "None"))
@pytest.mark.parametrize("limit", [15, 20, 27, 64, 70])
def test_fault_M7_what_begins_where_a_text_was_cut_is_hidden_whatever_follows(limit: int) -> None:
    for made in (cut, clean_text):
        text = made(f"the {SECRET} {'x' * 50}", limit)
        told = masked(SECRET).text(f"{text} (bot.py:3 in entrypoint)")
        assert not any(SECRET[:n] in told for n in range(6, len(SECRET))), told
        assert told.endswith(" (bot.py:3 in entrypoint)")


@defence(("workbench/model/mask.py", 'value.get("partial") is True and not foreign', "False"))
def test_fault_M7_a_message_that_is_being_written_does_not_tell_a_secret_bit_by_bit() -> None:
    mask = masked(SECRET)
    for length in range(6, len(SECRET)):
        message = {"type": "message", "message": {"text": f"it is {SECRET[:length]}", "partial": True, "data": None}}
        assert json.loads(mask.json(json.dumps(message)))["message"]["text"] == f"it is {HIDDEN}"
    whole = {"type": "message", "message": {"text": f"it is {SECRET[:8]}", "partial": False, "data": None}}
    assert json.loads(mask.json(json.dumps(whole))) == whole


@defence(
    (
        "workbench/agent/problem.py",
        "            break\n        lines.appendleft(short)",
        "            pass\n        lines.appendleft(short)",
    )
)
@defence(
    (
        "workbench/agent/problem.py",
        '_last_lines("".join(traceback.format_exception(error)))',
        '"".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]',
    )
)
@pytest.mark.parametrize("more", range(0, 40, 4))
def test_fault_M7_the_end_of_a_traceback_does_not_begin_within_a_secret(more: int) -> None:
    error = ValueError(f"first\n{SECRET}\n" + ("x" * 99 + "\n") * 79 + "x" * (80 + more))
    told = masked(SECRET).text(problem_of(error, "/").traceback)
    assert len(told) <= 8000
    assert not any(SECRET[-n:] in told for n in range(6, len(SECRET)))


@defence(
    (
        "workbench/model/mask.py",
        "max(start, end - len(self._forms[0])), end)",
        "0, len(line))",
    )
)
@pytest.mark.parametrize("end", ["", " \u2026 +1000 bytes"])
def test_fault_M7_a_line_full_of_other_tokens_costs_no_more_than_any_line(end: str) -> None:
    """Their beginnings are the same as that of ours: `{"alg":"HS256"}`."""
    ours, calls = "eyJhbGciOiJIUzI1NiJ9." + "o" * 1000, 0
    line = (b"eyJhbGciOiJIUzI1NiJ9.foreign " * 2500)[: 64 * 1024] + end.encode()
    mask = masked(ours)

    def count(frame: Any, event: str, function: Any) -> None:
        nonlocal calls
        calls += event == "c_call"

    sys.setprofile(count)
    try:
        lines = mask.lines([line])
    finally:
        sys.setprofile(None)
    assert lines == [line]
    assert calls < 200


@defence(("workbench/process/runner.py", "cut(repr(error.code), 200)", "repr(error.code)[:200]"))
@defence(("workbench/agent/problem.py", "text = cut(text, LONGEST_ERROR)", "text = text[:LONGEST_ERROR]"))
@defence(("workbench/process/records.py", "cut(name, 200)", "name[:200]"))
@defence(("workbench/process/records.py", "cut(text, room)", "text[:room]"))
@defence(("workbench/supervisor/rooms.py", "cut(said.text, LONGEST_TEXT)", "said.text[:LONGEST_TEXT]"))
@pytest.mark.parametrize(
    "code",
    [
        "sys.exit({secret})",
        "raise ValueError('x' * 7900 + {secret})",
        "import logging\nlogging.getLogger('x' * 100 + {secret}).warning('a name')",
        "log.warning('x' * (32 * 1024 - 100) + {secret})",
        "async def main(): await ctx.room.send('x' * (256 * 1024 - 100) + {secret})",
    ],
    ids=["exit", "error", "name", "record", "message"],
)
async def test_fault_M7_a_secret_that_a_limit_goes_through_is_not_told(start_worker: Any, code: str) -> None:
    secret = "canary-" + "".join(map(str, range(1000)))
    worker = start_worker(AGENT, WORKBENCH_CONTROL_TOKEN=secret)
    async with worker.client() as client:
        await until_ready(client)
        call = {"call": "main"} if "main" in code else {}
        job = await run(client, "exec", code=code.format(secret=repr(secret).replace("canary", "can' 'ary")), **call)
        answers = json.dumps(job) + await every_answer(client, job)
        answers += json.dumps(await client.request("GET", f"/rooms/{job['room_id']}/messages"))
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    for text in (answers, worker.output()):
        assert "canary" not in text
        assert HIDDEN in text
