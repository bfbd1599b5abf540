"""The one bridge from the supervisor to the screen: frames in, at most ten messages a second out."""

import asyncio
from collections.abc import Callable

from textual.message import Message

from workbench.client.client import Frame, LogLine
from workbench.model.errors import WorkbenchError
from workbench.tui.board import Board
from workbench.tui.messages import BoardChanged, LinkLost
from workbench.tui.source import Connection, Source
from workbench.tui.widgets.logs.store import LogRecord

LOG_TAIL = 1000
FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 5.0
PENDING_LINES = 10_000


class Feed:
    """Keeps a connection, folds its frames into the board and tells the app when there is something new.

    Args:
        interval_s: least time between two messages; 0 tells at once.
    """

    def __init__(self, source: Source, board: Board, post: Callable[[Message], object], interval_s: float) -> None:
        self.connection: Connection | None = None
        self._source, self._board, self._post = source, board, post
        self._interval_s = interval_s
        self._records: list[LogRecord] = []
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        self._last_n = -1
        self._worker_id = ""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow the supervisor for ever; a lost stream is taken up again."""
        delay_s = FIRST_RETRY_S
        while True:
            self._wake.clear()
            heard = await self._follow()
            delay_s = FIRST_RETRY_S if heard else min(delay_s * 2, LONGEST_RETRY_S)
            self._board.retry_at = self._board.clock() + delay_s
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._board.retry_at = None

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._wake.set()

    async def _follow(self) -> bool:
        heard, why = False, "the stream ended"
        try:
            async with self._source.connect() as connection:
                async for frame in connection.frames(LOG_TAIL):
                    self.connection, heard = connection, True
                    self._take(frame)
        except (WorkbenchError, OSError) as error:
            why = str(error)
        finally:
            self.connection = None
        self._board.lose(why)
        self._post(LinkLost(why))
        return heard

    def _take(self, frame: Frame) -> None:
        self._board.take(frame)
        if frame.snapshot and frame.state.worker.worker_id != self._worker_id:
            self._worker_id, self._last_n = frame.state.worker.worker_id, -1
        if frame.lines_dropped:
            self._records.append(LogRecord.dropped(frame.lines_dropped, self._board.clock()))
        self._records += map(LogRecord.of, filter(self._is_new, frame.lines))
        over = max(len(self._records) - PENDING_LINES, 0)
        del self._records[:over]
        self._left_out += over
        self._tell_soon()

    def _is_new(self, line: LogLine) -> bool:
        if line.n <= self._last_n:
            return False  # seen before the stream was taken up again
        self._last_n = line.n
        return True

    def _tell_soon(self) -> None:
        if self._timer is not None:
            return
        now = asyncio.get_running_loop().time()
        wait_s = self._told_at + self._interval_s - now
        if wait_s <= 0:
            self._tell()
        else:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = asyncio.get_running_loop().time()
        records, self._records = self._records, []
        if self._left_out:  # the screen stood still for longer than there is room to wait
            records.insert(0, LogRecord.dropped(self._left_out, self._board.clock()))
            self._left_out = 0
        self._post(BoardChanged(records))
