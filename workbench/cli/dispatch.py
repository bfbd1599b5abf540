"""`workbench dispatch`: a job for a worker that runs already."""

import asyncio
import json
import secrets
from argparse import Namespace
from typing import Any

from workbench.cli.commands import client_token
from workbench.cli.request import metadata_of, room_of
from workbench.client.address import Address, agent_of, live_supervisors, resolve
from workbench.client.client import Client, ClientError
from workbench.client.registry import RegistryClient, is_registry
from workbench.model.errors import UsageError, nearest

REGISTRY_TOKEN = "WORKBENCH_REGISTRY_TOKEN"
# Answers that say the request itself was wrong, not that the worker would not or could not.
USAGE_STATUSES = frozenset({400, 401, 403, 413, 415, 421})


def run_dispatch(parsed: Namespace) -> int:
    """Hand the job over, print it as JSON; 1 when it was refused or, with --wait, did not complete."""
    body = {"room_id": room_of(parsed.room), "metadata": metadata_of(parsed.metadata), "force": parsed.force}
    address = address_of(parsed)
    tokens = client_token(parsed.control_token_file), client_token(parsed.control_token_file, REGISTRY_TOKEN)
    try:
        job = asyncio.run(_to_whom(parsed, address, tokens, body))
    except ClientError as refused:
        if refused.status in USAGE_STATUSES:
            raise UsageError(str(refused)) from None
        raise
    print(json.dumps(job, indent=2))
    return 0 if not parsed.wait or job["status"] == "completed" else 1


async def _to_whom(
    parsed: Namespace, address: Address, tokens: tuple[str | None, str | None], body: dict[str, Any]
) -> dict[str, Any]:
    of_worker, of_registry = tokens
    if address.url and await is_registry(address):
        return await _to_registry(parsed, address, of_registry, body)
    return await _dispatch(parsed, address, of_worker, body)


async def _to_registry(parsed: Namespace, address: Address, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
    if parsed.agent_id is None:
        raise UsageError(f"{address} is a registry: name the agent with --agent-id")
    if parsed.force:
        raise UsageError(f"{address} is a registry, and --force is for a worker; --wait waits for a free one")
    room = body["room_id"] or f"room-{secrets.token_hex(4)}"
    async with RegistryClient(address, token) as client:
        job = await client.dispatch_for(parsed.agent_id, room, body["metadata"], wait=parsed.wait)
        return await client.until_ended(job["id"]) if parsed.wait else job


async def _dispatch(parsed: Namespace, address: Address, token: str | None, body: dict[str, Any]) -> dict[str, Any]:
    async with Client(address, token) as client:
        if parsed.agent_id is not None:
            await check_agent(client, address, parsed.agent_id)
        job = await client.dispatch(body["room_id"], body["metadata"], force=body["force"])
        return await _until_ended(client, job) if parsed.wait else job


async def _until_ended(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    async for frame in client.frames():
        found = frame.state.jobs.get(job["id"])
        if found is None or not found.active:
            break
    ended: dict[str, Any] = await client.request("GET", f"/jobs/{job['id']}")
    return ended


async def check_agent(client: Client, address: Address, wanted: str) -> None:
    """That the worker is one of that agent.

    Raises:
        UsageError: it is another's.
    """
    about = await client.request("GET", "/worker")
    given = about.get("agent_id") if isinstance(about, dict) else None
    if given != wanted:
        raise UsageError(f"the worker at {address} is agent {given!r}, not {wanted!r}")


def address_of(parsed: Namespace) -> Address:
    """The worker that `--url` or `--agent-id` names, or the only one there is.

    Raises:
        UsageError: there is none, or several.
    """
    if parsed.url is not None or parsed.agent_id is None:
        return resolve(parsed.url)
    running = live_supervisors()
    matching = [address for address in running if agent_of(address, parsed.agent_id)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        listed = "\n".join(f"  {address}" for address in matching)
        raise UsageError(
            f"{len(matching)} workers of agent {parsed.agent_id!r} run here; name one with --url:\n{listed}"
        )
    names = sorted({address.name for address in running})
    others = f"; running are: {', '.join(names)}" if names else ""
    raise UsageError(f"no worker of agent {parsed.agent_id!r} runs here{nearest(parsed.agent_id, names) or others}")
