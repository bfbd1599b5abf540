"""Hot reload: a save of what the agent imported makes a new generation."""

import asyncio
import os
import time
from pathlib import Path

from workbench.model import events as ev
from workbench.supervisor.worker import Supervisor

DEBOUNCE_MS = 50
STEP_MS = 10


async def watch(supervisor: Supervisor, mode: str) -> None:
    """Reload on every relevant change until cancelled.

    Only folders of files that the agent really imported are watched, and their neighbours count while the
    newest generation is broken: the file that mends it may be one that was never imported.
    """
    from watchfiles import Change, awatch

    while True:
        files = _files(supervisor)
        folders = {os.path.dirname(file) for file in files}
        supervisor.publish(ev.ReloadIdle(at=time.time(), mode=mode, watched=len(files)))
        stop = asyncio.Event()
        async for changes in awatch(
            *folders, debounce=DEBOUNCE_MS, step=STEP_MS, recursive=False, stop_event=stop, rust_timeout=500,
            yield_on_timeout=True, watch_filter=lambda change, path: path.endswith(".py"),
        ):  # fmt: skip
            changed = sorted({path for _, path in changes if _matters(supervisor, path)})
            del_only = all(kind is Change.deleted for kind, path in changes if path in changed)
            if changed and mode == "auto" and not (del_only and not _any_left(changed)):
                supervisor.reload([os.path.relpath(path, supervisor.project_root or ".") for path in changed])
            if _files(supervisor) != files:
                break  # the new code imports other files


def _files(supervisor: Supervisor) -> set[str]:
    from workbench.agent import loading

    target = loading.find(supervisor.target).file if not supervisor.agent_files else ""
    return {*supervisor.agent_files, *supervisor.failed_root_files, *([target] if target else [])}


def _matters(supervisor: Supervisor, path: str) -> bool:
    broken = supervisor.state.reload.problem is not None
    return broken or path in _files(supervisor)


def _any_left(paths: list[str]) -> bool:
    """An editor that saves by deleting and writing anew: wait for the writing."""
    return any(Path(path).exists() for path in paths)
