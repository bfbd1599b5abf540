"""The one gate for text that came from outside: agents, users, registries, file names.

A terminal obeys control bytes wherever they come from. Everything shown on a screen or printed as a
text line passes `clean_text` first; nothing else in the project may strip or escape such text.
"""

import re

# What may name a room: it stands in paths of routes.
ROOM_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
ROOM_ID_WORDS = "1 to 128 letters, digits or any of _ . : -"

# C0 (but tab), DEL and C1; zero-width and bidirectional controls; line separators that a terminal or
# a log reader may take for a new line; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_ANSI = re.compile(
    r"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[@-Z\\-_])|[\ufe00-\ufe0f]"
)
ROOM_FOR_NOTE = 32


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of the control character, e.g. ␛
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF or code > 0xFFFF:
        return "\ufffd"
    return "\u00b7"


def clean_text(text: str, limit: int = 8192) -> str:
    """One line of `text` that no terminal will act on, at most `limit` characters long.

    Complete colour and cursor sequences (and emoji variation selectors) are dropped, any other control
    character is made visible, a tab becomes four spaces. Where something is left out, the line says how much.
    """
    beyond = len(text) - limit
    if beyond > 0:
        text = text[:limit]
    if not text.isascii() or not text.isprintable():
        text = _UNSAFE.sub(_visible, _ANSI.sub("", text)).replace("\t", "    ")
    if beyond <= 0 and len(text) <= limit:
        return text
    if limit < 2 * ROOM_FOR_NOTE:
        return text[: limit - 1] + "\u2026"
    kept = text[: limit - ROOM_FOR_NOTE]
    return f"{kept} \u2026 +{max(beyond, 0) + len(text) - len(kept)} characters"


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text, with a mark where something is missing.

    Never cut a text that leaves the worker without one: by the mark it is known that a secret may begin before it.
    """
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def clean_lines(text: str, limit: int = 8192) -> list[str]:
    """`text` split at its newlines, each line cleaned."""
    return [clean_text(line, limit) for line in text.replace("\r\n", "\n").split("\n")]


def plural(number: int, noun: str) -> str:
    """`1 job`, `3 jobs`, `2 processes`, `4 tries`."""
    if number != 1:
        noun = f"{noun}es" if noun.endswith("s") else f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number:,} {noun}"
