"""What a job is given: contexts, prewarmed processes, rooms and reports."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.test_loading import BARE, NOTE, run_once
from tests.workers import until_ended, until_ready
from workbench import JobContext, RoomOptions
from workbench.agent.context import JobInfo, ProcessInfo
from workbench.agent.room import Room
from workbench.model.errors import UsageError


class Silent:
    """A link that keeps what is posted."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def post(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)

    async def drained(self) -> None:
        return


def bound(context: JobContext, **metadata: Any) -> JobContext:
    room = Room("r", context.room_options.name, Silent())
    return context.bound(JobInfo("j", "r", 1), metadata, ProcessInfo(1, 1), room)


def test_a_context_that_is_returned_twice_is_copied() -> None:
    shared = JobContext(room_options=RoomOptions(name="One", playground=True), metadata={"seen": []})
    first, second = bound(shared, a=1), bound(shared, b=2)
    first.metadata["seen"].append("first")
    first.room_options.name = "Changed"
    first.room_options.sdk_only["more"] = 1
    first.add_shutdown_callback(lambda: None)  # type: ignore[arg-type,return-value]
    assert second.metadata == {"seen": [], "b": 2}
    assert (second.room_options.name, shared.room_options.name) == ("One", "One")
    assert second.room_options.sdk_only == {"playground": True}
    assert not second._callbacks


@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_a_process_is_prewarmed_once_before_it_counts_as_idle(
    start_worker: Any, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "warm.py").write_text(
        NOTE + f"{kind} prewarm(process):\n    note('prewarm')\n    process.userdata['pid'] = os.getpid()\n"
        "async def entrypoint(ctx):\n    note(f\"job {ctx.process.userdata['pid'] == os.getpid()}\")\n"
        "WorkerJob(entrypoint, prewarm=prewarm, options=Options(max_jobs_per_process=2, max_processes=1,"
        " load_threshold=float('inf'))).start()\n"
    )
    worker = start_worker(tmp_path / "warm.py")
    async with worker.client() as client:
        for _ in range(2):
            await until_ready(client)
            await until_ended(client, (await client.dispatch())["id"])
    assert [e["what"] for e in worker.entries()][:3] == ["prewarm", "job True", "job True"]


def test_a_prewarm_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "cold.py").write_text(NOTE + BARE + "WorkerJob(entrypoint, prewarm=lambda process: 1 / 0)\n")
    code, output, entries = run_once(tmp_path, "cold.py")
    assert (code, entries) == (3, [])
    assert "prewarm failed: division by zero" in output


async def test_a_shutdown_callback_may_be_a_plain_function_and_the_last_is_first() -> None:
    context, called = bound(JobContext()), []

    async def slow() -> None:
        called.append("slow")

    context.add_shutdown_callback(slow)
    context.add_shutdown_callback(lambda: called.append("plain"))
    context.add_shutdown_callback(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    await context.run_callbacks()
    assert called == ["plain", "slow"]


def test_fields_of_the_sdk_are_kept_and_others_are_errors() -> None:
    options = RoomOptions(name="x", playground=True, vision=False, transport_mode="websocket")
    assert options.sdk_only == {"playground": True, "vision": False, "transport_mode": "websocket"}
    with pytest.raises(UsageError, match="no field 'nmae'; did you mean 'name'"):
        RoomOptions(nmae="x")
    with pytest.raises(TypeError):
        JobContext(rom_options=options)  # type: ignore[call-arg]


async def test_fields_of_the_sdk_are_named_once_in_a_warning(start_worker: Any, tmp_path: Path) -> None:
    agent = tmp_path / "sdk.py"
    agent.write_text(
        "from workbench import JobContext, Options, RoomOptions, WorkerJob\n"
        "async def entrypoint(ctx): pass\n"
        "context = JobContext(room_options=RoomOptions(playground=True))\n"
        "WorkerJob(entrypoint, jobctx=context, options=Options(executor_type='process')).start()\n"
    )
    worker = start_worker(agent, "--log-format", "text")
    async with worker.client() as client:
        await until_ready(client)
        await client.reload()
        await client.dispatch()
    worker.process.send_signal(signal.SIGTERM)
    worker.ended()
    warned = [line for line in worker.output().splitlines() if "not used here" in line]
    assert len(warned) == 1
    assert "executor_type" in warned[0]
    assert "playground" in warned[0]


async def test_a_room_and_a_report_take_only_what_json_can_hold() -> None:
    context = bound(JobContext())
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    link: Silent = context.room._link  # type: ignore[assignment]
    for data in (endless, deep):
        context.report(data=data)
        with pytest.raises(ValueError):
            await context.room.send("x", data=data)
    assert link.frames == []
    for text in (3, None, b"x"):
        with pytest.raises(TypeError):
            await context.room.send(text)  # type: ignore[arg-type]
    context.report(big="x" * 5000)
    assert link.frames == []
    context.report(turns=4, share=float("inf"))
    assert link.frames == [{"t": "report", "fields": {"turns": 4, "share": None}}]
