"""A job's way through the registry, over real sockets."""

import asyncio
import shlex
import subprocess
from typing import Any

from tests.registry.scripted import Api, Scripted, session


async def test_a_dispatched_job_runs_on_a_worker_and_ends(start_registry: Any) -> None:
    registry = start_registry()
    async with session() as http:
        api = Api(registry.url, http)
        worker = await Scripted(registry.url).open(http)
        status, answer = await api.dispatch(room="room-123", metadata={"user": 7}, roomOptions={"recording": True})
        assert status == 200
        job_id = answer["data"]["jobId"]
        assert answer == {
            "message": "Agent dispatch requested successfully.",
            "data": {
                "success": True, "status": "assigned", "roomId": "room-123", "agentId": "A",
                "jobId": job_id, "workerId": worker.id,
            },
        }  # fmt: skip
        given = {key: value for key, value in (await worker.assigned()).items() if key != "link"}
        assert given == {
            "type": "job_assignment", "job_id": job_id, "room_id": "room-123", "agent_name": "A", "token": "",
            "url": "", "room_options": {"recording": True}, "metadata": {"user": 7}, "wait": False,
        }  # fmt: skip
        running = await api.until_job(job_id, "running")
        assert running["started_at"] and running["worker_id"] == worker.id and running["attempt"] == 1
        await worker.update(job_id, "failed", "oom_limit: held 157 MB of 100 MB")
        ended = await api.until_job(job_id, "failed")
        assert (ended["reason"], ended["error"]) == ("oom_limit", "held 157 MB of 100 MB")
        assert ended["attempts"][0]["reason"] == "oom_limit"
        await worker.close()
    assert registry.end() == 0


async def test_the_curl_of_videosdks_guide_works_as_it_stands(start_registry: Any) -> None:
    registry = start_registry(WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it")
    async with session() as http:
        worker = await Scripted(registry.url, agent="MyAgent", token="TOKEN-of-it").open(http)
        line = (
            f'curl -s -X POST {registry.url}/v2/agent/dispatch -H "Authorization: TOKEN-of-it" '
            '-H "Content-Type: application/json" -d \'{"agentId": "MyAgent", "meetingId": "room-123"}\''
        )
        done = await asyncio.to_thread(subprocess.run, shlex.split(line), capture_output=True, text=True, check=True)
        assert '"status": "assigned"' in done.stdout
        assert (await worker.assigned())["room_id"] == "room-123"
        await worker.close()
