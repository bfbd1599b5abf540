"""The load that the screen pours in: one run at a time, over a connection of its own."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.model.errors import WorkbenchError
from workbench.tui.board import Board
from workbench.tui.source import Source

if TYPE_CHECKING:
    from workbench.client.load.plan import Plan

LAST_WORDS_S = 2.5  # a bit more than the run itself takes to ask its jobs to end


class Pouring:
    """Runs a plan; the board shows how far it is."""

    def __init__(self, source: Source, board: Board, tell: Callable[[str], None]) -> None:
        self._source, self._board, self._tell = source, board, tell
        self._then: Callable[[], None] | None = None
        self._task: asyncio.Task[object] | None = None
        self.running = self._stopped = False

    async def pour(self, plan: "Plan") -> None:
        """Until all its jobs have ended. When this is cancelled, they are asked to.

        A terminal that hangs up ends the process at once: at a worker that others started, the jobs run on then.
        """
        from workbench.client.load.run import LoadRun

        self.running, self._stopped, self._task = True, False, asyncio.current_task()
        try:
            async with self._source.connect() as connection:
                run = self._board.load_run = LoadRun(connection, plan)
                if self._stopped:  # before it was connected
                    run.stop()
                await run.run()
        except (WorkbenchError, OSError) as error:
            self._tell(str(error))
        except asyncio.CancelledError:
            self._then = None  # the screen closes already
            raise
        finally:
            self.running = False
            then, self._then = self._then, None
            if then is not None:
                then()

    async def last_words(self) -> None:
        """The screen has closed, which cancelled the run: wait until its jobs are asked to end, but not for long."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LAST_WORDS_S)

    def stop(self) -> None:
        """No job more, and an end to those that run."""
        self._stopped = True
        run = self._board.load_run
        if run is not None and not run.over:  # the last one may still be shown
            run.stop()

    def ends_before(self, then: Callable[[], None]) -> bool:
        """Whether `then` is called when the run has ended, which it is told to; asked again: not waited for."""
        if not self.running or self._then is not None:
            return False
        self._then = then
        self.stop()
        return True

    def stay(self) -> None:
        """What was to come after the run does not come."""
        self._then = None
