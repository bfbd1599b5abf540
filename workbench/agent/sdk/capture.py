"""Takes the agent over where a file written for the SDK starts its worker."""

import sys
from types import ModuleType
from typing import Any, NoReturn

from workbench.agent import job as jobs
from workbench.agent.context import JobContext
from workbench.agent.sdk import hook, loopback, names, options

made: list[Any] = []  # the SDK's WorkerJobs, in the order in which the file made them


class SdkWorkerJob(jobs.WorkerJob):
    """An agent that the SDK's `WorkerJob` stood for.

    Args:
        original: what the file made.

    Raises:
        AgentError: this version of the SDK cannot be run here.
        OptionsError: an option that ours cannot have.
    """

    def __init__(self, original: Any) -> None:
        names.check()
        loopback.install()
        self.original = original
        super().__init__(self._run, options=options.translated(original.options))
        self.stands_for = (original, original.entrypoint)

    def not_used(self) -> list[str]:
        """See `WorkerJob`."""
        return options.unused(self.original.options)

    async def _run(self, ctx: JobContext) -> None:
        from workbench.agent.sdk.job import SdkJob

        await SdkJob(self.original, ctx).run()


def install() -> None:
    """Take over every agent of the SDK that this process loads from now on."""
    made.clear()
    hook.watch(_take_over)


def is_sdk_job(value: Any) -> bool:
    """An SDK's `WorkerJob`."""
    return any(value is one for one in made)


def expects_sdk_context(module: ModuleType) -> bool:
    """A file with an entrypoint only: it is written for the SDK if it has names of the SDK and none of ours."""
    homes = {str(getattr(value, "__module__", "")).partition(".")[0] for value in vars(module).values()}
    return hook.MODULE in sys.modules and "videosdk" in homes and "workbench" not in homes


def job_of(entrypoint: Any) -> jobs.WorkerJob:
    """An agent of a bare entrypoint that takes the SDK's context.

    Raises:
        AgentError: it cannot be run as a job.
    """
    jobs.check_entrypoint(entrypoint)
    return SdkWorkerJob(sys.modules[hook.MODULE].WorkerJob(entrypoint))


def _take_over(module: ModuleType) -> None:
    worker_job = getattr(module, "WorkerJob", None)
    if worker_job is None or hasattr(worker_job, "_workbench"):
        return  # a later version without it: the file's own import tells
    original = worker_job.__init__

    def __init__(self: Any, *args: Any, **values: Any) -> None:
        original(self, *args, **values)
        made.append(self)

    def start(self: Any) -> NoReturn:
        SdkWorkerJob(self).start()

    worker_job.__init__, worker_job._workbench = __init__, True
    if hasattr(worker_job, "start"):  # else `names.check` tells that it is missing
        worker_job.start = start
    options.note_what_is_given(module.Options)
