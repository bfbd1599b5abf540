"""What the programs that are reloaded write down: what happened, on which code, by the monotonic clock."""

import json
import os
import time

FILE = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def stamp(what: str, version: int, work: int = 0) -> None:
    entry = {"what": what, "version": version, "work": work, "at": time.monotonic(), "pid": os.getpid()}
    os.write(FILE, f"{json.dumps(entry)}\n".encode())
