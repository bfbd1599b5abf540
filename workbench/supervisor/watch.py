"""Hot reload: a save of what the agent imported makes a new generation."""

import asyncio
import importlib.util
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from workbench.agent.loading import find
from workbench.model import events as ev
from workbench.supervisor.worker import Supervisor

DEBOUNCE_MS = 50
STEP_MS = 10
LOOK_MS = 500
NO_WATCH = (OSError, RuntimeError)  # watchfiles' own error, when no watcher can be made, is of the second kind

Stamp = tuple[int, int, int] | None


async def watch(supervisor: Supervisor, mode: str) -> None:
    """Reload on every relevant change until cancelled.

    What a file's stamp says is the truth; the kernel's events only say when to look, and a look twice a second
    finds what they miss: a save while the watch is set anew, a file system without events. While the newest
    generation is broken, neighbours count too: the file that mends it may be one that was never imported.
    """
    target = find(supervisor.target).file  # once: an editor may be about to write it anew
    known: dict[str, Stamp] = {}
    while True:
        files = {target, *supervisor.agent_files, *supervisor.failed_root_files}
        known = {file: known[file] if file in known else _as_loaded(supervisor, file) for file in files}
        supervisor.publish(ev.ReloadIdle(at=time.time(), mode=mode, watched=len(files)))
        async with aclosing(_looks(supervisor, {os.path.dirname(file) for file in files})) as looks:
            async for paths in looks:
                changed = {file for file in known if _stamp(file) not in (known[file], None)}
                if supervisor.state.reload.problem is not None:
                    changed |= {path for path in paths if path.endswith(".py") and _stamp(path) is not None}
                known.update({file: _stamp(file) for file in changed})
                if changed and mode == "auto":
                    root = supervisor.project_root or os.path.commonpath([os.path.dirname(f) for f in files])
                    for path in changed:
                        _forget_bytecode(path)
                    supervisor.reload(sorted(os.path.relpath(path, root) for path in changed))
                if {*supervisor.agent_files, *supervisor.failed_root_files} - known.keys():
                    break  # the new code imports other files


async def _looks(supervisor: Supervisor, folders: set[str]) -> AsyncGenerator[set[str], None]:
    """One item for each time to look: the paths the kernel told of, or none when half a second passed."""
    from watchfiles import awatch

    there = sorted(filter(os.path.isdir, folders))  # a checkout may have taken one away
    try:
        async for changes in awatch(
            *there, debounce=DEBOUNCE_MS, step=STEP_MS, recursive=False, rust_timeout=LOOK_MS, yield_on_timeout=True
        ):
            yield {path for _, path in changes}
            if sorted(filter(os.path.isdir, folders)) != there:
                return  # a folder's watch goes with it, and does not come back with it
    except NO_WATCH as error:  # out of inotify watches, or a folder that went while its watch was set
        supervisor.logs.note("WARNING", f"the kernel does not tell of saves ({error}); looking twice a second")
        for _ in range(60):  # then ask it again
            await asyncio.sleep(LOOK_MS / 1000)
            yield set()


def _as_loaded(supervisor: Supervisor, file: str) -> Stamp:
    """The stamp of a file that is watched from now on; one saved since its generation began to load counts as new."""
    stamp = _stamp(file)
    generation = supervisor.loading or supervisor.serving
    began_at = time.time() - (time.monotonic() - generation.began) if generation is not None else time.time()
    return stamp if stamp is None or stamp[0] < began_at * 1e9 else (0, 0, 0)


def _forget_bytecode(file: str) -> None:
    """Drop a cached compilation: Python takes it for current when size and second of two saves are the same."""
    with suppress(OSError, NotImplementedError):
        os.unlink(importlib.util.cache_from_source(file))


def _stamp(file: str) -> Stamp:
    """Tells one version of a file from another; None while it does not exist (an editor may be at work)."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
