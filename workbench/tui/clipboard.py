"""Copying, and saying truthfully how far it got."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

TOOL_TIMEOUT_S = 2.0


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


def copy(text: str, what: str, send: Callable[[str], None], tool: Sequence[str] | None) -> str:
    """Copy by `tool`, else through the terminal; the words for the user.

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
    send(text)
    return f"{failed}sent {what} to the terminal's clipboard (OSC 52); not every terminal takes it"
