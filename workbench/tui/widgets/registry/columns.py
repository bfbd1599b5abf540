"""The columns of the workers and of the jobs."""

from workbench.client.registry_watch import SeenJob, SeenWorker
from workbench.tui import format as fmt
from workbench.tui.columns import Column
from workbench.tui.lines import Span, clean
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.notes import short
from workbench.tui.registry.words import QUIET_S, job_look, job_why, over_load, worker_look, worker_note

BAR_CELLS = 6


def _worker_state(worker: SeenWorker, board: RegistryBoard) -> Span:
    look = worker_look(worker)
    return f"{look.sign} {look.word}", look.tone


def _slots(worker: SeenWorker, board: RegistryBoard) -> Span:
    used, most = worker.slots_used, worker.max_processes
    bar = "".join(text for text, _ in fmt.bar(used, most, BAR_CELLS, (), ""))
    return f"{f'{used}/{most}':<5} {bar}", "warn" if used >= most else "busy" if used else "dim"


def _load(worker: SeenWorker, board: RegistryBoard) -> Span:
    limit = "" if worker.load_threshold is None else f"/{fmt.share(worker.load_threshold)}"
    return f"{fmt.share(worker.load)}{limit}", "warn" if over_load(worker) else "dim"


def _counted(worker: SeenWorker, board: RegistryBoard) -> Span:
    return (fmt.NOTHING if worker.job_count is None else str(worker.job_count)), "dim"


def _last_seen(worker: SeenWorker, board: RegistryBoard) -> Span:
    age = board.now() - worker.last_seen_at
    return fmt.age(age), "warn" if age > QUIET_S else "dim"


WORKERS = (
    Column("ID", 8, 3, lambda worker, board: (short(worker.id), "plain")),
    Column("AGENT", 12, 1, lambda worker, board: (clean(worker.agent_name, 80), "strong"), grow=6),
    Column("KIND", 9, 7, lambda worker, board: (clean(worker.kind, 20), "dim")),
    Column("STATE", 11, 0, _worker_state),
    Column("SLOTS", 12, 2, _slots),
    Column("LOAD", 8, 4, _load, right=True),
    Column("JOBS", 4, 8, _counted, right=True),
    Column("SEEN", 5, 6, _last_seen, right=True),
    Column("NOTE", 14, 5, worker_note, grow=1000),
)


def _status(job: SeenJob, board: RegistryBoard) -> Span:
    look = job_look(job)
    return f"{look.sign} {look.word}", look.tone


JOBS = (
    Column("ID", 8, 1, lambda job, board: (short(job.id), "plain")),
    Column("AGENT", 12, 6, lambda job, board: (clean(job.agent_name, 80), "dim"), grow=2),
    Column("ROOM", 12, 5, lambda job, board: (clean(job.room_id, 128), "dim"), grow=2),
    Column("STATUS", 11, 0, _status),
    Column("WORKER", 8, 3, lambda job, board: (short(job.worker_id), "dim")),
    Column("TRY", 3, 7, lambda job, board: (str(job.attempt), "warn" if job.attempt > 1 else "dim"), right=True),
    Column("AGE", 6, 4, lambda job, board: (fmt.age(board.now() - job.queued_at), "dim"), right=True),
    Column("WHY", 15, 2, job_why, grow=1000),
)
