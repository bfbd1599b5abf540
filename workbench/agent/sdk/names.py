"""The names of the VideoSDK SDK that running its agents depends on, and what is said when one has gone.

Some are private, so any release may rename them. They are looked up when an agent is taken over: what is missing is
told in one sentence with the SDK's version, not by a traceback in the middle of a job.
"""

import importlib
from typing import Any

from workbench.model.errors import AgentError

TESTED = "1.0.0 to 1.0.30"
NEEDED = {
    "videosdk.agents.job": (
        "WorkerJob.start",
        "JobContext.connect",
        "JobContext.shutdown",
        "JobContext.notify_meeting_joined",
        "JobContext._set_pipeline_internal",
        "RoomOptions.transport_mode",
        "_set_current_job_context",
        "_reset_current_job_context",
    ),
    "videosdk.agents.event_bus": ("global_event_emitter",),
    "videosdk.agents.transports.websocket_handler": (
        "WebSocketTransportHandler.connect",
        "WebSocketTransportHandler.disconnect",
        "WebSocketTransportHandler._handle_connection",
    ),
}


def look_up(module: str, path: str) -> Any:
    """What a module has under a dotted path; None where it has no such thing, or is no module at all."""
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        return None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def version() -> str:
    """The installed SDK's version, as it says itself."""
    return str(look_up("videosdk.agents.version", "__version__") or "of unknown version")


def check() -> None:
    """See that all that is needed is there.

    Raises:
        AgentError: something is missing.
    """
    for module, paths in NEEDED.items():
        missing = [f"{module}.{path}" for path in paths if look_up(module, path) is None]
        if missing:
            raise AgentError(
                f"videosdk-agents {version()} has no {missing[0]}, which its agents cannot be run without; "
                f"install a version that was tested ({TESTED})"
            )
