"""Copying, and saying truthfully how far it got."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence

TOOL_TIMEOUT_S = 2.0
MOST_BYTES = 74_994  # what terminals take in one OSC 52: 100,000 bytes in base64
DEAF = {"Apple_Terminal": "Terminal.app does not take it"}  # by TERM_PROGRAM


def native_tool(environ: "os._Environ[str] | dict[str, str]" = os.environ) -> list[str] | None:
    """The clipboard program of this desktop, if there is one."""
    tools: list[tuple[bool, list[str]]] = [
        ("WAYLAND_DISPLAY" in environ, ["wl-copy"]),
        ("DISPLAY" in environ, ["xclip", "-selection", "clipboard"]),
        ("DISPLAY" in environ, ["xsel", "--clipboard", "--input"]),
        (True, ["pbcopy"]),
    ]
    path = environ.get("PATH")
    return next((tool for usable, tool in tools if usable and shutil.which(tool[0], path=path)), None)


def copy(
    text: str,
    what: str,
    send: Callable[[str], None],
    tool: Sequence[str] | None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Copy by `tool`, else through the terminal, else into a file; the words for the user.

    Args:
        what: what is copied, in words (`3 lines`).
        send: hands text to the terminal (OSC 52), which never answers whether it took it.
    """
    failed = ""
    if tool:
        try:
            subprocess.run(
                tool, input=text.encode(), check=True, timeout=TOOL_TIMEOUT_S,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            failed = f"{tool[0]} failed ({type(error).__name__}); "
        else:
            return f"copied {what} with {tool[0]}"
    size = len(text.encode())
    why = DEAF.get(environ.get("TERM_PROGRAM", ""), "")
    if size > MOST_BYTES:
        why = f"{size:,} bytes are more than a terminal takes"
    if why:
        return f"{failed}{_keep(text, what, why)}"
    send(text)
    return f"{failed}sent {what} to the terminal's clipboard (OSC 52); not every terminal takes it"


def _keep(text: str, what: str, why: str) -> str:
    """Into a file that only its owner may read."""
    try:
        number, path = tempfile.mkstemp(prefix="workbench-copy-", suffix=".txt")
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        return f"{what} not copied: {why}, and no file can be written ({error.strerror or error})"
    return f"{what} not in the clipboard: {why}; they are in {path}"
