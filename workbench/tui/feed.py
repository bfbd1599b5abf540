"""The one bridge from the supervisor to the screen: frames in, at most ten messages a second out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from textual.message import Message

from workbench.client.client import Frame, LogLine
from workbench.tui.board import Board
from workbench.tui.following import Follower
from workbench.tui.messages import BoardChanged
from workbench.tui.source import Connection, Source
from workbench.tui.widgets.logs.store import LogRecord

LOG_TAIL = 1000
PENDING_LINES = 10_000


class Feed(Follower[Connection, Frame]):
    """Folds the supervisor's frames into the board.

    Args:
        interval_s: least time between two messages; 0 tells at once.
    """

    FIRST_RETRY_S, LONGEST_RETRY_S = 0.25, 5.0

    def __init__(self, source: Source, board: Board, post: Callable[[Message], object], interval_s: float) -> None:
        super().__init__(board, post, interval_s)
        self._source, self._board = source, board
        self._records: list[LogRecord] = []
        self._left_out = 0
        self._last_n = -1
        self._worker_id = ""

    def connect(self) -> AbstractAsyncContextManager[Connection]:
        """See `Follower`."""
        return self._source.connect()

    def frames(self, connection: Connection) -> AsyncIterator[Frame]:
        """See `Follower`."""
        return connection.frames(LOG_TAIL)

    def take(self, frame: Frame) -> None:
        """See `Follower`."""
        self._board.take(frame)
        if frame.snapshot and frame.state.worker.worker_id != self._worker_id:
            self._worker_id, self._last_n = frame.state.worker.worker_id, -1
        if frame.lines_dropped:
            self._records.append(LogRecord.dropped(frame.lines_dropped, self._board.clock()))
        self._records += map(LogRecord.of, filter(self._is_new, frame.lines))
        over = max(len(self._records) - PENDING_LINES, 0)
        del self._records[:over]
        self._left_out += over

    def _is_new(self, line: LogLine) -> bool:
        if line.n <= self._last_n:
            return False  # seen before the stream was taken up again
        self._last_n = line.n
        return True

    def tell(self) -> None:
        """See `Follower`."""
        records, self._records = self._records, []
        if self._left_out:  # the screen stood still for longer than there is room to wait
            records.insert(0, LogRecord.dropped(self._left_out, self._board.clock()))
            self._left_out = 0
        self.post(BoardChanged(records))
