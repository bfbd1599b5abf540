"""What the app does for the detail of a process: opens it, fetches for it, has stacks dumped."""

from typing import TYPE_CHECKING

from workbench.model.errors import WorkbenchError
from workbench.tui.messages import DetailWanted, StackWanted

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.places import Place
    from workbench.tui.screens.detail import DetailScreen


class Details:
    """One for the app; the screen itself is made when it is asked for."""

    def __init__(self, app: "WorkbenchApp") -> None:
        self._app = app
        self._screen: DetailScreen | None = None
        self._fetching = False

    def open(self, place: "Place") -> None:
        """The process of a place, or the last one that was there."""
        process = place.process or place.gone
        if process is None:
            self._app.tell("no process has been in this place yet")
            return
        from workbench.tui.screens.detail import DetailScreen

        self._screen = DetailScreen(self._app.board, place, process)
        self._app.push_screen(self._screen, lambda _: self._closed())

    @property
    def covers(self) -> bool:
        """Nothing of the board is seen."""
        return self._screen is not None and self._app.screen is self._screen

    def _closed(self) -> None:
        self._screen = None
        self._app.board_screen.show(self._app.board)

    def wanted(self, message: DetailWanted | StackWanted) -> None:
        """What the screen asks for."""
        match message:
            case DetailWanted():
                self._fetch_soon(message.pid)
            case StackWanted():
                self._app.run_worker(self._stack(message.pid), group="stack", exclusive=True)

    def show_logs(self) -> None:
        """Only its lines, in the logs of the board."""
        if self._screen is not None:
            self._app.board_screen.show_logs_of(self._screen.subject.last.id)

    def _fetch_soon(self, pid: int) -> None:
        """Ask for news, unless an answer is still awaited."""
        if not self._fetching:
            self._fetching = True
            self._app.run_worker(self._fetch(pid), group="detail")

    async def _fetch(self, pid: int) -> None:
        connection = self._app.feed.connection
        try:
            if connection is None:
                return
            told = await connection.process(pid)
            if self._screen is not None:
                self._screen.took(pid, told)
        except WorkbenchError as error:
            if self._screen is not None:
                self._screen.failed(pid, str(error))
        finally:
            self._fetching = False

    async def _stack(self, pid: int) -> None:
        connection = self._app.feed.connection
        if connection is None:
            self._app.tell("not connected to a supervisor", "warning")
            return
        try:
            dump = await connection.stack(pid)
        except WorkbenchError as error:
            self._app.tell(str(error), "error")
            return
        if self._screen is not None:
            self._screen.dumped(pid, dump)
