"""Rows D1 to D4: how a channel ends, and frames that make no sense."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.defences import defence
from tests.faults.test_channel import assert_killed
from tests.workers import begin, log_lines, run, until_ended, until_ready
from workbench.process import speech, wire

AGENT = "talker.py"
CHANNEL = 3
pytestmark = pytest.mark.timeout(120)

# --- D1: its end ------------------------------------------------------------------------------------


@defence(
    (
        "workbench/supervisor/hearing.py",
        'asyncio.get_running_loop().call_later(SILENT_S, self._cut_off, child, "it closed its channel")',
        "return",
    )
)
@pytest.mark.parametrize("sent", [[], [0, 0, 0], [0, 0, 0, 100, *b'{"t": "ov'], [0, 0, 0, 9]])
async def test_fault_D1_half_a_frame_and_then_the_end_fails_the_job(start_worker: Any, sent: list[int]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        writes = [{"fd": CHANNEL, "bytes": sent}]
        await assert_killed(client, await run(client, "write", writes=writes, close=[CHANNEL]), "closed its channel")


@defence(
    (
        "workbench/supervisor/hearing.py",
        'asyncio.get_running_loop().call_later(SILENT_S, self._cut_off, child, "it closed its channel")',
        "return",
    )
)
@pytest.mark.parametrize("fds", [[3, 4, 5, 6], [1, 2, 3, 5]])
async def test_fault_D1_a_job_that_closes_its_channel_is_killed_and_named(start_worker: Any, fds: list[int]) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        await assert_killed(client, await run(client, "write", writes=[], close=fds), "closed its channel")


async def test_fault_D1_a_job_may_close_its_output(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "write", "written", writes=[], close=[0, 1, 2, 5])
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"


# --- D2, D3, D4: frames -----------------------------------------------------------------------------


@defence(("workbench/process/wire.py", "if length > MAX_FRAME:", "if length < 0:"))
@pytest.mark.parametrize("length", [2**32 - 1, wire.MAX_FRAME + 1])
async def test_fault_D2_a_frame_of_unheard_size_is_refused_before_it_is_kept(start_worker: Any, length: int) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await run(client, "write", writes=[{"fd": CHANNEL, "bytes": [*length.to_bytes(4, "big"), 1]}])
        await assert_killed(client, job, f"a frame of {length} bytes was announced; at most {wire.MAX_FRAME}")


@defence(
    ("workbench/process/speech.py", 'if message["version"] != VERSION:', 'if message["version"] == 0:'),
    ("workbench/process/child.py", 'self._spoilt(f"it does not speak our protocol: {error}")', "pass"),
)
@pytest.mark.parametrize(
    "frame",
    [
        '{"t": "started", "job": "x", "attempt": Infinity, "at": 1}',
        '{"t": "ready", "ms": NaN}',
        '{"t": "over", "job": 1, "attempt": 1, "reason": "won", "seen": 1}',
        '{"t": "over", "job": 1, "attempt": 1, "reason": "exited", "exit_code": 1e30, "seen": 1}',
        '{"t": "init_failed", "problem": {"nonsense": 1}}',
        '{"t": "report", "job": "x", "fields": [1]}',
        json.dumps({"t": "report", "job": "x", "fields": {"n": "x" * 5000}}),
        '{"t": "hello", "version": 99}',
        "not JSON",
        "[" * 5000,
    ],
)
async def test_fault_D3_a_frame_that_makes_no_sense_ends_its_process_alone(start_worker: Any, frame: str) -> None:
    worker = start_worker(AGENT, "--max-processes", "3")
    async with worker.client() as client:
        await until_ready(client)
        other = await begin(client, worker, "echo")
        await assert_killed(client, await run(client, "frames", frames=[frame]), "does not speak our protocol")
        await client.end_job(other["job"])
        assert (await until_ended(client, other["job"]))["reason"] == "cancelled"


@defence(
    (
        "workbench/agent/problem.py",
        "if type(getattr(made, name)) is not type(default):",
        "if name == default:",
    )
)
async def test_fault_D3_a_problem_of_wrong_kinds_does_not_end_the_worker(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        wrong = {"t": "init_failed", "problem": {"kind": ["x"], "message": {}, "file": 3, "source": []}}
        job = await run(client, "frames", frames=[wrong])
        assert worker.process.poll() is None
        await assert_killed(client, job, "does not speak our protocol")


@defence(("workbench/supervisor/hearing.py", "if child.unknown.bit_count() == 1:", "if child.unknown:"))
async def test_fault_D3_unknown_messages_are_counted_and_fill_no_log(start_worker: Any) -> None:
    worker = start_worker(AGENT)
    async with worker.client() as client:
        await until_ready(client)
        job = await begin(client, worker, "frames", "written", frames=[{"t": "from tomorrow"}] * 1024)
        await client.end_job(job["job"])
        assert (await until_ended(client, job["job"]))["reason"] == "cancelled"
        told = [line.text for line in await log_lines(client) if "unknown message 'from tomorrow'" in line.text]
    assert len(told) == 11
    assert told[-1].endswith("; 1024 of such so far")


@defence(
    ("workbench/process/wire.py", "except (ValueError, RecursionError) as error:", "except ValueError as error:"),
)
@given(st.lists(st.binary(max_size=300), max_size=8))
@example([b"\0\1\0\0" + b"[" * 65536])
@example([b"\0\0\0\2{}", b"\0\0\0\7", b'{"t":1}'])
@example([b"\xff\xff\xff\xff"])
def test_fault_D4_whatever_bytes_come_the_parser_raises_its_own_error_only(pieces: list[bytes]) -> None:
    decoder, given_bytes = wire.Decoder(), sum(map(len, pieces))
    try:
        for piece in pieces:
            assert all(isinstance(message["t"], str) for message in decoder.feed(piece))
    except wire.WireError:
        return
    assert decoder.pending <= given_bytes


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = ["hello", "ready", "init_failed", "started", "over", "free", "report", "say", "pong", "tomorrow"]
FIELDS = ["job", "id", "attempt", "at", "ms", "reason", "error", "exit_code", "seen", "fields", "text", "partial",
          "problem", "version", "data"]  # fmt: skip


@defence(
    ("workbench/process/speech.py", "OverflowError, AttributeError, RecursionError", "AttributeError, RecursionError")
)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON))
@example("started", {"job": "a", "attempt": float("inf"), "at": 1})
@example("init_failed", {"problem": {"kind": 1, "message": [], "source": []}})
def test_fault_D4_whatever_a_frame_says_it_is_understood_or_refused(kind: str, fields: dict[str, Any]) -> None:
    try:
        said = speech.understand({**fields, "t": kind})
    except wire.WireError as error:
        assert "a bad" in str(error)
        return
    if isinstance(said, speech.InitFailed):
        assert isinstance(said.problem.headline(), str)


@defence(("workbench/process/speech.py", "AttributeError, RecursionError) as", "AttributeError) as"))
@pytest.mark.parametrize("kind", ["started", "report"])
def test_fault_D4_a_frame_that_nests_deep_is_understood_or_refused(kind: str) -> None:
    for depth in range(860, 1000):  # reading and writing it have limits of their own, near each other
        deep = "[" * depth + "]" * depth
        body = f'{{"t": "{kind}", "at": 1, "attempt": 1, "job": {deep}, "fields": {{"deep": {deep}}}}}'.encode()
        try:
            for message in wire.Decoder().feed(len(body).to_bytes(4, "big") + body):
                speech.understand(message)
        except wire.WireError:
            continue


@defence(("workbench/process/wire.py", "del self._buffer[:end]", "self._buffer.clear()"))
@pytest.mark.parametrize("size", [1, 3, 7, 4096])
def test_fault_D4_frames_survive_any_cut(size: int) -> None:
    frames = [{"t": "report", "job": "a", "fields": {"n": n}} for n in range(5)]
    data = b"".join(map(wire.encode, frames))
    decoder, found = wire.Decoder(), []
    for start in range(0, len(data), size):
        found += decoder.feed(data[start : start + size])
    assert found == frames
    assert decoder.pending == 0


@defence(("workbench/process/speech.py", "if not math.isfinite(number):", "if False:"))
@pytest.mark.parametrize(
    "message",
    [
        {"t": "ready", "ms": "soon"},
        {"t": "ready", "ms": float("inf")},
        {"t": "started", "job": "a", "attempt": float("inf"), "at": 1},
        {"t": "over", "job": "a", "attempt": 1, "reason": "completed", "seen": True},
        {"t": "over", "job": "a", "attempt": 1, "reason": "exited", "exit_code": "x", "seen": True},
        {"t": "say", "job": "a", "id": 1, "text": "", "at": float("nan"), "partial": 0},
        {"t": "report", "job": "a", "fields": 3},
        {"t": "init_failed", "problem": {"kind": 1}},
        {"t": "init_failed", "problem": []},
        {"t": "hello"},
    ],
)
def test_fault_D4_a_frame_without_sense_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(wire.WireError, match="a bad"):
        speech.understand(message)
