"""Typing to an agent that was made to be spoken to: the job's text room, tied to the SDK's pipeline."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from workbench.agent.context import JobContext
from workbench.agent.own_log import OwnLog
from workbench.agent.sdk.loopback import admit_guest
from workbench.agent.sdk.names import look_up

MOST_WAITING = 20
STARTED_S = 10.0  # from a text to a session that can hear it

log = OwnLog("workbench.job")


class Talk:
    """Hands what is typed in the job's room to the pipeline, and what the agent says to the room.

    The SDK tells of what its agent says to somebody who spoke, but not of its answer to a text: that one is heard
    from the pipeline's orchestrator.

    Args:
        ours: the job's context, whose room it is.
        context: the SDK's.
        elsewhere: how else the agent can be talked to, in words.
    """

    def __init__(self, ours: JobContext, context: Any, elsewhere: Callable[[], str]) -> None:
        self._ours, self._context, self._elsewhere = ours, context, elsewhere
        self._pipeline: Any = None
        self._open, self._started = asyncio.Event(), asyncio.Event()
        # What only one of the two has told so far: an answer to a text is told by both.
        self._only_said: deque[str] = deque(maxlen=MOST_WAITING)
        self._only_answered: deque[str] = deque(maxlen=MOST_WAITING)
        self._sending: set[asyncio.Task[Any]] = set()
        self._bus = look_up("videosdk.agents.event_bus", "global_event_emitter")
        self._bus.on("AGENT_TRANSCRIPT_ADDED", self._agent_said)
        self._set_pipeline = context._set_pipeline_internal
        context._set_pipeline_internal = self._has_pipeline

    async def run(self) -> None:
        """Until the room ends."""
        async for message in self._ours.room:
            try:
                await self._hear(message.text)
            except Exception as error:
                log.exception("the pipeline failed on a typed text")
                await self._refuse(f"its pipeline failed: {type(error).__name__}: {error}")

    def room_is_open(self) -> None:
        """The SDK's room is joined, or its server listens."""
        self._open.set()

    def close(self) -> None:
        """The job is over."""
        self._bus.off("AGENT_TRANSCRIPT_ADDED", self._agent_said)

    # --- to the agent -----------------------------------------------------------------------------

    async def _hear(self, text: str) -> None:
        try:
            async with asyncio.timeout(None if self._started.is_set() else STARTED_S):
                await self._until_started()
        except TimeoutError:
            await self._refuse("it has started no session with a pipeline")
            return
        process_text = getattr(self._pipeline, "process_text", None)
        if process_text is None:
            await self._refuse(f"its {type(self._pipeline).__name__} has no process_text()")
            return
        orchestrator = getattr(self._pipeline, "orchestrator", None)
        if orchestrator is not None:
            orchestrator.on("content_generated", self._agent_answered)
        await process_text(text)

    async def _until_started(self) -> None:
        await self._open.wait()
        if not self._started.is_set():
            admit_guest(self._context.room)
            await self._started.wait()

    async def _refuse(self, why: str) -> None:
        text = f"Not heard: typed text does not reach this agent, {why}. {self._elsewhere()}"
        await self._ours.room.send(text, data={"workbench": "not heard"})

    def _has_pipeline(self, pipeline: Any) -> None:
        """In place of the context's own: the file has made a pipeline."""
        self._set_pipeline(pipeline)
        start = pipeline.start

        async def started(*args: Any, **more: Any) -> Any:
            result = await start(*args, **more)
            self._pipeline = pipeline
            self._started.set()
            return result

        pipeline.start = started

    # --- from the agent ---------------------------------------------------------------------------

    def _agent_answered(self, data: Any) -> None:
        if text := data.get("text"):
            self._say(str(text), self._only_said, self._only_answered)

    def _agent_said(self, data: Any) -> None:
        if data.get("type", "final") == "final" and data.get("text"):
            self._say(str(data["text"]), self._only_answered, self._only_said)

    def _say(self, text: str, other: "deque[str]", own: "deque[str]") -> None:
        if text in other:
            other.remove(text)
            return
        own.append(text)
        task = asyncio.ensure_future(self._ours.room.send(text))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
