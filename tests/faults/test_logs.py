"""Rows M2 to M4, M8: forgeries, bytes, endless lines and handlers that raise in everything that is logged."""

import json
import logging
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.defences import defence
from tests.workers import log_lines, of_worker, run, until, until_ended, until_ready
from workbench.cli.library_logs import LibraryLogs
from workbench.process.pipes import LONGEST_LINE, LinePipe
from workbench.supervisor.logs import LogStore, Source

AGENT = "talker.py"
pytestmark = pytest.mark.timeout(120)


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


# --- M8: the agent's own handlers -------------------------------------------------------------------

AGENT_THAT_LOGS = """
import logging
from pathlib import Path

class Raises(logging.Handler):
    def emit(self, record):
        raise RuntimeError("a bad handler")

async def entrypoint(ctx):
    log = logging.getLogger("agent")
    log.warning("said here")
    if not ctx.metadata.get("bad"):
        return
    logging.getLogger().handlers.insert(0, Raises())
    ctx.add_shutdown_callback(Path(ctx.metadata["closed"]).touch)
    ctx.add_shutdown_callback(lambda: 1 / 0)  # the first that is called
    raise ValueError("what the job died of")
"""


@defence(
    (
        "workbench/agent/own_log.py",
        "        except Exception as error:\n",
        "        except ZeroDivisionError as error:\n",
    )
)
async def test_fault_M8_a_handler_that_raises_keeps_no_closing_step_from_running(
    start_worker: Any, tmp_path: Path
) -> None:
    (tmp_path / "agent.py").write_text(AGENT_THAT_LOGS)
    worker = start_worker(tmp_path / "agent.py")
    async with worker.client() as client:
        await until_ready(client)
        asked = await client.dispatch(None, {"bad": True, "closed": str(tmp_path / "closed")})
        job = await until_ended(client, asked["id"])
        lines = [line.text for line in await log_lines(client)]
    assert (tmp_path / "closed").exists()
    assert job["reason"] == "raised"
    assert "what the job died of" in job["error"]
    assert sum("a logging handler of the agent failed: RuntimeError('a bad handler')" in line for line in lines) == 2


@defence(
    ("workbench/process/records.py", "root.handlers.insert(0, RecordHandler())", "root.addHandler(RecordHandler())")
)
async def test_fault_M8_a_handler_that_raises_from_the_start_hides_no_record(start_worker: Any, tmp_path: Path) -> None:
    source = AGENT_THAT_LOGS.replace("async def", "logging.getLogger().addHandler(Raises())\n\nasync def")
    (tmp_path / "agent.py").write_text(source)
    worker = start_worker(tmp_path / "agent.py")
    async with worker.client() as client:
        await until_ready(client)
        asked = await client.dispatch(None, {})
        assert "a bad handler" in (await until_ended(client, asked["id"]))["error"]
        lines = [line.text for line in await log_lines(client)]
    assert "said here" in lines
    assert any("the entrypoint raised" in line for line in lines)
