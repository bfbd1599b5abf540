"""The user's editor, opened at a line."""

import os
import shlex
from collections.abc import Mapping

GOTO = frozenset({"code", "code-insiders", "codium", "cursor", "windsurf"})
COLON = frozenset({"hx", "helix", "subl", "zed"})
OPTION = frozenset({"pycharm", "idea", "charm"})


def editor_command(environ: Mapping[str, str], path: str, line: int) -> list[str]:
    """The program and arguments that open a file at a line; empty when no editor is set.

    An editor that is not known is given the line as vi and most that stand in $EDITOR take it.

    Raises:
        ValueError: what is set is no command line.
    """
    words = shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "")
    if not words:
        return []
    name = os.path.basename(words[0])
    if line < 1:
        return [*words, path]
    if name in GOTO:
        return [*words, "--goto", f"{path}:{line}"]
    if name in COLON:
        return [*words, f"{path}:{line}"]
    if name in OPTION:
        return [*words, "--line", str(line), path]
    return [*words, f"+{line}", path]
