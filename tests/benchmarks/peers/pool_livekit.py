"""LiveKit's process pool, set up as its `AgentServer` does: fork server, with its own preload."""

import asyncio
import multiprocessing
from typing import Any

from livekit.agents import ipc, job
from livekit.protocol import agent as protocol

PRELOAD = ["livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze"]


class Pool:
    """`idle` processes are kept ready; it has no upper bound."""

    def __init__(self, agent: Any, idle: int, most: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        self._pool = ipc.proc_pool.ProcPool(
            initialize_process_fnc=agent.prewarm_livekit, job_entrypoint_fnc=agent.entry_livekit,
            session_end_fnc=None, simulation_end_fnc=None, num_idle_processes=idle,
            job_executor_type=job.JobExecutorType.PROCESS, initialize_timeout=60.0, close_timeout=10.0,
            session_end_timeout=300.0, inference_executor=None, memory_warn_mb=1000.0, memory_limit_mb=0.0,
            http_proxy=None, mp_ctx=context, loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._ends: dict[str, asyncio.Future[str]] = {}
        self._pool.on("process_closed", self._closed)

    def _closed(self, process: Any) -> None:
        if process.running_job is not None:
            self._ends[process.running_job.job.id].set_result(str(process.status.value))

    async def start(self) -> None:
        await self._pool.start()

    def idle(self) -> int:
        return int(self._pool._warmed_proc_queue.qsize())

    async def empty(self) -> None:
        """Nothing to do: without idle processes every job finds none."""

    async def run(self, job_id: str) -> bool:
        """One job to its end; whether it is reported as a success."""
        end = self._ends[job_id] = asyncio.get_running_loop().create_future()
        await self._pool.launch_job(
            job.RunningJobInfo(
                job=protocol.Job(id=job_id, type=protocol.JobType.JT_ROOM), url="none", token="none",
                worker_id="none", fake_job=False,
                accept_arguments=job.JobAcceptArguments(name="", identity="", metadata=""),
            )
        )  # fmt: skip
        return await end == "success"
