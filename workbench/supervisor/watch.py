"""Hot reload: a save of what the agent imported makes a new generation."""

import os
import time

from workbench.model import events as ev
from workbench.supervisor.worker import Supervisor

DEBOUNCE_MS = 50
STEP_MS = 10
LOOK_MS = 500

Stamp = tuple[int, int, int] | None


async def watch(supervisor: Supervisor, mode: str) -> None:
    """Reload on every relevant change until cancelled.

    What a file's stamp says is the truth; the kernel's events only say when to look, and a look twice a second
    finds what they miss: a save while the watch is set anew, a file system without events. While the newest
    generation is broken, neighbours count too: the file that mends it may be one that was never imported.
    """
    from watchfiles import awatch

    known: dict[str, Stamp] = {}
    while True:
        files = _files(supervisor)
        known = {file: known.get(file, _stamp(file)) for file in files}
        supervisor.publish(ev.ReloadIdle(at=time.time(), mode=mode, watched=len(files)))
        async for changes in awatch(
            *{os.path.dirname(file) for file in files},
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            recursive=False,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
        ):
            changed = {file for file in known if _stamp(file) not in (known[file], None)}
            if supervisor.state.reload.problem is not None:
                changed |= {path for _, path in changes if path.endswith(".py") and _stamp(path) is not None}
            known.update({file: _stamp(file) for file in changed})
            if changed and mode == "auto":
                root = supervisor.project_root or os.path.commonpath([os.path.dirname(f) for f in files])
                supervisor.reload(sorted(os.path.relpath(path, root) for path in changed))
            if _files(supervisor) - known.keys():
                break  # the new code imports other files


def _files(supervisor: Supervisor) -> set[str]:
    from workbench.agent import loading

    target = loading.find(supervisor.target).file if not supervisor.agent_files else ""
    return {*supervisor.agent_files, *supervisor.failed_root_files, *([target] if target else [])}


def _stamp(file: str) -> Stamp:
    """Tells one version of a file from another; None while it does not exist (an editor may be at work)."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
