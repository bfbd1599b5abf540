"""Is it safe to fork this process? Judged by what loading the agent left behind, not by what it imported."""

import asyncio
import os
import sys
import threading

from workbench.process.wire import BEATS_FD, CONTROL_FD, LIFELINE_FD, RECORDS_FD

OURS = frozenset({0, 1, 2, CONTROL_FD, LIFELINE_FD, RECORDS_FD, BEATS_FD})


def open_fds() -> dict[int, str]:
    """Every open descriptor and what it is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that listed the folder
    return found


def against_fork(before: dict[int, str]) -> list[str]:
    """What a forked child would share or miss; an empty list means that forking is safe.

    Args:
        before: `open_fds()` before the agent was loaded.
    """
    reasons = []
    names = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if names:
        reasons.append(f"Python threads started while loading: {', '.join(sorted(names)[:5])}")
    made_loop = _made_loop_fds()
    for fd, what in open_fds().items():
        if fd in OURS or fd in before or fd in made_loop:
            continue
        if what.startswith(("socket:", "pipe:", "anon_inode:[eventpoll]")):
            reasons.append(f"open {what.split(':')[0]} made while loading (fd {fd})")
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    if tracker is not None and getattr(tracker._resource_tracker, "_fd", None) is not None:
        reasons.append("a multiprocessing resource tracker runs")
    torch = sys.modules.get("torch")
    if torch is not None and getattr(torch, "cuda", None) is not None and torch.cuda.is_initialized():
        reasons.append("CUDA is initialized")
    return reasons


def _made_loop() -> asyncio.AbstractEventLoop | None:
    """The default event loop, if loading only made one; a child can close it and have its own."""
    policy = asyncio.get_event_loop_policy() if "asyncio.events" in sys.modules else None
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    return loop if isinstance(loop, asyncio.AbstractEventLoop) and not loop.is_running() else None


def _made_loop_fds() -> set[int]:
    loop = _made_loop()
    if loop is None:
        return set()
    parts = [getattr(loop, name, None) for name in ("_selector", "_ssock", "_csock")]
    return {part.fileno() for part in parts if part is not None}


def forget_made_loop() -> None:
    """In a fresh child: close the loop inherited from the zygote, whose descriptors are shared with siblings."""
    loop = _made_loop()
    if loop is not None and not loop.is_closed():
        loop.close()
    asyncio.set_event_loop(None)
