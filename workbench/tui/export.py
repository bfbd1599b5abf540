"""Writing what is shown to a file that was not there before."""

import re
import time
from typing import Literal

from workbench.model.paths import absolute
from workbench.model.text import plural

MOST_NAMES = 100


def export(lines: list[str], agent: str, at: float) -> tuple[str, Literal["information", "error"]]:
    """Write lines to a new file in the current folder, named with agent and time; the words for the user."""
    stem = (
        f"{re.sub(r'[^A-Za-z0-9_-]', '_', agent)[:60] or 'agent'}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(at))}"
    )
    for number in range(1, MOST_NAMES):
        path = absolute(f"{stem}.log" if number == 1 else f"{stem}-{number}.log")
        try:
            with open(path, "x", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{line}\n" for line in lines)
        except FileExistsError:
            continue
        except OSError as error:
            return f"the lines cannot be written to {path}: {error.strerror or error}", "error"
        return f"wrote {plural(len(lines), 'line')} to {path}", "information"
    return f"there are {MOST_NAMES - 1} files named {stem} already", "error"
