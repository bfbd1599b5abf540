"""The one gate for text that came from outside: agents, users, registries, file names.

A terminal obeys control bytes wherever they come from. Everything shown on a screen or printed as a
text line passes `clean_text` first; nothing else in the project may strip or escape such text.
"""

import re

# C0 (but tab), DEL and C1; zero-width and bidirectional controls; line separators that a terminal or
# a log reader may take for a new line; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_ANSI = re.compile(
    r"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[@-Z\\-_])|[\ufe00-\ufe0f]"
)


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
    """One line of `text` that no terminal will act on.

    Complete colour and cursor sequences (and emoji variation selectors) are dropped, any other control
    character is made visible, a tab becomes four spaces. What is longer than `limit` characters is cut, and
    the number left out is told.
    """
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    if not text.isascii() or not text.isprintable():
        text = _UNSAFE.sub(_visible, _ANSI.sub("", text)).replace("\t", "    ")
    return f"{text} \u2026 +{cut} characters" if cut > 0 else text


def clean_lines(text: str, limit: int = 8192) -> list[str]:
    """`text` split at its newlines, each line cleaned."""
    return [clean_text(line, limit) for line in text.replace("\r\n", "\n").split("\n")]
