"""Reads the files of JSON lines in which jobs write what they do, also while they do."""

import json
from pathlib import Path
from typing import Any


def entries(ledger: Path) -> list[dict[str, Any]]:
    """What was written so far.

    A line that crosses the end of a page of memory grows in two steps, although one call wrote it, and a process may
    be killed between them: a line counts when it is whole.
    """
    written = ledger.read_bytes() if ledger.exists() else b""  # no text yet: a letter may be half there, too
    return [json.loads(line) for line in written.split(b"\n")[:-1]]
