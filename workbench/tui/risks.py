"""What is lost by what a key does: the question before it, or none where nothing is at risk."""

from workbench.model.hosts import VIDEOSDK, shown
from workbench.model.state import Job, Process
from workbench.model.text import plural
from workbench.tui.board import Board
from workbench.tui.lines import clean


def end_question(job: Job) -> list[str]:
    """Before the job of somebody else is asked to end; the own one, and one that was asked already, just end."""
    if job.own or job.asked:
        return []
    room = f"It runs in room {clean(job.room_id, 60)}." if job.room_id else ""
    room += " A registry gave it to this worker." if job.assigned else ""
    return [f"End job {clean(job.id, 60)}?", f"{room} It is asked first, then cancelled.".strip()]


def kill_question(process: Process, job: Job | None) -> list[str]:
    """Before a process is killed in which a job runs."""
    if job is None or not job.active:
        return []
    return [f"Kill process {process.pid} and everything it started?", f"1 job fails with it: {clean(job.id, 60)}"]


def reload_question(board: Board) -> list[str]:
    """Before code is loaded that takes the jobs of others along."""
    moved = [job for job in board.others() if not job.pinned]
    if board.state.reload.jobs != "restart" or not moved:
        return []
    start = "starts" if len(moved) == 1 else "start"
    return [
        "Load the code again?",
        f"{plural(len(moved), 'job')} of others {start} again on it (--reload-jobs restart).",
    ]


def drain_done(board: Board) -> str:
    """What a drain does: it loses nothing, so it is told and not asked."""
    jobs = len(board.state.active_jobs())
    runs = f"; {plural(jobs, 'job')} that {'runs goes' if jobs == 1 else 'run go'} on" if jobs else ""
    return f"no new jobs are taken{runs}; U takes them again"


def registry_of(board: Board) -> str:
    """The address that a worker registers at, or would."""
    return clean(board.state.link.url or shown(board.state.option("registry_url") or VIDEOSDK), 100)


def register_question(board: Board) -> list[str]:
    """Before strangers' jobs run on this machine; none where the link is only being given up."""
    if board.state.link.leaving:
        return []
    agent = clean(board.state.worker.agent_id, 60)
    return [f"Register at {registry_of(board)} as {agent}?", "Jobs from there will run on this machine."]


def unregister_question(board: Board) -> list[str]:
    """Before a worker leaves its registry."""
    jobs = sum(job.assigned for job in board.state.active_jobs())
    runs = (
        f"{plural(jobs, 'job')} from there {'goes' if jobs == 1 else 'go'} on here." if jobs else "None runs here now."
    )
    return [f"Take no more jobs from {registry_of(board)}?", runs]
