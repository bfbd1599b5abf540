"""Quitting: what becomes of the supervisor when its terminal closes."""

from typing import TYPE_CHECKING

from workbench.model.text import plural
from workbench.tui.report import ExitReport
from workbench.tui.source import OwnerLike

if TYPE_CHECKING:
    from workbench.client.owner import Ended
    from workbench.tui.app import WorkbenchApp


class Leaving:
    """The way out. `stage` is empty, `draining` (the screen stays usable) or `stopping`."""

    def __init__(self, app: "WorkbenchApp", owner: OwnerLike | None) -> None:
        self._app, self._owner = app, owner
        self.stage = ""
        self.gone: Ended | None = None
        self._asking = False

    def quit(self) -> None:
        """`q`: leave at once where nobody's job is at risk, else ask."""
        board = self._app.board
        if self._app.pouring.ends_before(self.quit):
            self._app.tell("the jobs of the load end first; q again does not wait for them")
        elif self._owner is None:
            self._app.leave(ExitReport("detached"))
        elif self.gone is not None:
            self._app.leave(ended_report(self.gone))
        elif self.stage == "stopping" or self._asking:
            return
        elif board.others():
            from workbench.tui.screens.choice import leaving_screen

            self._asking = True
            self._app.push_screen(leaving_screen(board, self.stage == "draining"), self._decided)
        else:
            self._stop(self._owner)

    def _decided(self, answer: str | None) -> None:
        self._asking = False
        self._app.pouring.stay()  # this answer counts, whenever the jobs of a load end
        if self._owner is None or self.gone is not None:
            return
        if answer == "stop":
            self._stop(self._owner)
        elif answer == "drain":
            self.stage = "draining"
            self._owner.drain()
            self._app.board_screen.drain.leaving = True
            self._app.tell("no new jobs; this closes when the last job has ended")
        elif answer == "release":
            self._release(self._owner)

    def _stop(self, owner: OwnerLike) -> None:
        from workbench.tui.screens.stopping import StoppingScreen

        self.stage = "stopping"
        owner.stop()
        self._app.push_screen(StoppingScreen(self._app.board))

    def _release(self, owner: OwnerLike) -> None:
        pid, worker = owner.pid, self._app.board.state.worker
        jobs = len(self._app.board.state.active_jobs())
        owner.release()
        lines = [
            f"the worker runs on with {plural(jobs, 'job')} (pid {pid})",
            f"workbench attach {worker.socket or worker.url}",
        ]
        self._app.leave(ExitReport("released", pid, 0, lines))

    def ended(self, ended: "Ended") -> bool:
        """The supervisor is gone; True when that was wanted, and the screen closes."""
        self.gone = ended
        if not self.stage:
            return False
        self._app.leave(ExitReport("stopped", exit_code=0))
        return True

    def kill(self) -> None:
        """The last resort while it is stopping."""
        if self._owner is not None and self.stage == "stopping":
            self._owner.kill()

    def started(self) -> None:
        """The supervisor runs again."""
        self.gone, self.stage = None, ""
        self._app.board_screen.drain.leaving = False


def ended_report(ended: "Ended") -> ExitReport:
    """The report when the supervisor had ended by itself."""
    lines = [f"the supervisor had ended: {ended}", *ended.last_lines[-5:]]
    return ExitReport("ended", exit_code=ended.exit_code or 1, lines=lines)
