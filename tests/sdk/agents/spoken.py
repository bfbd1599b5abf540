"""An agent of the SDK that says back what it hears. `do` in the metadata says how it lives and ends."""

import asyncio
import json
import os
import sys
import time
from typing import Any

from fakes import Llm, Stt, Tts, Vad
from videosdk.agents import Agent, AgentSession, JobContext, Options, Pipeline, RoomOptions, WorkerJob
from videosdk.agents.job import get_current_job_context

WORD = "first"


def note(ctx: JobContext, what: str, **more: Any) -> None:
    line = json.dumps({"job": ctx.metadata["id"], "what": what, "pid": os.getpid(), "at": time.monotonic(), **more})
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(line + "\n")


class Echo(Agent):  # type: ignore[misc]
    def __init__(self, ctx: JobContext) -> None:
        super().__init__(instructions="")
        self.ctx = ctx

    async def on_enter(self) -> None:
        note(self.ctx, "entered")

    async def on_exit(self) -> None:
        note(self.ctx, "exited")


def session_of(ctx: JobContext) -> AgentSession:
    return AgentSession(agent=Echo(ctx), pipeline=Pipeline(stt=Stt(), llm=Llm(), tts=Tts(), vad=Vad()))


async def talks(ctx: JobContext) -> None:
    await ctx.run_until_shutdown(session=session_of(ctx), wait_for_participant=True)


async def starts(ctx: JobContext) -> None:
    """The session is told to look after everything: this hides why a room was not joined."""
    await session_of(ctx).start(wait_for_participant=True, run_until_shutdown=True)


async def waits(ctx: JobContext) -> None:
    """Waits for nothing that a shutdown would bring."""
    try:
        await ctx.connect()
        note(ctx, "waiting")
        await asyncio.Event().wait()
    finally:
        note(ctx, "finally")


async def shrugs(ctx: JobContext) -> None:
    """Takes no notice of a failure to connect."""
    try:
        await ctx.connect()
    except Exception as error:
        note(ctx, "shrugged", error=str(error))


async def raises(ctx: JobContext) -> None:
    await ctx.connect()
    raise ValueError("boom")


async def leaves(ctx: JobContext) -> None:
    sys.exit(3)


async def deaf(ctx: JobContext) -> None:
    """Has a pipeline that takes no text."""
    session = session_of(ctx)
    session.pipeline.process_text = None
    await ctx.run_until_shutdown(session=session)


async def entrypoint(ctx: JobContext) -> None:
    async def told() -> None:
        note(ctx, "callback")

    ctx.add_shutdown_callback(told)
    room = ctx.room_options
    note(ctx, "start", word=WORD, token=room.auth_token, left=os.environ.get("VIDEOSDK_AUTH_TOKEN"),
         transport=str(room.transport_mode), name=room.name, room=room.room_id, vision=room.vision, ready=ctx is READY,
         in_loop=ctx._loop is asyncio.get_running_loop(), current=get_current_job_context() is ctx)  # fmt: skip
    await globals()[ctx.metadata.get("do", "talks")](ctx)
    note(ctx, "end")


room = RoomOptions(name="Spoken", transport_mode=os.environ.get("TRANSPORT", "websocket"), room_id="of-the-file")
READY = JobContext(room_options=room, metadata={"of": "the file"})
options = Options(
    max_processes=4, load_threshold=0.9, register=True, executor_type="thread", signaling_base_url="127.0.0.1:9"
)
WorkerJob(entrypoint=entrypoint, jobctx=lambda: READY, options=options).start()
