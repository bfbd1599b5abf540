"""Starts a thread while it is loaded: it cannot be forked from."""

import threading

from workbench import JobContext, WorkerJob

threading.Thread(target=threading.Event().wait, name="price-poller", daemon=True).start()


async def entrypoint(ctx: JobContext) -> None:
    """Do nothing."""


WorkerJob(entrypoint).start()
