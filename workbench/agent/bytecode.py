"""Python's cached compilations, and saves that come too fast for them.

A cached compilation counts as current when its source has the second and the size that it was made of. Two saves
within one second that differ in one letter are the same to it, and the second would never be executed.
"""

import time
from importlib.machinery import SourceFileLoader
from typing import Any

FRESH_S = 2.0  # a source as young as this may be saved again in the second that its compilation is known by
_MTIME = slice(8, 12)  # of a compilation's head; it begins with a magic number and flags, 0 for this way of checking


def keep_none_of_fresh_files() -> None:
    """In this process and its forks, cache no compilation of a file that was saved a moment ago."""
    write = SourceFileLoader.set_data

    def set_data(self: SourceFileLoader, path: str, data: Any, **more: Any) -> None:
        made_of = int.from_bytes(bytes(data[_MTIME]), "little")
        if not path.endswith(".pyc") or abs(time.time() - made_of) > FRESH_S:
            write(self, path, data, **more)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]
