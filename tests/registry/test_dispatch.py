"""A job's way through the registry, over real sockets."""

import asyncio
import json
import shlex
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import WAIT_S, child_environment
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
        assert (running["worker_id"], running["attempt"]) == (worker.id, 1)
        assert running["started_at"]
        await worker.update(job_id, "failed", "oom_limit: held 157 MB of 100 MB")
        ended = await api.until_job(job_id, "failed")
        assert (ended["reason"], ended["error"]) == ("oom_limit", "held 157 MB of 100 MB")
        assert ended["attempts"][0]["reason"] == "oom_limit"
        await worker.close()
    assert registry.end() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
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


async def test_the_dispatch_command_notices_a_registry_and_follows_the_job(start_registry: Any) -> None:
    registry = start_registry(WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it")
    async with session() as http:
        worker = await Scripted(registry.url, token="TOKEN-of-it", lasts_s=0.05).open(http)
        line = ["dispatch", "--url", registry.url, "--agent-id", "A", "--room", "r1", "--metadata", '{"n": 1}']
        code, told = await _command(*line, WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it")
        assert code == 0, told
        assert json.loads(told)["status"] in ("assigned", "running")
        code, told = await _command(*line, "--wait", WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it")
        assert (code, json.loads(told)["status"]) == (0, "completed"), told
        assert [given["metadata"] for given in worker.of("job_assignment")] == [{"n": 1}] * 2
        worker.lasts_s = None
        following = asyncio.ensure_future(_command(*line, "--wait", WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it"))
        job_id = (await worker.assigned(3))["job_id"]
        await worker.update(job_id, "failed", "ValueError: no")
        code, told = await following
        assert (code, json.loads(told)["error"]) == (1, "ValueError: no")
        for more, environment, words in (
            (["--force"], "TOKEN-of-it", "--force is for a worker"),
            ([], "another-token", "send the registry's token"),
        ):
            code, told = await _command(*line, *more, WORKBENCH_REGISTRY_TOKEN=environment)
            assert code == 2
            assert words in told
        code, told = await _command("dispatch", "--url", registry.url)
        assert (code, "--agent-id" in told) == (2, True)
        code, told = await _command(*line[:4], "B", WORKBENCH_REGISTRY_TOKEN="TOKEN-of-it")
        assert (code, "No workers registered for agent 'B'; registered are workers of A" in told) == (1, True)
        await worker.close()


async def _command(*arguments: str, **environment: str) -> tuple[int, str]:
    """A command's exit code and all that it printed."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "workbench", *arguments], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env=child_environment(**environment), timeout=WAIT_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
