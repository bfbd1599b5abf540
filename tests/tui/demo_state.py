"""A worker with everything going on at once, folded from real events: for snapshots and pictures.

Five slots: the workbench's own job, a stalled loop, a job over the memory mark, one on older code, one idle.
"""

import math
from typing import Any

from workbench.client.client import Frame, LogLine
from workbench.model import events as ev
from workbench.model.state import State
from workbench.tui.board import Board

NOW = 1_700_000_000.0
OWN_ROOM = "room-talk"
SOCKET = "/run/user/1000/workbench/support-agent-4120.sock"

OPTIONS: dict[str, Any] = {
    "agent_id": "support-agent", "max_processes": 6, "num_idle_processes": 1, "load_threshold": 0.75,
    "load": "cpu", "memory_warn_mb": 500.0, "memory_limit_mb": 800.0, "max_retry": 16, "drain_timeout": 3600.0,
    "ping_timeout": 30.0,
}  # fmt: skip


def options(**changes: Any) -> dict[str, dict[str, Any]]:
    """The table of options as the supervisor tells it."""
    return {name: {"value": value, "origin": "default"} for name, value in {**OPTIONS, **changes}.items()}


def beginning(**changes: Any) -> list[ev.Event]:
    """A worker that has just come up."""
    at = NOW - 8049
    return [
        ev.OptionsChanged(at=at, options=options(**changes)),
        ev.WorkerStarted(
            at=at, agent_id="support-agent", worker_id="w-1", version="0.1.0", pid=4120, target="bot.py",
            socket=SOCKET, start_job=True,
        ),
        ev.Listening(at=at, url="http://127.0.0.1:8081", note="", socket=SOCKET),
        ev.ReloadDone(
            at=at, generation=6, took_ms=111.0, start_method="zygote", start_method_why="nothing speaks against it"
        ),
        ev.AdmissionChanged(at=at, status="ready", why="0 of 6 jobs"),
    ]  # fmt: skip


def process(id: int, pid: int, generation: int, at: float) -> list[ev.Event]:
    """A process that became idle."""
    return [
        ev.ProcessSpawning(at=at, id=id, generation=generation, start_method="zygote"),
        ev.ProcessForked(at=at, id=id, pid=pid),
        ev.ProcessReady(at=at, id=id, warm_ms=6.8),
    ]


def job(id: str, process_id: int, at: float, *, room: str = "", own: bool = False) -> list[ev.Event]:
    """A job that runs in a process."""
    return [
        ev.JobQueued(at=at, id=id, room_id=room or id, metadata={}, own=own),
        ev.JobStarting(at=at, id=id, process_id=process_id, warm=True),
        ev.JobStarted(at=at, id=id, attempt=1, start_latency_ms=0.6),
    ]


def ended(id: str, at: float, reason: str = "returned", **more: Any) -> ev.JobEnded:
    """The end of a job."""
    status = {"returned": "completed", "cancelled": "cancelled"}.get(reason, "failed")
    found = {"error": None, "exit_code": None, "signal": None, **more}
    return ev.JobEnded(at=at, id=id, status=status, reason=reason, **found)


def sampled(at: float, step: int = 60) -> ev.Sampled:
    """The measurements of one moment; `step` of 60 lets memory grow and load wave."""
    grown = 320 + 300 * step / 60
    figures = {
        1: {"memory_mb": 118.0 + step % 7, "cpu": 0.06 + 0.04 * math.sin(step / 3), "loop_lag_ms": 0.8},
        2: {"memory_mb": 96.0, "cpu": 0.0, "loop_lag_ms": 4200.0},
        3: {"memory_mb": grown, "cpu": 0.31 + 0.2 * math.sin(step / 4), "loop_lag_ms": 2.4},
        4: {"memory_mb": 204.0, "cpu": 0.04, "loop_lag_ms": 1.1},
        5: {"memory_mb": 3.1, "cpu": 0.0, "loop_lag_ms": 0.4},
    }
    for id, one in figures.items():
        one["heartbeat_age_s"] = 4.2 if id == 2 else 0.1
    load = 0.43 + 0.18 * math.sin(step / 5) + 0.06 * math.sin(step * 1.7)
    return ev.Sampled(
        at=at, processes=figures, load=load, cpu=load, memory_mb=118 + 96 + grown + 204 + 3, supervisor_lag_ms=1.2,
        log_lines=9981, log_lines_dropped=0,
    )  # fmt: skip


def history() -> list[ev.Event]:
    """How it came to be like this."""
    events = [*beginning(), *process(4, 40877, 6, NOW - 2000), *job("job-7c1d", 4, NOW - 1900)]
    events += [
        ev.ReloadStarted(at=NOW - 1500, generation=7, changed=["bot.py"]),
        ev.ReloadDone(at=NOW - 1499, generation=7, took_ms=119.0, start_method="zygote", start_method_why=""),
        ev.ReloadIdle(at=NOW - 1499, mode="auto", watched=14),
    ]
    for number in range(131):
        at = NOW - 1400 + number
        events += [*process(100 + number, 30000 + number, 7, at), *job(f"job-{number:04x}", 100 + number, at)]
        how: dict[str, Any] = {"reason": "signalled", "signal": "SIGKILL"} if number == 130 else {}
        if number == 77:
            how = {"reason": "raised", "error": "ReadTimeout: no answer in 10.0 s (bot.py:88 in on_turn)"}
        events.append(ended(f"job-{number:04x}", at + 0.5, **how))
        events.append(ev.ProcessStopping(at=at + 0.5, id=100 + number, why="its job is over"))
        events.append(
            ev.ProcessExited(at=at + 0.6, id=100 + number, exit_code=0, signal=None, why="", unexpected=False)
        )
    return events


def present() -> list[ev.Event]:
    """What runs now."""
    return [
        *process(1, 41201, 7, NOW - 300), *job("job-own", 1, NOW - 252, room=OWN_ROOM, own=True),
        *process(2, 41202, 7, NOW - 200), *job("job-8857", 2, NOW - 115),
        *process(3, 41203, 7, NOW - 190), *job("job-88a0", 3, NOW - 100),
        *process(5, 41260, 7, NOW - 20),
        ev.JobReported(at=NOW - 5, id="job-own", fields={"turn": 14, "topic": "refund"}),
        ev.AdmissionChanged(at=NOW - 94, status="ready", why="4 of 6 jobs"),
        ev.ProcessStalled(at=NOW - 4, id=2, age_s=4.2, stack="stuck.py:21 in on_turn"),
        ev.MemoryCrossed(at=NOW - 3, id=3, memory_mb=620.0, warn_mb=500.0),
    ]  # fmt: skip


def demo_state() -> State:
    """The state at this moment."""
    state = State()
    for event in [*history(), *present(), sampled(NOW)]:
        state.apply(event)
    return state


def fill_history(board: Board, state: State) -> None:
    """A minute of measurements before this moment, from the same worker."""
    board.worker_id = state.worker.worker_id
    for step in range(60):
        at = NOW - 60 + step
        state.apply(sampled(at, step))
        board.clock = lambda at=at: at  # type: ignore[misc]
        board.take(Frame(state))
    board.clock = lambda: NOW
    state.apply(sampled(NOW))


def broken() -> list[ev.Event]:
    """A save that cannot be loaded."""
    problem = {
        "kind": "SyntaxError", "message": "'(' was never closed", "exit_code": 3, "file": "bot.py", "line": 88,
        "column": 34, "frame": "", "traceback": "",
        "source": [
            [86, "    context = await self.context()"],
            [87, "    # build the prompt"],
            [88, "    reply = await self.model.chat(context"],
            [89, "    await ctx.room.send(reply)"],
        ],
    }  # fmt: skip
    return [
        ev.ReloadStarted(at=NOW - 2, generation=8, changed=["bot.py"]),
        ev.ReloadFailed(at=NOW - 1, generation=8, problem=problem),
    ]


def reloads() -> list[ev.Event]:
    """Pinned and older jobs after a reload to code that costs more, saves that wait, and some that load nothing."""
    how: dict[str, Any] = {"start_method": "zygote", "start_method_why": ""}
    return [
        ev.ProcessResumed(at=NOW - 9, id=2),
        ev.JobPinned(at=NOW - 8, id="job-own", pinned=True),
        ev.ReloadDone(at=NOW - 7, generation=7, took_ms=119.0, import_ms=38.0, memory_mb=22.7, **how),
        ev.ReloadStarted(at=NOW - 6, generation=8, changed=["bot.py", "prompts/a.md"]),
        ev.ReloadDone(
            at=NOW - 5, generation=8, took_ms=412.0, import_ms=301.0, memory_mb=61.3, needs_restart=["port"], **how
        ),
        ev.ReloadIdle(at=NOW - 5, mode="manual", watched=5, polling="nfs at /mnt/agents"),
        ev.ReloadPending(at=NOW - 2, changed=["bot.py", "prompts/a.md", "shop.py"]),
        ev.ReloadSuspended(at=NOW - 1, files={"notes.json": "the agent writes it itself"}),
    ]


def taken_back() -> list[ev.Event]:
    """New code that served, until its processes died."""
    problem = {
        "kind": "", "message": "its processes did not stay once it served: process 41310 died of SIGSEGV",
        "exit_code": 3, "file": "", "line": 0, "column": 0, "frame": "", "traceback": "", "source": [],
    }  # fmt: skip
    return [
        ev.ReloadStarted(at=NOW - 4, generation=8, changed=["bot.py", "shop.py"]),
        ev.ReloadDone(at=NOW - 3, generation=8, took_ms=152.0, start_method="zygote", start_method_why=""),
        ev.ReloadFailed(at=NOW - 1, generation=8, problem=problem, serving=7),
    ]


_SAID = (
    (0, 0, "INFO", "supervisor", "generation 7 serves; 14 files are watched"),
    (41201, 1, "INFO", "bot", "turn 12 intent=order_status confidence=0.93"),
    (41203, 3, "INFO", "bot", "tool lookup_order id=881 -> 200 in 92 ms"),
    (41203, 3, "DEBUG", "bot", "cache miss for customer 5521, 40 rows fetched"),
    (41201, 1, "INFO", "bot", "turn 13 intent=refund confidence=0.88"),
    (41202, 2, "INFO", "bot", "turn 3 intent=smalltalk"),
    (41203, 3, "WARNING", "bot", "embedding table grew to 610 MB"),
    (41202, 2, "ERROR", "bot", "provider timeout after 10.0 s, waiting for the socket"),
    (0, 0, "WARNING", "supervisor", "process 41202 stands still since 1 s at stuck.py:21 in on_turn"),
    (41201, 1, "INFO", "bot", "tool refund order=881 amount=24.90 -> accepted"),
    (40877, 4, "INFO", "bot", "summary written, 31 turns"),
    (0, 0, "WARNING", "supervisor", "process 41203 holds 620 MB, over memory_warn_mb 500 MB"),
    (41201, 1, "INFO", "bot", "turn 14 reply in 412 ms"),
)


def log_lines(count: int = 120) -> list[LogLine]:
    """The last lines of output, newest last."""
    lines = []
    for n in range(count):
        pid, process_id, level, logger, text = _SAID[(n + len(_SAID) - count) % len(_SAID)]
        at = NOW - (count - n) * 0.7
        lines.append(LogLine(n, at, process_id, pid, 7 if process_id else 0, None, level, logger, text))
    return lines


def message(id: str, role: str, text: str, at: float, *, partial: bool = False) -> dict[str, Any]:
    """What a room tells of a message."""
    sender = "you" if role == "user" else "support-agent"
    said = {"id": id, "sender": sender, "role": role, "text": text, "data": None, "at": at, "partial": partial}
    return {"type": "message", "message": said}


def chat() -> list[dict[str, Any]]:
    """A conversation with the own job."""
    return [
        message("1.1", "agent", "Hello! How can I help?", NOW - 250),
        message("m1", "user", "where is my order 881?", NOW - 200),
        message(
            "1.2", "agent", "Order 881 left the warehouse on Tuesday and should be with you tomorrow.", NOW - 199.6
        ),
        {"type": "attempt", "attempt": 2, "generation": 7},
        message("m2", "user", "one item is broken, can I get my money back?", NOW - 30),
        message(
            "2.1",
            "agent",
            "I am sorry about that. I have refunded 24.90 for the broken item; ",
            NOW - 29.588,
            partial=True,
        ),
    ]
