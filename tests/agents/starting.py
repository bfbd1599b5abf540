"""An agent whose start does what the environment says, and which writes down what its processes came to.

`AT_IMPORT` names a file whose text is executed by every import from the moment it exists.
"""

import json
import os
import time
from pathlib import Path

from workbench import JobContext, Options, WorkerJob


def note(what: str) -> None:
    line = json.dumps({"job": "", "what": what, "pid": os.getpid(), "at": time.monotonic()})
    fd = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def work(name: str) -> None:
    """Take as long as the environment says, in the open."""
    note(f"{name} begins")
    time.sleep(float(os.environ.get(name.upper(), "0")))
    note(f"{name} ends")


def prewarm(process: object) -> None:
    work("prewarm")


async def entrypoint(ctx: JobContext) -> None:
    note("ran")


work("import")
fault = Path(os.environ.get("AT_IMPORT", "/none"))
if fault.exists():
    exec(compile(fault.read_text(), __file__, "exec"))

if __name__ == "__main__":
    WorkerJob(entrypoint, prewarm=prewarm, options=Options(agent_id="starting", load_threshold=float("inf"))).start()
