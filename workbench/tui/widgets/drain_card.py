"""The card of a worker that takes no new jobs: which still run, and until when."""

from workbench.model.state import Job
from workbench.model.text import plural
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, fit
from workbench.tui.widgets.cards import Card
from workbench.tui.words import job_look

SHOWN = 5


class DrainCard(Card):
    """Comes with a drain and goes with it. `leaving`: this terminal closes after the last job."""

    leaving = False

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        worker = board.state.worker
        if not worker.draining or worker.stopping or board.stale_since is not None:
            return []
        jobs = board.state.active_jobs()
        lines: list[Line] = [[(f"◐ draining: {left_words(board)}", "warn")]]
        lines += [job_row(job, board.clock()) for job in jobs[:SHOWN]]
        if len(jobs) > SHOWN:
            lines.append([(f"  and {len(jobs) - SHOWN} more", "dim")])
        return [fit(line, width) for line in [*lines, self._way_out(worker.drain_deadline_at is None)]]

    def _way_out(self, can_admit: bool) -> Line:
        if self.leaving:
            return [("this closes when the last job has ended", "dim")]
        if can_admit:
            return [("no new jobs are taken; ", "dim"), ("U", "accent"), (" takes them again", "dim")]
        return [("the worker ends after the last job", "dim")]


def left_words(board: Board) -> str:
    """`3 jobs left, 59:12 until they are cut`."""
    jobs, until = len(board.state.active_jobs()), board.state.worker.drain_deadline_at
    left = f"{plural(jobs, 'job')} left"
    if not jobs or until is None:
        return left
    return f"{left}, {fmt.age(until - board.clock())} until {'they are' if jobs > 1 else 'it is'} cut"


def job_row(job: Job, now: float) -> Line:
    """Sign, id, age and room of a job, and what it was told."""
    look = job_look(job.status)
    age = fmt.age(now - (job.started_at or job.queued_at))
    room = f"  room {clean(job.room_id, 40)}" if job.room_id else ""
    asked = f"  told to end: {clean(job.asked, 20)}" if job.asked else ""
    return [(f"{look.sign} ", look.tone), (clean(job.id, 40), "plain"), (f"  {age}{room}", "dim"), (asked, "warn")]
