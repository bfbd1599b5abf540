"""What the worker of `demo_state` would answer about its processes."""

from dataclasses import asdict
from typing import Any

from tests.tui.demo_state import NOW
from workbench.model import events as ev
from workbench.model.state import State

SECRET = "sesame-0815-open"
ROOT = "/srv/agents"


def metric(mb: float, words: str) -> dict[str, Any]:
    return {"mb": mb, "metric": words}


def detail(state: State, process_id: int, **more: Any) -> dict[str, Any]:
    """Everything about one process that lives."""
    process = state.processes[process_id]
    job = state.jobs.get(process.job_id or "")
    ran = [] if job is None else [
        {"id": job.id, "room_id": job.room_id, "status": job.status, "reason": None, "error": None, "signal": None,
         "exit_code": None, "attempt": 1, "start_latency_ms": 0.6, "started_at": job.started_at, "ended_at": None,
         "duration_s": None},
    ]  # fmt: skip
    own = process.memory_mb or 0.0
    return {
        **asdict(process), "at": NOW, "started_at": NOW - 300, "start_method_why": "nothing stands against forking",
        "history": [
            {"state": "starting", "at": NOW - 300.2, "why": ""}, {"state": "idle", "at": NOW - 300, "why": ""},
            {"state": "busy", "at": NOW - 252, "why": process.job_id or ""},
        ],
        "memory": {
            "own": metric(own, "pages only it has (Private of smaps_rollup)"),
            "shared": metric(21.4, "pages others have, too (Shared of smaps_rollup)"),
            "tree": metric(own, "of all its processes, shared pages by their users (Pss of smaps_rollup)"),
            "resident": metric(own + 21.4, "resident pages (statm)"),
            "peak": metric(own + 40, "highest resident (VmHWM)"),
        },
        "children": [
            {"pid": 41999, "parent": process.pid, "state": "S", "name": "ffmpeg",
             "command": "ffmpeg -i pipe:0 -f wav out.wav", "memory_mb": 12.0},
        ],
        "children_total": 1, "threads": 4, "descriptors": 17, "descriptor_limit": 1024,
        "environment": {"API_KEY": "********", "HOME": "/home/ada", "LANG": "C.UTF-8", "MODEL": "small"},
        "jobs": ran, "jobs_total": len(ran), "dump": None, "ended": None,
        "last_lines": [
            [NOW - 9, "INFO", "turn 14 reply in 412 ms"], [NOW - 4, "WARNING", "retry 1 of 3"],
            [NOW - 2, "ERROR", "provider timeout after 10.0 s"],
        ],
        **more,
    }  # fmt: skip


def dump(name: str = "on_turn", line: int = 21) -> dict[str, Any]:
    """A stack that was dumped in the user's code."""
    mine = [f'  File "{ROOT}/stuck.py", line {line} in {name}', f'  File "{ROOT}/stuck.py", line 44 in entrypoint']
    other = [
        "Thread 0x00007f516bca2b80 (most recent call first):",
        '  File "/usr/lib/python3.11/threading.py", line 324 in wait',
    ]
    return {
        "at": NOW - 3, "file": f"{ROOT}/stuck.py", "number": line, "name": name,
        "lines": [
            "Current thread 0x00007f516bca2a80 (most recent call first):",
            '  File "/usr/lib/python3.11/socket.py", line 706 in readinto', *mine, *other,
        ],
        "tasks": None, "mine": mine,
    }  # fmt: skip


def death(process_id: int, signal: str = "SIGKILL") -> list[ev.Event]:
    """A process over its limit is killed, and its job fails with it."""
    why = "held 812 MB, over 800 MB (memory_limit_mb)"
    return [
        ev.JobEnded(
            at=NOW - 12, id="job-88a0", status="failed", reason="oom_limit", error=why, exit_code=None, signal=signal
        ),
        ev.ProcessExited(at=NOW - 12, id=process_id, exit_code=None, signal=signal, why=why, unexpected=False),
    ]


def dead(told: dict[str, Any]) -> dict[str, Any]:
    """The same process after `death`."""
    why = "held 812 MB, over 800 MB (memory_limit_mb)"
    job = {
        **told["jobs"][0], "status": "failed", "reason": "oom_limit", "error": why, "signal": "SIGKILL",
        "ended_at": NOW - 12, "duration_s": 88.0,
    }  # fmt: skip
    return {
        **told, "state": "dead", "why": why, "jobs": [job], "memory": None, "children": None, "children_total": None,
        "threads": None, "descriptors": None, "descriptor_limit": None, "environment": None,
        "history": [*told["history"], {"state": "over memory", "at": NOW - 40, "why": "504 MB, memory_warn_mb 500"},
                    {"state": "dead", "at": NOW - 12, "why": why}],
        "ended": {"at": NOW - 12, "exit_code": None, "signal": "SIGKILL", "why": why, "unexpected": False},
    }  # fmt: skip
