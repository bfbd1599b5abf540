"""What whoever gives a job says of its room: it is laid over the file's words, and its token stays secret."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import AGENTS
from tests.defences import defence
from tests.faults.conftest import broken_worker
from tests.workers import log_lines, until, until_ended, until_ready, until_written
from workbench.client.client import Client
from workbench.model.mask import HIDDEN, RETURNED_KEPT, Mask

__all__ = ["broken_worker"]

TOKEN = "a-token-of-this-room-only"
# Jobs that come over HTTP are given as a link to a registry gives them.
ASSIGNING = """
from workbench.supervisor.worker import Supervisor

submit = Supervisor.submit

def assigning(self, room_id, metadata, **more):
    return submit(self, room_id, metadata, **more, **metadata.pop("assign", {}))

Supervisor.submit = assigning
"""


async def told(client: Client, worker: Any, room_id: str | None, assign: dict[str, Any]) -> dict[str, Any]:
    """What a job says that it was told."""
    job = await client.dispatch(room_id, {"assign": assign})
    return dict(await until_written(worker, job["id"], "told"))


async def test_the_assigned_room_is_laid_over_the_files_own_and_only_for_that_job(broken_worker: Any) -> None:
    worker = broken_worker(ASSIGNING, "assigned.py", "--num-idle-processes", "0")
    async with worker.client() as client:
        await until(client, lambda state: state.worker.status == "ready")
        assign = {"token": TOKEN, "room_options": {"name": "Assigned", "vision": True, "no_such_field": 1}}
        first = await told(client, worker, "chosen", assign)
        assert (first["name"], first["room_id"], first["token"]) == ("Assigned", "chosen", TOKEN)
        assert first["sdk"] == {"playground": True, "vision": True}
        second = await told(client, worker, None, {})
        assert (second["name"], second["room_id"], second["token"]) == ("Of the file", "of-the-file", None)
        assert second["sdk"] == {"playground": True}


async def test_the_token_of_a_room_is_told_to_nobody_else(broken_worker: Any) -> None:
    worker = broken_worker(ASSIGNING, "assigned.py")
    async with worker.client() as client:
        await until_ready(client)
        job = await told(client, worker, "chosen", {"token": TOKEN})
        stats = json.dumps(await client.request("GET", "/stats"))
        printed = [line.text for line in await log_lines(client) if "'room_id': 'chosen'" in line.text]
        await client.end_job(job["job"])
    assert "chosen" in stats
    assert TOKEN not in stats
    assert [text for text in printed if "********" in text] == printed != []
    worker.process.terminate()
    worker.ended()
    assert TOKEN not in worker.output()


@defence(("workbench/supervisor/hearing.py", "self._masked(said.end)", "said.end"))
@defence(("workbench/supervisor/hearing.py", "replace(said, text=text)", "said"))
@defence(
    (
        "workbench/supervisor/hearing.py",
        '"fields": said.fields})))["fields"]',
        '"fields": said.fields})))["fields"] and said.fields',
    )
)
async def test_what_a_job_lets_slip_stays_hidden_when_its_token_is_long_forgotten(broken_worker: Any) -> None:
    worker = broken_worker(ASSIGNING, "assigned.py", "--max-jobs-per-process", "0")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("chosen", {"leak": True, "assign": {"token": TOKEN}})
        await until_ended(client, job["id"])
        for number in range(RETURNED_KEPT + 2):  # each job brings a token of its own
            again = await client.dispatch(None, {"leak": True, "assign": {"token": f"{TOKEN}-{number:03}"}})
            await until_ended(client, again["id"])
        told = await client.request("GET", f"/jobs/{job['id']}")
        said = await client.request("GET", "/rooms/chosen/messages")
    assert "not with ********" in told["error"]
    assert told["report"] == {"given": "********"}
    assert [message["text"] for message in said["messages"]] == ["my token is ********"]


def test_a_lent_secret_is_hidden_while_anybody_has_it_and_a_while_after() -> None:
    mask = Mask()
    for _ in range(2):
        mask.lend("of-two-jobs")
    mask.give_back("of-two-jobs")
    for number in range(RETURNED_KEPT + 1):
        mask.lend(f"job-token-{number}")
        mask.give_back(f"job-token-{number}")
    mask.lend("the last one")
    assert mask.text("of-two-jobs") == HIDDEN
    assert mask.text("job-token-0") == "job-token-0"
    assert mask.text(f"job-token-{RETURNED_KEPT}") == HIDDEN


async def test_a_job_that_begins_again_on_newer_code_is_told_the_same(broken_worker: Any, tmp_path: Path) -> None:
    agent = tmp_path / "assigned.py"
    shutil.copy(AGENTS / "assigned.py", agent)
    worker = broken_worker(ASSIGNING, agent, "--reload", "--reload-jobs", "restart")
    async with worker.client() as client:
        await until_ready(client)
        job = await client.dispatch("chosen", {"assign": {"token": TOKEN}})
        await until_written(worker, job["id"], "told")
        agent.write_text(agent.read_text() + "\n# saved\n")
        await until(client, lambda state: state.jobs[job["id"]].attempt == 2)
        await until(client, lambda state: len(worker.entries()) == 2)
    again = worker.entries()
    assert [(e["attempt"], e["token"], e["room_id"]) for e in again] == [(1, TOKEN, "chosen"), (2, TOKEN, "chosen")]
