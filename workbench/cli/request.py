"""What `--room` and `--metadata` may be, for every command that has them."""

from typing import Any

from workbench.model.errors import UsageError
from workbench.model.jsontext import parse
from workbench.model.text import ROOM_ID, ROOM_ID_WORDS


def metadata_of(text: str | None) -> dict[str, Any]:
    """The job's metadata.

    Raises:
        UsageError: not a JSON object.
    """
    if text is None:
        return {}
    try:
        value = parse(text)
    except ValueError as error:
        raise UsageError(f"--metadata is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("--metadata must be a JSON object, for example '{\"user\": 1}'")
    return value


def room_of(text: str | None) -> str | None:
    """The room's id.

    Raises:
        UsageError: no id that a route could name.
    """
    if text is not None and not ROOM_ID.fullmatch(text):
        raise UsageError(f"--room must be {ROOM_ID_WORDS}, not {text[:80]!r}")
    return text
