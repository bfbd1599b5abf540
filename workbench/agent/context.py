"""What an entrypoint is given: its job, its room, its process."""

import asyncio
import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workbench.agent.assigned import NOTHING, Assigned
from workbench.agent.own_log import OwnLog
from workbench.agent.room import Room
from workbench.model.errors import UsageError, nearest
from workbench.model.jsontext import MAX_REPORT_BYTES, dump, plain

log = OwnLog("workbench.job")

# Fields of the VideoSDK SDK's RoomOptions that have no meaning in the built-in room: taken and kept.
ROOM_SDK_ONLY = frozenset(
    "agent_participant_id playground vision recording recording_options avatar join_meeting on_room_error"
    " auto_end_session session_timeout_seconds no_participant_timeout_seconds owns_session_metrics"
    " stop_recording_on_leave record_all_participants signaling_base_url audio_codec background_audio"
    " send_logs_to_dashboard dashboard_log_level traces metrics logs observability transport_mode websocket"
    " webrtc".split()
)


class RoomOptions:
    """How the job's room is called. Fields that only the VideoSDK SDK knows are kept in `sdk_only`.

    Raises:
        UsageError: an unknown field.
    """

    def __init__(
        self,
        *,
        room_id: str | None = None,
        name: str = "Agent",
        auth_token: str | None = None,
        **sdk_only: Any,
    ) -> None:
        for unknown in sdk_only.keys() - ROOM_SDK_ONLY:
            known = [*ROOM_SDK_ONLY, "room_id", "name", "auth_token"]
            raise UsageError(f"RoomOptions has no field {unknown!r}{nearest(unknown, known)}")
        self.room_id = room_id
        self.name = name
        self.auth_token = auth_token
        self.sdk_only = sdk_only

    def with_assigned(self, assigned: Assigned) -> "RoomOptions":
        """A copy with what whoever gave the job has said laid over it; fields that are none are left out."""
        mine = copy.copy(self)
        mine.room_id = assigned.room_id or self.room_id
        mine.auth_token = assigned.token or self.auth_token
        mine.name = str(assigned.room_options.get("name", self.name))
        said = {name: value for name, value in assigned.room_options.items() if name in ROOM_SDK_ONLY}
        mine.sdk_only = {**self.sdk_only, **said}
        return mine

    def __repr__(self) -> str:
        return f"RoomOptions(room_id={self.room_id!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True)
class JobInfo:
    """The job a context belongs to. `attempt` counts starts of the entrypoint, from 1."""

    id: str
    room_id: str
    attempt: int


@dataclass(slots=True)
class ProcessInfo:
    """The process a job runs in. `prewarm(process)` may fill `userdata` for every job to come."""

    pid: int
    generation: int
    userdata: dict[str, Any] = field(default_factory=dict)


ShutdownCallback = Callable[[], Any]


class JobContext:
    """One job's handle on the world.

    In the agent file it is made with `room_options` only (by `jobctx=`); each job gets its own copy, bound
    to its room. The fields below `room_options` and `metadata` exist inside a job.
    """

    job: JobInfo
    process: ProcessInfo
    assigned = NOTHING  # what whoever gave the job has said of its room

    def __init__(
        self,
        *,
        room_options: RoomOptions | None = None,
        metadata: dict[str, Any] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.room_options = room_options or RoomOptions()
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.sdk_only: list[str] = sorted(self.room_options.sdk_only) + (["loop"] if loop is not None else [])
        self._room: Room | None = None
        self._callbacks: list[ShutdownCallback] = []
        self._shutdown = asyncio.Event()
        self._reason = ""

    @property
    def room(self) -> Room:
        """The job's room.

        Raises:
            RuntimeError: outside a job.
        """
        if self._room is None:
            raise RuntimeError("ctx.room exists only inside a job; this context was not started by a worker")
        return self._room

    async def connect(self) -> None:
        """Enter the room. The built-in room is local: this returns at once."""
        if self.assigned.wait:  # whoever gave the job waits for this
            self.report(joined=self.room.id)

    async def shutdown(self, reason: str = "") -> None:
        """End the job's room: its iteration ends and `run_until_shutdown()` returns."""
        self.request_shutdown(reason)

    def add_shutdown_callback(self, callback: ShutdownCallback) -> None:
        """Call (and await) `callback()` when the entrypoint is over, however it ended. Later ones run first."""
        self._callbacks.append(callback)

    async def wait_for_participant(self, participant_id: str | None = None) -> str:
        """The first participant's name: whoever joins, or says something, first."""
        return await self.room.wait_for_participant()

    async def run_until_shutdown(self, session: Any = None, wait_for_participant: bool = False) -> None:
        """Return when the job is asked to end, or after `shutdown()`."""
        if wait_for_participant:
            await self.wait_for_participant()
        await self._shutdown.wait()

    def report(self, **fields: Any) -> None:
        """Show small progress values with the job (`turns=4`), JSON values of up to 4 KB together."""
        try:
            shown = plain(fields)
        except (ValueError, TypeError) as error:
            log.warning("report() not shown: %s", error)
            return
        size = len(dump(shown))
        if size > MAX_REPORT_BYTES:
            log.warning("report() of %d bytes not shown: at most %d", size, MAX_REPORT_BYTES)
            return
        self.room._link.post({"t": "report", "fields": shown})

    # --- called by the process that runs the job -------------------------------------------------

    @property
    def shutdown_requested(self) -> bool:
        """The room has ended, by the job itself or by request."""
        return self._shutdown.is_set()

    def request_shutdown(self, reason: str) -> None:
        """Rung 0 of the stop ladder."""
        self._reason = self._reason or reason
        self._shutdown.set()
        if self._room is not None:
            self._room.end()

    def bound(
        self,
        job: JobInfo,
        metadata: dict[str, Any],
        process: ProcessInfo,
        room: Room,
        assigned: Assigned = NOTHING,
    ) -> "JobContext":
        """A copy of this context that belongs to one job."""
        mine = copy.copy(self)
        mine.assigned, mine.room_options = assigned, self.room_options.with_assigned(assigned)
        mine.metadata = {**_own(self.metadata), **metadata}
        mine.job, mine.process, mine._room = job, process, room
        mine._callbacks, mine._shutdown = list(self._callbacks), asyncio.Event()
        return mine

    async def run_callbacks(self, limit_s: float | None = None) -> None:
        """Await every shutdown callback; one that fails is logged and does not stop the others.

        All of them together may take `limit_s` seconds; then each that still waits for something is cancelled.
        """
        deadline = None if limit_s is None else asyncio.get_running_loop().time() + limit_s
        for callback in reversed(self._callbacks):
            try:
                done = callback()
                if inspect.isawaitable(done):
                    async with asyncio.timeout_at(deadline):
                        await done
            except TimeoutError:
                log.exception("a shutdown callback failed, or was not done within close_timeout")
            except (Exception, asyncio.CancelledError, SystemExit):
                log.exception("a shutdown callback failed")


def _own(value: Any) -> Any:
    """A copy of the dicts and lists in a value: what one job writes into them is not the next one's."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value
