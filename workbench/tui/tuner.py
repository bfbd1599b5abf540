"""What the tuning pane asks for: applied, undone, copied, saved."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.client.client import ClientError
from workbench.model.durations import duration
from workbench.model.errors import WorkbenchError
from workbench.model.option_words import value_words
from workbench.model.text import plural
from workbench.tui.board import Board
from workbench.tui.messages import CopyWanted, TuneWanted
from workbench.tui.source import Connection
from workbench.tui.tuning import Step, code_of, same

LEAST_S = 1.0  # what is left of a time is at least this long when it is given again
NOT_HERE = "the file is on the worker's machine; c copies the values as code"


class Tuner:
    """Talks to the worker for the tuning pane.

    Args:
        board: with what is pending, and the way back.
        connection: the worker, while it is connected.
        is_local: whether the worker's files are this machine's.
        tell: words for the user, and how bad they are.
        copy: hands lines to the clipboard.
        changed: the board shows something else.
    """

    def __init__(
        self,
        board: Board,
        connection: Callable[[], Connection | None],
        is_local: Callable[[], bool],
        tell: Callable[..., None],
        copy: Callable[[CopyWanted], object],
        changed: Callable[[], None],
    ) -> None:
        self._board, self._connection, self._is_local = board, connection, is_local
        self._tell, self._copy, self._changed = tell, copy, changed
        self._one = asyncio.Lock()

    async def do(self, wanted: TuneWanted) -> None:
        """What a key asked for, one after the other; what went wrong is told."""
        async with self._one:
            try:
                await self._do(wanted)
            except WorkbenchError as error:
                self._tell(str(error), "error")
        self._changed()

    async def _do(self, wanted: TuneWanted) -> None:
        match wanted.what:
            case "copy":
                self._copy_code()
            case "save":
                await self._save()
            case "apply":
                await self._apply(self._linked(), wanted.for_s)
            case "undo":
                await self._undo(self._linked())

    def _linked(self) -> Connection:
        connection = self._connection()
        if connection is None:
            raise ClientError("not connected to a supervisor")
        return connection

    # --- applying -------------------------------------------------------------------------------

    async def _apply(self, connection: Connection, for_s: float | None) -> None:
        tuning, table = self._board.tuning, self._board.state.options
        values = dict(tuning.to_apply)
        if not values:
            why = "what is pending needs a restart: w saves it" if tuning.pending else "nothing is pending"
            self._tell(why, "warning")
            return
        step = Step(values, {name: dict(table[name]) for name in values})
        try:
            await connection.set_options(values, for_s)
        except ClientError as refused:
            named = str(refused).partition(":")[0]  # `num_idle_processes: must be at most ...`
            tuning.error = (named if named in values else next(iter(values)), str(refused))
            raise
        for name, value in values.items():
            if name in tuning.pending and same(tuning.pending[name], value):
                del tuning.pending[name]
        tuning.steps.append(step)
        said = ", ".join(f"{name} {value_words(name, value)}" for name, value in values.items())
        tuning.said = f"applied{f' for {duration(for_s)}' if for_s is not None else ''}: {said}; u undoes"

    async def _undo(self, connection: Connection) -> None:
        tuning, table = self._board.tuning, self._board.state.options
        if not tuning.steps:
            self._tell("nothing was applied here that could be undone", "warning")
            return
        step = tuning.steps[-1]
        live = [name for name in step.values if table.get(name, {}).get("origin") == "live"]
        again: dict[float | None, dict[str, Any]] = {}
        gone = []
        for name in live:
            before = step.before[name]
            at = before.get("revert_at")
            left_s = at - self._board.clock() if at is not None else math.inf
            if before["origin"] != "live" or left_s <= 0:
                gone.append(name)
            else:
                again.setdefault(max(left_s, LEAST_S) if at is not None else None, {})[name] = before["value"]
        try:
            await self._back(connection, gone, again)
        except ClientError:  # one of them holds only together with the others
            if not gone or not again:
                raise
            await self._back(connection, [], again)
            await self._back(connection, gone, {})
        tuning.steps.pop()
        names = ", ".join(step.values)
        tuning.said = f"undone: {names}" if live else f"{names}: the change is over already"

    async def _back(self, connection: Connection, gone: list[str], again: "dict[float | None, dict[str, Any]]") -> None:
        """Take back what was not live before, then set again what was."""
        if gone:
            await connection.take_back_options(gone)
        for for_s, values in again.items():
            await connection.set_options(values, for_s)

    # --- keeping --------------------------------------------------------------------------------

    def _copy_code(self) -> None:
        code, left_out = code_of(self._board.state.options)
        self._copy(CopyWanted(code, code.count("\n") + 1))
        if left_out:
            self._tell(f"left out, secret: {', '.join(left_out)}", "warning")

    async def _save(self) -> None:
        board, tuning = self._board, self._board.tuning
        live = {name: item for name, item in board.state.options.items() if item["origin"] == "live"}
        to_save = dict(tuning.to_save)
        values = {**{name: item["value"] for name, item in live.items()}, **to_save}
        if not values:
            why = "what is pending is not applied yet: a applies it" if tuning.pending else "no option was changed live"
            self._tell(f"nothing to save: {why}", "warning")
            return
        if not self._is_local() or not board.state.worker.folder:
            self._tell(NOT_HERE, "warning")
            return
        from workbench.tui.saving import save

        given = {name: math.inf if value is None else value for name, value in values.items()}
        saved = await asyncio.to_thread(save, Path(board.state.worker.folder), given)
        for name, value in to_save.items():
            tuning.pending.pop(name, None)
            tuning.saved[name] = value
        back = [name for name, item in live.items() if item.get("revert_at") is not None]
        stronger = self._stronger(list(values))
        said = [f"wrote {'; '.join(saved.lines)} to {saved.path}"]
        said += [f"in this run still for a time only: {', '.join(back)}"] if back else []
        said += [f"stronger than the file at the next start: {stronger}"] if stronger else []
        left = len(tuning.to_apply)
        said += [f"{plural(left, 'pending value')} not applied, and not saved"] if left else []
        self._tell(". ".join(said), "warning" if stronger else "information")

    def _stronger(self, names: list[str]) -> str:
        """Which of the saved options a flag or a variable sets, too."""
        found = []
        for name in names:
            item = self._board.state.options[name]
            origin = str((item.get("below") or item)["origin"])
            if origin.startswith("--") or origin.isupper():
                found.append(f"{name} by {origin}")
        return ", ".join(found)
