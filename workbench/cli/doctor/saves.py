"""Whether a save is heard of: the kernel's limits for watching, and a real file written under a real watch."""

import os
import time
from pathlib import Path

from workbench.cli.doctor.finding import NOTE, OK, Finding
from workbench.supervisor.watch import DEBOUNCE_MS, NO_WATCH, STEP_MS

WAIT_S = 3.0
LOOK_MS = 100
POLLING = "Saves are looked for twice a second instead: a reload begins up to half a second later. "


def check_saves(folder: Path, root: Path = Path("/")) -> list[Finding]:
    """The limits and a trial in `folder`, where the agent lies."""
    return [_limits(root), _trial(folder)]


def _limits(root: Path) -> Finding:
    figures = {
        name: _number(root / "proc/sys/fs/inotify" / name) for name in ("max_user_watches", "max_user_instances")
    }
    watches, instances = figures["max_user_watches"], figures["max_user_instances"]
    if watches is None or instances is None:
        text = "The kernel has no limits of inotify to show."
        return Finding("watches", NOTE, text, "Whether saves are heard of is shown by the next line.", figures)
    found = f"The kernel allows this user {watches} watches and {instances} watchers (inotify)."
    if watches and instances:
        return Finding("watches", OK, found, "", figures)
    cure = "Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with `sysctl`."
    return Finding("watches", NOTE, found, POLLING + cure, figures)


def _trial(folder: Path) -> Finding:
    """A file of ours, saved under the very watch that hot reload uses."""
    trial = folder / f".workbench-doctor-{os.getpid()}"
    began = time.monotonic()
    try:
        saved_at = _heard(folder, trial)
    except NO_WATCH as error:
        if isinstance(error, OSError) and error.filename is not None and os.fspath(error.filename) == str(trial):
            found = f"Nothing can be written in {folder} ({error.strerror}): a save could not be tried."
            return Finding("saves", NOTE, found, "Reloading needs saves; to edit the agent, work where you may write.")
        found = f"The watch on {folder} failed: {error}."
        cure = "Raise fs.inotify.max_user_instances, fs.inotify.max_user_watches or `ulimit -n`."
        return Finding("saves", NOTE, found, POLLING + cure)
    finally:
        if trial.exists():  # asking to remove what is not there is an error on a read-only file system
            trial.unlink()
    if saved_at is None:
        found = f"A save in {folder} was not told within {WAIT_S:g} s."
        cure = "Some network and shared file systems do not tell; keep the agent on a local disk for faster reloads."
        return Finding("saves", NOTE, found, POLLING + cure, {"waited_s": round(time.monotonic() - began, 1)})
    took_ms = round((time.monotonic() - saved_at) * 1e3)
    return Finding("saves", OK, f"A save in {folder} was heard of after {took_ms} ms.", "", {"took_ms": took_ms})


def _heard(folder: Path, trial: Path) -> float | None:
    """When the save was made that was told of; None when none was."""
    from watchfiles import watch

    saved_at, until = 0.0, time.monotonic() + WAIT_S
    looks = watch(
        folder, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS, rust_timeout=LOOK_MS, yield_on_timeout=True,
        recursive=False,
    )  # fmt: skip
    for changes in looks:  # the first comes without a change, when the watch is set
        if saved_at and any(os.path.basename(path) == trial.name for _, path in changes):
            return saved_at
        if time.monotonic() > until:
            return None
        saved_at = time.monotonic()
        trial.write_text("a save\n")
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
