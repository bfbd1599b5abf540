"""All that procfs tells of one process, for a person who looks at it. Slow (a millisecond for 100 MB): in a thread."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workbench.model.text import cut
from workbench.process.sampling import KB_MB, PAGE_MB, exact_mb, resident_mb, rollup
from workbench.process.tree import descendants, fields_of

MOST_CHILDREN = 50
LONGEST_ENVIRONMENT = 128 * 1024
LONGEST_COMMAND_LINE = 4096
LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found; None stands for what the kernel does not tell.

    `memory` holds megabytes and their metric by name; `environment` is that of its start, without secrets.
    """

    memory: dict[str, dict[str, Any]]
    children: list[dict[str, Any]]
    children_total: int
    threads: int | None
    descriptors: int | None
    descriptor_limit: int | None
    environment: dict[str, str] | None


def examine(pid: int, helpers: Iterable[int]) -> Examined:
    """Read it all. One that ends meanwhile leaves gaps; whoever asks knows whether it has.

    Args:
        helpers: what is known to belong to it although it may not stand below it any more.
    """
    from workbench.model.environment import secrets_in, shown_environment  # its patterns cost each start milliseconds

    below = list(dict.fromkeys([*descendants(pid), *helpers]))
    environment = _environment(pid)
    secrets = secrets_in(environment or {})
    status = _status(pid)
    threads = status.get("Threads", "")
    return Examined(
        _memory(pid, below, status),
        [child for one in below[:MOST_CHILDREN] if (child := _child(one, secrets)) is not None],
        len(below),
        int(threads) if threads.isdecimal() else None,
        _descriptors(pid),
        _descriptor_limit(pid),
        None if environment is None else shown_environment(environment),
    )


def _memory(pid: int, below: list[int], status: dict[str, str]) -> dict[str, dict[str, Any]]:
    resident = resident_mb([pid])
    found = {"resident": _figure(resident, "resident pages (statm)")}
    parts = rollup(pid)
    if parts:
        own = parts[b"Private_Clean:"] + parts[b"Private_Dirty:"]
        shared = parts[b"Shared_Clean:"] + parts[b"Shared_Dirty:"]
        found["own"] = _figure(own * KB_MB, "pages only it has (Private of smaps_rollup)")
        found["shared"] = _figure(shared * KB_MB, "pages others have, too (Shared of smaps_rollup)")
        if parts[b"Swap:"]:
            found["swap"] = _figure(parts[b"Swap:"] * KB_MB, "swapped out (Swap of smaps_rollup)")
    else:
        shared_pages = _shared_pages(pid)
        found["own"] = _figure(resident - shared_pages * PAGE_MB, "resident less file-backed pages (statm)")
        found["shared"] = _figure(shared_pages * PAGE_MB, "file-backed pages (statm)")
    if not below:
        found["tree"] = _figure(found["own"]["mb"], "its own, it started no other process")
    elif (tree := exact_mb(pid, below)) is not None:
        found["tree"] = _figure(tree, "of all its processes, shared pages by their users (Pss of smaps_rollup)")
    else:
        found["tree"] = _figure(resident_mb([pid, *below]), "resident pages of all its processes, shared ones for each")
    peak = status.get("VmHWM", "").removesuffix(" kB").strip()
    if peak.isdecimal():
        found["peak"] = _figure(int(peak) * KB_MB, "highest resident (VmHWM)")
    return found


def _figure(mb: float, metric: str) -> dict[str, Any]:
    return {"mb": round(mb, 1), "metric": metric}


def _child(pid: int, secrets: list[str]) -> dict[str, Any] | None:
    from workbench.model.environment import shown_command

    raw = _raw(pid, "cmdline", LONGEST_COMMAND_LINE)
    stat = _raw(pid, "stat", 1024)
    if raw is None or not stat:
        return None  # ended meanwhile
    arguments = [part.decode("utf-8", "backslashreplace") for part in raw.rstrip(b"\0").split(b"\0")] if raw else []
    name = stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode("utf-8", "backslashreplace")
    fields = fields_of(stat)
    return {
        "pid": pid, "parent": int(fields[1]), "state": fields[0].decode("ascii", "replace"),
        "name": cut(name, LONGEST_NAME), "command": shown_command(arguments, secrets),
        "memory_mb": round(resident_mb([pid]), 1),
    }  # fmt: skip


def _environment(pid: int) -> dict[str, str] | None:
    raw = _raw(pid, "environ", LONGEST_ENVIRONMENT)
    if not raw:
        return None
    *whole, rest = raw.split(b"\0")
    if len(raw) < LONGEST_ENVIRONMENT:
        whole.append(rest)  # else it is half a value, and nobody knows of what
    entries = (entry.decode("utf-8", "backslashreplace").partition("=") for entry in whole)
    return {name: value for name, equals, value in entries if equals and name}


def _status(pid: int) -> dict[str, str]:
    raw = _raw(pid, "status", 8192) or b""
    lines = (line.partition(":") for line in raw.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _shared_pages(pid: int) -> int:
    fields = (_raw(pid, "statm", 128) or b"").split()
    return int(fields[2]) if len(fields) > 2 else 0


def _descriptors(pid: int) -> int | None:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def _descriptor_limit(pid: int) -> int | None:
    for line in (_raw(pid, "limits", 4096) or b"").splitlines():
        if line.startswith(b"Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else None
    return None


def _raw(pid: int, name: str, most: int) -> bytes | None:
    """The first part of a file; None when it is gone or not ours to read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read(most)
    return None
