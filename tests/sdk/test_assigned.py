"""What whoever gives a job says of its room, laid over the room options of a file of the SDK."""

import json
from typing import Any

from tests.faults.conftest import broken_worker
from tests.sdk.talking import AGENT, PIECE, calling, url_of
from tests.test_assigned import ASSIGNING, TOKEN
from tests.workers import log_lines, until, until_ended, until_ready, until_written

__all__ = ["broken_worker"]


async def test_the_file_keeps_its_transport_and_the_next_job_in_the_process_has_no_token(broken_worker: Any) -> None:
    """The SDK's own worker loses a file's transport, and leaves a job's token in the environment."""
    worker = broken_worker(ASSIGNING, AGENT, "--max-jobs-per-process", "0", "--max-processes", "1")
    assign = {"token": TOKEN, "room_options": {"vision": True, "no_such_field": 1}}
    async with worker.client() as client:
        await until_ready(client)
        first = await client.dispatch("chosen", {"id": "first", "assign": assign})
        wrote = await until_written(worker, "first", "start")
        assert (wrote["room"], wrote["token"], wrote["vision"]) == ("chosen", TOKEN, True)
        assert (wrote["transport"], wrote["name"]) == ("TransportMode.WEBSOCKET", "Spoken")
        async with calling(await url_of(client, first["id"])) as caller:
            assert await caller.say(2) == f"You said: {2 * PIECE} bytes"
        await until_ended(client, first["id"])
        await until(client, lambda state: state.live("idle"))
        second = await client.dispatch(None, {"id": "second"})
        after = await until_written(worker, "second", "start")
        assert after["pid"] == wrote["pid"]
        assert (after["room"], after["vision"]) == ("of-the-file", False)
        assert (after["token"], after["left"]) == (None, None)
        async with calling(await url_of(client, second["id"])) as caller:
            assert await caller.say(3) == f"You said: {3 * PIECE} bytes"
        assert (await until_ended(client, second["id"]))["status"] == "completed"
        assert TOKEN not in json.dumps(await client.request("GET", "/stats"))
        errors = [line.text for line in await log_lines(client) if line.level == "ERROR"]
        assert not [text for text in errors if "leave" in text]
