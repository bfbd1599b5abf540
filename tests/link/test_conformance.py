"""What VideoSDK's own worker said to a registry (recorded, its messages as they were) is what ours says, too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Worker
from tests.defences import defence
from tests.link.conftest import TOKEN, first
from tests.link.scripted import Message, Scripted
from tests.tls import CA, server_context

Register = Callable[..., Worker]
RECORD = Path(__file__).parent / "records" / "videosdk-agents-1.0.30.jsonl"
OURS_ONLY = {"workbench"}  # the capability by which a registry of ours knows a worker of ours


def recorded() -> dict[str, list[Message]]:
    """By scenario: `register`, `normal`, `raises`, `burst` (six offers for two slots), `sigterm`."""
    found: dict[str, list[Message]] = {}
    for line in RECORD.read_text().splitlines():
        message = json.loads(line)
        found.setdefault(message.pop("scenario"), []).append(message)
    return found


def shape(message: Message) -> dict[str, Any]:
    """The fields with the types of their values, and the words that have a meaning."""
    words = {name: value for name, value in message.items() if name in ("type", "status", "available")}
    return {**{name: type(value).__name__ for name, value in message.items()}, **words}


def of_jobs(messages: list[Message]) -> list[dict[str, Any]]:
    return [shape(message) for message in messages if message["type"] != "status_update"]


@defence(("workbench/model/wire.py", "exclude_none=True", "exclude_none=False"))
@defence(
    (
        "workbench/backend/line.py",
        'answer.model_copy(update={"token": self._token}) if answer.available else answer',
        "answer",
    )
)
async def test_the_messages_of_a_worker_are_those_of_the_sdks_worker(registry: Scripted, register: Register) -> None:
    record = recorded()
    register("--max-processes", "2", "--load-threshold", "0.75", "--load", "jobs")
    caller = await first(registry)
    (said, theirs) = (caller.said[0], record["register"][0])
    assert shape(said) == shape(theirs)
    assert set(said["capabilities"]) - OURS_ONLY == set(theirs["capabilities"])
    assert {name: said[name] for name in said if name not in ("capabilities", "token")} == {
        name: theirs[name] for name in theirs if name not in ("capabilities", "token")
    }
    for scenario, do in (("normal", "return"), ("raises", "raise")):
        begin = len(caller.said)
        await caller.give(scenario, {"do": do}, f"room-{scenario}")
        await caller.hear(2, "job_update", job_id=scenario)
        assert of_jobs(caller.said[begin:]) == of_jobs(record[scenario])
    statuses = [shape(message) for messages in record.values() for message in messages if "load" in message]
    status = (await caller.hear(1, "status_update", status="available", load=0.0))[-1]
    assert shape(status) in statuses
    assert status["load"] == 0


async def test_of_six_offers_ours_keeps_its_word(registry: Scripted, register: Register) -> None:
    """The SDK's worker said yes to all six, with room for two."""
    assert [answer["available"] for answer in recorded()["burst"]] == [True] * 6
    register("--max-processes", "2")
    caller = await first(registry)
    for number in range(6):
        await caller.tell("availability_request", job_id=f"b{number}", room_id="", agent_name="ledger")
    answers = await caller.hear(6, "availability_response")
    assert [answer["available"] for answer in answers] == [True] * 2 + [False] * 4
    assert all("token" not in answer and answer["error"] for answer in answers[2:])


async def test_by_tls_the_api_and_the_registry_are_reached_with_a_ca_of_ones_own(start_worker: Register) -> None:
    async with Scripted().serving(tls=server_context()) as registry:
        url = f"https://127.0.0.1:{registry.port}"
        start_worker("ledger.py", "--register", "--registry-url", url, SSL_CERT_FILE=str(CA), VIDEOSDK_AUTH_TOKEN=TOKEN)
        caller = await first(registry)
        await caller.give("j1")
        await caller.heard("job_update", job_id="j1", status="completed")
        assert registry.init_calls[0]["Authorization"] == TOKEN
