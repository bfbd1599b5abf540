"""What tests of the link look at again and again."""

from typing import Any

from tests.conftest import Worker
from tests.link.scripted import Caller
from tests.workers import until, until_written
from workbench.client.client import Client


async def linked(client: Client, *states: str, attempt: int = 0) -> Any:
    """The link, once it is in one of the states after so many tries."""
    return await until(client, lambda s: s.link if s.link.state in states and s.link.attempt >= attempt else None)


async def begun(caller: Caller, worker: Worker, job_id: str, do: str, **metadata: Any) -> None:
    """Until the job itself says so: the registry is told of it before the process is."""
    await caller.give(job_id, {"do": do, **metadata})
    await caller.heard("job_update", job_id=job_id, status="running")
    await until_written(worker, job_id, "start")


def told(caller: Caller) -> list[tuple[str, str]]:
    """The updates of jobs on one connection, in their order."""
    return [(update["job_id"], update["status"]) for update in caller.of("job_update")]
