"""Frames between the supervisor and a child: a length in four bytes, then JSON. Nothing is ever unpickled."""

import json
import struct
from typing import Any

from workbench.model.jsontext import MAX_DEPTH, too_deep

VERSION = 1
MAX_FRAME = 4 * 1024 * 1024
DEEPEST = MAX_DEPTH + 2  # what a job says or is told, in a message, in a frame
_HEAD = struct.Struct("!I")

# Numbers of the descriptors a zygote and its children find open.
CONTROL_FD = 3  # zygote: requests; a job's process: its channel
LIFELINE_FD = 4
RECORDS_FD = 5
BEATS_FD = 6


class WireError(Exception):
    """The other side does not speak our protocol."""


def encode(message: dict[str, Any]) -> bytes:
    """One frame.

    Raises:
        WireError: longer than `MAX_FRAME`.
    """
    body = json.dumps(message, separators=(",", ":"), default=str).encode("utf-8", "backslashreplace")
    if len(body) > MAX_FRAME:
        raise WireError(f"a frame of {len(body)} bytes; at most {MAX_FRAME}")
    return _HEAD.pack(len(body)) + body


class Decoder:
    """Bytes in, messages out, whatever the pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that are complete now.

        Raises:
            WireError: a frame too long, not a JSON object with a `t`, or one nested too deep.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise WireError(f"a frame of {length} bytes was announced; at most {MAX_FRAME}")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                break
            messages.append(_message(bytes(self._buffer[_HEAD.size : end])))
            del self._buffer[:end]
        return messages

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._buffer)


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise WireError("not an object with a 't'")
    if too_deep(message, DEEPEST):
        raise WireError(f"nested deeper than {DEEPEST} levels")
    return message
