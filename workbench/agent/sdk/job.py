"""One job of an SDK's agent, run the way the SDK's own worker would run it.

Its context is made inside the job's loop: it keeps the loop it finds, and one that was made while the file was
loaded belongs to another. A ready context of the file's is therefore only the pattern for each job's own.
"""

import asyncio
import os
from typing import Any

from workbench.agent.context import JobContext
from workbench.agent.sdk import loopback
from workbench.agent.sdk.joining import Joining
from workbench.agent.sdk.names import look_up
from workbench.agent.sdk.room import room_options, transport_of
from workbench.agent.sdk.talk import Talk

GRACE_S = 0.5  # after the SDK's shutdown: an entrypoint that waits for its participant does not notice that
TOKEN = "VIDEOSDK_AUTH_TOKEN"  # the SDK writes a room's token there, for its own parts to read

_JOB = "videosdk.agents.job"


class SdkJob:
    """Runs the entrypoint of the SDK's `WorkerJob` in our context's place."""

    def __init__(self, original: Any, ours: JobContext) -> None:
        self._original, self._ours = original, ours
        self._token_before = os.environ.get(TOKEN)
        self._left: SystemExit | KeyboardInterrupt | None = None
        self._polite: asyncio.Future[Any] | None = None
        self._talking: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """To the end of the entrypoint.

        Raises:
            RoomNotJoined: it never came into its room, whatever the entrypoint made of that.
            Exception: whatever the entrypoint raises.
        """
        self._enter()
        self._ours.add_shutdown_callback(self._close)
        self._work = work = asyncio.ensure_future(self._entrypoint())
        asked = asyncio.ensure_future(self._ours.run_until_shutdown())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._end()
        finally:
            asked.cancel()
            work.cancel()  # the supervisor's patience is over: `_close` waits for it
        self._tell()

    # --- before -----------------------------------------------------------------------------------

    def _enter(self) -> None:
        given = self._original.jobctx
        template = given() if callable(given) else given
        room = room_options(getattr(template, "room_options", None), self._original.options, self._ours.assigned)
        metadata = {**(getattr(template, "metadata", None) or {}), **self._ours.metadata}
        self.context = look_up(_JOB, "JobContext")(room_options=room, metadata=metadata)
        self.context._wait_for_meeting_join = self._ours.assigned.wait
        self._current = look_up(_JOB, "_set_current_job_context")(self.context)
        enter_scope = look_up(_JOB, "_enter_session_scope")  # from 1.0.24 on
        self._scope = enter_scope() if enter_scope else None
        self._joining = Joining(self.context, self._joined)
        self._talk = Talk(self._ours, self.context, self._elsewhere)
        self._talking = asyncio.ensure_future(self._talk.run())

    def _joined(self) -> None:
        self._talk.room_is_open()
        port = loopback.port_of(self.context.room)
        if port is not None:
            self._ours.report(url=f"ws://{loopback.HOST}:{port}", ws_port=port)
        else:
            self._ours.report(joined=str(self.context.room_options.room_id or ""))

    def _elsewhere(self) -> str:
        port = loopback.port_of(self.context.room)
        if port is not None:
            return f"Connect a WebSocket client to ws://{loopback.HOST}:{port} and send it audio."
        return f"Talk to it in its room, by its transport ({transport_of(self.context.room_options)})."

    async def _entrypoint(self) -> None:
        try:
            await self._original.entrypoint(self.context)
        except (SystemExit, KeyboardInterrupt) as left:  # out of a task, it would end the loop and not only the job
            self._left = left

    # --- after ------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """The job was asked to end: politely first, because only that runs the SDK's callbacks."""
        await asyncio.wait({self._shut_down()})
        await asyncio.wait({self._work}, timeout=GRACE_S)
        self._work.cancel()
        await asyncio.wait({self._work})

    def _shut_down(self) -> "asyncio.Future[Any]":
        """The SDK's shutdown: begun once, because a second call returns at once while the first still runs."""
        if self._polite is None:
            self._polite = asyncio.ensure_future(self.context.shutdown())
        return self._polite

    def _tell(self) -> None:
        if self._joining.error is not None:
            raise self._joining.error
        if self._left is not None:
            raise self._left
        self._work.result()

    async def _close(self) -> None:
        """However it ended: the SDK's own clean-up, within what is left of `close_timeout`."""
        assert self._talking is not None
        try:
            await asyncio.wait({self._work, self._shut_down()})
        finally:
            self._talking.cancel()
            self._talk.close()
            if self._scope is not None:
                look_up(_JOB, "_exit_session_scope")(self._scope)
            look_up(_JOB, "_reset_current_job_context")(self._current)
            self._restore_token()

    def _restore_token(self) -> None:
        """The next job in this process must not find this one's."""
        os.environ.pop(TOKEN, None)
        if self._token_before is not None:
            os.environ[TOKEN] = self._token_before
