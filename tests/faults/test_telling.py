"""What a job tells, badly or too much of it: nested without end, lost on its way and counted."""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import select
from pathlib import Path
from typing import Any

import pytest

from tests.defences import defence
from tests.workers import begin, log_lines, of_worker, run, until_ended, until_ready, until_written
from workbench.model.jsontext import MAX_DEPTH
from workbench.process import records, wire

AGENT = "talker.py"

# --- frames that nest without end -------------------------------------------------------------------

DEEP = """
nest = "[" * DEPTH + "]" * DEPTH
if KIND == "say":
    body = '{"t":"say","job":"%s","id":"1","text":"x","data":%s,"at":1,"partial":false}' % (ctx.job.id, nest)
else:
    body = '{"t":"report","job":"%s","fields":{"a":%s}}' % (ctx.job.id, nest)
os.write(3, len(body).to_bytes(4, "big") + body.encode())

async def main():
    await ctx.run_until_shutdown()
"""


@pytest.mark.parametrize(("kind", "depth"), [("say", 975), ("report", 500), ("report", 66)])
@defence(("workbench/process/wire.py", "if too_deep(message, DEEPEST):", "if False:"))
async def test_fault_D3_a_forged_frame_that_nests_too_deep_ends_its_job_and_nothing_else(
    start_worker: Any, kind: str, depth: int
) -> None:
    worker = start_worker(AGENT)
    code = DEEP.replace("DEPTH", str(depth)).replace("KIND", repr(kind))
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "exec", code=code, call="main")
        assert (await client.request("GET", "/stats"))["worker"]["status"] == "ready"
        assert (await run(client, "return"))["status"] == "completed"
    assert (job["status"], job["reason"], job["report"]) == ("failed", "signalled", {})
    assert job["error"] == "killed: it does not speak our protocol: nested deeper than 66 levels"


@defence(("workbench/process/wire.py", "MAX_DEPTH + 2", "MAX_DEPTH + 1"))
def test_the_deepest_data_that_may_be_said_passes_in_both_directions() -> None:
    data: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        data = [data]
    for frame in ({"t": "say", "data": data}, {"t": "message", "message": {"data": data}}):
        assert wire.Decoder().feed(wire.encode(frame)) == [frame]


# --- records that were lost -------------------------------------------------------------------------


@pytest.fixture
def full_pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The records pipe of a process whose supervisor does not read; its reading end."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 512)
    os.set_blocking(write, True)
    os.set_blocking(read, False)  # where nothing comes a test shall not hang
    monkeypatch.setattr(records, "RECORDS_FD", write)
    yield read
    os.close(read)
    os.close(write)


@defence(("workbench/process/records.py", "self._tell_lost(PATIENCE_S)", "self._tell_lost(0) if False else None"))
def test_the_count_of_lost_records_is_told_although_nothing_more_is_logged(full_pipe: int) -> None:
    handler = records.RecordHandler()
    for number in range(3):
        handler.emit(logging.LogRecord("a", logging.INFO, "", 0, f"record {number}", (), None))
    handler.flush()  # in vain, for now
    while select.select([full_pipe], [], [], 0)[0]:
        os.read(full_pipe, 4096)
    handler.flush()
    handler.flush()
    assert os.read(full_pipe, 4096) == b"[3]\n"


LOGS_MUCH = """
async def main():
    while not os.path.exists(GO):
        await asyncio.sleep(0.01)
    for number in range(3000):
        log.warning("record %d", number)
    note(ctx, "logged")
    while not os.path.exists(END):
        await asyncio.sleep(0.01)
"""


@defence(
    (
        "workbench/process/runner.py",
        "        records.flush_output()\n        records.flush()\n",
        "        records.flush_output()\n",
    ),
    ("workbench/process/runner.py", "    records.flush()\n    records.flush_output()", "    records.flush_output()"),
)
async def test_fault_D6_every_record_is_kept_or_counted_when_the_job_has_ended(
    start_worker: Any, tmp_path: Path
) -> None:
    worker, go, end = start_worker(AGENT), tmp_path / "go", tmp_path / "end"
    code = "from ledger import note\n" + LOGS_MUCH.replace("GO", repr(str(go))).replace("END", repr(str(end)))
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "exec", code=code, call="main")
        of_worker(worker).suspend()
        go.touch()
        await until_written(worker, job["job"], "logged")
        of_worker(worker).resume()
        end.touch()
        assert (await until_ended(client, job["job"]))["status"] == "completed"
        async with asyncio.timeout(60):
            while True:
                texts = [line.text for line in await log_lines(client)]
                kept = sum(text.startswith("record ") for text in texts)
                lost = sum(int(found[1]) for text in texts if (found := re.match(r"(\d+) log records were lost", text)))
                if kept + lost == 3000:
                    break
                await asyncio.sleep(0.05)
    assert lost > 0
