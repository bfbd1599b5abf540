"""`python -m tests.registry.machine URL LEDGER`: a scripted worker in a process of its own, to be killed."""

import asyncio
import json
import os
import sys
from typing import Any

from tests.registry.scripted import Scripted, session


class _Writing(Scripted):
    ledger: int

    async def update(self, job_id: str, status: str, error: str | None = None) -> None:
        self.write("start" if status == "running" else "end", job_id)
        await super().update(job_id, status, error)

    def write(self, what: str, job_id: str = "") -> None:
        os.write(self.ledger, json.dumps({"what": what, "job": job_id}).encode() + b"\n")


async def main(url: str, ledger: str) -> Any:
    async with session() as http:
        worker = _Writing(url, room=4, lasts_s=0.02)
        worker.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND)
        await worker.open(http)
        worker.write("registered")
        await worker.finished()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
