"""What a worker and a registry say to each other: JSON texts over a WebSocket, as VideoSDK's workers speak them.

Strict in what is sent: exactly the fields below, none that is None (the SDK's worker drops its connection at one
unknown field in an offer or a termination). Tolerant in what is read: unknown fields are passed over.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_BYTES = 1024 * 1024  # of one message
OURS = "workbench"  # the capability by which a worker of this kind is known: it keeps its word (see `registry`)
CAPABILITIES = ("room", "voice", "stt", "tts", OURS)
REJECTED = "rejected: "  # how the error of a job begins that was assigned, but never started
REPLACED = 4009  # WebSocket close code: another worker registered under this id
RESTARTING, TOO_BUSY = 1012, 1013  # WebSocket close codes: come back
AGENT_PATH = "/agent"
INIT_CONFIG_PATH = "/v2/agent/init-config"

M_ = TypeVar("M_", bound="Message")


class Malformed(ValueError):
    """A message that cannot be understood; the text says what is wrong, without quoting it."""


class Message(BaseModel):
    """One message. `kind` is its `type` on the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
    kind: ClassVar[str] = ""

    def text(self) -> str:
        """As it is sent."""
        return json.dumps({"type": self.kind, **self.model_dump(exclude_none=True)})


# --- from the worker ----------------------------------------------------------------------------


class Register(Message):
    """The first message. `worker_id` is empty, or the one the registry gave before."""

    kind = "register"
    worker_id: str = ""
    agent_name: str = Field(min_length=1)
    capabilities: list[str] | None = None
    registry_uuid: str | None = "default"
    token: str | None = None
    load_threshold: float | None = None
    max_processes: int | None = None


class StatusUpdate(Message):
    """How the worker fares: `status` is `available`, `draining` or `offline`, `load` a share.

    A worker of this kind reports all its jobs after it registered, before its first status.
    """

    kind = "status_update"
    worker_id: str | None = None
    agent_name: str | None = None
    status: str | None = None
    load: float | None = None
    job_count: int | None = None


class AvailabilityResponse(Message):
    """The answer to an offer."""

    kind = "availability_response"
    job_id: str = Field(min_length=1)
    available: bool
    error: str | None = None
    token: str | None = None


class JobUpdate(Message):
    """`status` is `pending`, `running`, `completed`, `failed` or `cancelled`."""

    kind = "job_update"
    job_id: str = Field(min_length=1)
    status: str
    error: str | None = None


# --- from the registry --------------------------------------------------------------------------


class Registered(Message):
    """The answer to `register`, and the first message of the registry."""

    kind = "register"
    success: bool
    worker_id: str | None = None
    message: str | None = None


class AvailabilityRequest(Message):
    """An offer: would the worker take this job?"""

    kind = "availability_request"
    job_id: str = Field(min_length=1)
    room_id: str = ""
    agent_name: str = ""


class JobAssignment(Message):
    """The job is the worker's. `token` and `url` are for the room; `wait`: it runs once its meeting was joined."""

    kind = "job_assignment"
    job_id: str = Field(min_length=1)
    room_id: str = ""
    agent_name: str = ""
    token: str | None = ""
    url: str | None = ""
    room_options: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    wait: bool | None = False


class JobTermination(Message):
    """The job is to end. Workers of the SDK do not obey."""

    kind = "job_termination"
    job_id: str = Field(min_length=1)
    reason: str | None = None


FROM_WORKER = {cls.kind: cls for cls in (Register, StatusUpdate, AvailabilityResponse, JobUpdate)}
FROM_REGISTRY = {cls.kind: cls for cls in (Registered, AvailabilityRequest, JobAssignment, JobTermination)}


def read(raw: str | bytes, known: Mapping[str, type[M_]]) -> M_ | None:
    """The message that a frame holds; None for a type that is not `known`.

    Raises:
        Malformed: no message, or one without what it needs.
    """
    if len(raw) > MOST_BYTES:
        raise Malformed(f"a message of {len(raw)} bytes; at most {MOST_BYTES}")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    kind = data.get("type") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        raise Malformed("no JSON object with a type")
    cls = known.get(kind)
    if cls is None:
        return None
    try:
        return cls.model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise Malformed(f"{kind}: {_wrong(error)}") from None


def _wrong(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "nested too deeply"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
