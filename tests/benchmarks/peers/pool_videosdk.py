"""VideoSDK's process pool, set up as its worker does."""

from typing import Any

from videosdk.agents.execution import ResourceConfig, ResourceType, TaskExecutor, TaskType


class Pool:
    """`idle` processes are kept ready, at most `most` run."""

    def __init__(self, agent: Any, idle: int, most: int) -> None:
        self._entry = agent.entry_videosdk
        self._executor = TaskExecutor(
            ResourceConfig(
                resource_type=ResourceType.PROCESS, num_idle_resources=idle, max_resources=most,
                initialize_timeout=60.0, close_timeout=60.0, memory_warn_mb=500.0, memory_limit_mb=0.0,
                ping_interval=30.0, load_threshold=0.75, max_concurrent_tasks=1,
                use_dedicated_inference_process=False,
            )
        )  # fmt: skip

    async def start(self) -> None:
        await self._executor.start()

    def idle(self) -> int:
        return sum(resource.is_available for resource in self._executor.resource_manager.resources)

    async def empty(self) -> None:
        """Close every process: the next job finds none."""
        resources = self._executor.resource_manager.resources
        for resource in list(resources):
            resources.remove(resource)
            await resource.shutdown()

    async def run(self, job_id: str) -> bool:
        """One job to its end; whether it is reported as completed."""
        result = await self._executor.execute(self._entry, TaskType.JOB, 3600.0, 0, 0, job_id)
        return str(result.status.value) == "completed"
