"""How the room of one job of an SDK's agent is entered: the file's own options, with the assignment laid over them."""

import copy
from typing import Any

from workbench.agent.assigned import Assigned
from workbench.agent.sdk import options as sdk_options
from workbench.agent.sdk.names import look_up

# What an assignment may say, as in the SDK's own worker. That one makes fresh options of these alone, and so loses the
# file's transport; here everything else stays as the file has it.
ASSIGNABLE = frozenset(
    "auto_end_session session_timeout_seconds playground vision join_meeting recording recording_options"
    " background_audio agent_participant_id traces metrics logs".split()
)


def room_options(template: Any, options: Any, assigned: Assigned) -> Any:
    """The SDK's `RoomOptions` for one job.

    Args:
        template: the file's `RoomOptions`; None where it made none.
        options: the file's `Options`.
    """
    room = copy.copy(template) if template is not None else look_up("videosdk.agents.job", "RoomOptions")()
    if assigned.room_id:
        room.room_id = assigned.room_id
    room.auth_token = assigned.token or room.auth_token or options.auth_token
    if "signaling_base_url" in sdk_options.said(options):
        room.signaling_base_url = options.signaling_base_url
    for name in ASSIGNABLE & assigned.room_options.keys():
        setattr(room, name, _value(name, assigned.room_options[name]))
    return room


def _value(name: str, value: Any) -> Any:
    coerce = look_up("videosdk.agents.job", "_coerce_recording_options_dict")
    return coerce(value) if name == "recording_options" and isinstance(value, dict) and coerce else value


def transport_of(room: Any) -> str:
    """`websocket`, `webrtc` or `videosdk`."""
    return str(getattr(room.transport_mode, "value", room.transport_mode))
