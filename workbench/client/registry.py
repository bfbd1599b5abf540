"""Requests to a registry: a job for an agent, and its way to its end."""

import json
from typing import Any, ClassVar

from workbench.client.address import Address
from workbench.client.calls import Calls, ClientError

DISPATCH_PATH = "/v2/agent/dispatch"
ENDED = frozenset({"completed", "failed", "cancelled"})
MOST_WAIT_S = 3700.0  # for an answer; the registry itself waits at most an hour for a worker


async def is_registry(address: Address) -> bool:
    """What answers there is a registry, not a worker. Asked without any token: it may be anybody.

    Raises:
        ClientError: nobody answers.
    """
    async with Calls(address) as client:
        try:
            about = await client.request("GET", "/health")
        except ClientError as refused:
            if refused.status == 0:
                raise
            about = refused.body
    return isinstance(about, dict) and "registry" in about


class RegistryClient(Calls):
    """A connection to one registry. Use it as `async with RegistryClient(address, token) as client`."""

    WHAT: ClassVar[str] = "registry"

    async def dispatch_for(
        self, agent_id: str, room_id: str, metadata: dict[str, Any], *, wait: bool = False
    ) -> dict[str, Any]:
        """Hand in a job; the job, when a worker has it.

        Args:
            wait: for a free slot, as long as the registry lets a job wait.

        Raises:
            ClientError: nobody has it.
        """
        body = {"agentId": agent_id, "meetingId": room_id, "metadata": metadata, "wait": wait}
        try:
            answer = await self.request("POST", DISPATCH_PATH, body, timeout_s=MOST_WAIT_S)
        except ClientError as refused:  # its `message` is VideoSDK's, its `error` says more
            raise ClientError(refused.body.get("error") or str(refused), refused.status, refused.body) from None
        try:
            return await self.job(answer["data"]["jobId"])
        except (KeyError, TypeError):
            raise ClientError(f"what answers at {self.address} is no registry") from None

    async def job(self, job_id: str) -> dict[str, Any]:
        """A job as it is now."""
        found: dict[str, Any] = await self.request("GET", f"/jobs/{job_id}")
        return found

    async def until_ended(self, job_id: str) -> dict[str, Any]:
        """The job, when it has ended.

        Raises:
            ClientError: the registry ended before.
        """
        import aiohttp

        try:
            async with self._session.ws_connect("/events", max_msg_size=0, heartbeat=20) as socket:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        break
                    message = json.loads(frame.data)
                    if message["type"] == "snapshot" or any(job["id"] == job_id for job in message["jobs"]):
                        job = await self.job(job_id)  # a snapshot does not tell of all that have ended
                        if job["status"] in ENDED:
                            return job
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise ClientError(f"no events from {self.address}: {error}") from error
        raise ClientError(f"the registry at {self.address} ended before job {job_id} did")
