"""Cards that come up above the logs when something stands in the way, and go when it does not."""

from rich.cells import cell_len

from workbench.client.owner import Ended
from workbench.model.text import plural
from workbench.supervisor.words import listed
from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, clean, fit, spread, wrap
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.words import problem_place

SOURCE_LINES = 5
MESSAGE_ROWS = 3
LAST_LINES = 8


class Card(LineWidget):
    """Shown while it has something to say."""

    def show(self, board: Board) -> None:
        """Appear, grow or go."""
        before = len(self._lines) if self.display else 0
        self.board = board
        width = self.content_size.width or max(self.app.size.width - 4, 20)
        lines = self.draw(board, width, 0)
        self.display = bool(lines)
        if len(lines) != before:
            self.refresh(layout=True)
        self.redraw()


class ReloadCard(Card):
    """Why the new code is not served: file, line, caret; and what serves meanwhile."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        problem = board.state.reload.problem
        if problem is None:
            return []
        message = clean(problem.get("message") or "", 400)
        kind = clean(problem.get("kind") or "", 60)
        text = f"{kind}: {message}" if kind else message
        rows = wrap(text, width)[:MESSAGE_ROWS]
        lines: list[Line] = [headline(board, width), *([(row, "strong")] for row in rows)]
        lines += where(board, problem, width)
        lines += [fit(line, width) for line in source_lines(problem)]
        return [*lines, fit([("fix and save: this goes away by itself; r loads it again", "dim")], width)]


def headline(board: Board, width: int) -> Line:
    """What failed, and what still serves."""
    state = board.state
    if not state.worker.generation:
        title = "✗ The agent cannot be loaded"
    else:
        jobs = plural(len(state.active_jobs()), "job")
        title = f"✗ Generation {state.reload.generation} cannot serve"
        title += f"; generation {state.worker.generation} still serves {jobs}"
    return spread([(title, "bad")], [(fmt.clock_time(state.reload.since), "dim")], width)


def where(board: Board, problem: dict[str, object], width: int) -> list[Line]:
    """The place in the user's code, and what was saved: on one row where that fits."""
    place, changed = problem_place(problem), board.state.reload.changed
    first: Line = [(place, "info")] if place else []
    saved: Line = [(f"saved: {clean(listed(changed), 160)}", "dim")] if changed else []
    rows = [[*first, ("   ", ""), *saved]] if first and saved else [first or saved]
    return [fit(row, width) for row in rows if row]


def source_lines(problem: dict[str, object]) -> list[Line]:
    """The source around the place, with an arrow at the line and a caret under the column."""
    source, at, column = problem.get("source"), problem.get("line"), problem.get("column")
    lines: list[Line] = []
    for number, text in list(source)[:SOURCE_LINES] if isinstance(source, list) else []:
        here = number == at
        lines.append(
            [(f"{'▶' if here else ' '} {number:>4} │ ", "bad" if here else "faint"),
             (clean(text, 300), "plain" if here else "dim")]
        )  # fmt: skip
        if here and isinstance(column, int) and column > 0:
            lead = clean(str(text)[: column - 1], 300)
            lines.append([("       │ ", "faint"), (" " * cell_len(lead) + "^", "bad")])
    return lines


class EndedCard(Card):
    """The owned supervisor is gone: how, its last lines, and what can be done."""

    ended: Ended | None = None
    starting = False

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        if self.starting:
            return [[("◌ Starting the supervisor again", "info")]]
        if self.ended is None:
            return []
        last = [fit([(clean(line, 300), "dim")], width) for line in self.ended.last_lines[-LAST_LINES:]]
        return [
            [(f"✗ The supervisor has ended: {self.ended}", "bad")],
            *(last or [[("it said nothing in its log", "dim")]]),
            [("R", "accent"), (" start it again   ", "plain"), ("q", "accent"), (" quit", "plain")],
        ]
