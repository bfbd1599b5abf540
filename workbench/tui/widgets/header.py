"""The top: who, whether it takes jobs and why, which code, how it is linked, where it listens."""

from workbench.tui import format as fmt
from workbench.tui.board import Board
from workbench.tui.lines import Line, choose, clean, cut
from workbench.tui.widgets.line_widget import LineWidget
from workbench.tui.widgets.tune.rows import running
from workbench.tui.words import LONGEST_NAME, admission_look, link_look, pending_words, retry_words

NO_CODE = "-"
LASTED_FROM_S = 1.0
LONGEST_REASON = 56

Parts = list[tuple[int, Line]]


class Header(LineWidget):
    """On one row the least needed parts leave first; a second row has place for all."""

    def draw(self, board: Board, width: int, height: int) -> list[Line]:
        """See `LineWidget`."""
        if not board.known:
            return [choose([(0, [(clean(board.title or "workbench", 60), "head")]), (1, unknown(board))], width)]
        name: Parts = [(0, [(cut(clean(board.state.worker.agent_id), LONGEST_NAME), "head")])]
        first, second = [*name, *admission(board)], [*code_and_link(board), *place_and_age(board)]
        if height >= 2:
            return [choose(first, width, "   "), choose(second, width, "   ")]
        return [choose([*first, *second], width)]


def unknown(board: Board) -> Line:
    """Nothing was ever heard."""
    if board.stale_since is None:
        return [("◌ connecting", "info")]
    words = f"✗ no supervisor answers, trying again{next_try(board)}"
    return [(words, "bad"), (f"  {clean(board.stale_why, 80)}", "dim")]


def next_try(board: Board) -> str:
    """When it is connected to again, where that is worth a figure."""
    left = board.retry_at - board.clock() if board.retry_at is not None else 0.0
    return f" in {fmt.age(left)}" if left >= 1 else ""


def admission(board: Board) -> Parts:
    """Whether jobs are taken, why, and for how long already; or that all this is old."""
    now, worker = board.clock(), board.state.worker
    if board.ended:
        return [(0, [("✗ ENDED", "bad")]), (5, [("R starts the supervisor again", "dim")])]
    if board.stale_since is not None:
        gone = fmt.age(now - board.stale_since)
        words = f"✗ silent for {gone}" if board.silent else f"✗ stale {gone}, reconnecting{next_try(board)}"
        return [(0, [(words, "bad")]), (6, [(cut(clean(board.stale_why), LONGEST_REASON), "dim")])]
    look = admission_look(board.state)
    reason = (cut(clean(worker.why), LONGEST_REASON), "dim" if look.tone == "good" else look.tone)
    lasted = now - worker.status_since
    since: Line = [(f"for {fmt.age(lasted)}", "faint")]
    return [(0, look.line), (5, [reason]), *([(6, since)] if lasted >= LASTED_FROM_S else [])]


def code_and_link(board: Board) -> Parts:
    """The generation with what becomes of the next one, and the registry link with its reason."""
    back = running(board)
    return [
        (1, _generation(board)),
        *([(2, back)] if back else []),
        *saves(board),
        (3, _link(board)),
        *_registry(board),
    ]


def saves(board: Board) -> Parts:
    """What was saved and has no effect yet, and how saves are noticed where the kernel does not tell of them."""
    reload, parts = board.state.reload, Parts()
    if reload.pending:
        parts.append((2, [(pending_words(reload.pending), "info")]))
    if reload.suspended:
        name, more = next(iter(reload.suspended)), len(reload.suspended) - 1
        which = f"{len(reload.suspended)} files" if more else cut(clean(name), LONGEST_NAME)
        parts.append((4, [(f"! {which} suspended", "warn")]))  # the status line has it, too
    if reload.needs_restart:
        parts.append((3, [(f"! needs restart: {clean(', '.join(reload.needs_restart), 80)}", "warn")]))
    if reload.polling:
        parts.append((4, [("polling", "dim")]))
    return parts


def place_and_age(board: Board) -> Parts:
    """Address, a remark about it, uptime, and the file."""
    worker, parts = board.state.worker, Parts()
    if worker.url_note:
        parts.append((4, [(f"! {clean(worker.url_note, 80)}", "warn")]))
    if worker.url:
        parts.append((7, [(clean(worker.url, 80), "dim")]))
    if worker.started_at:
        known_at = board.stale_since if board.stale_since is not None else board.clock()
        parts.append((8, [(f"up {fmt.age(known_at - worker.started_at)}", "faint")]))
    if board.title:
        parts.append((9, [(clean(board.title, 60), "faint")]))
    return parts


def _generation(board: Board) -> Line:
    reload, generation = board.state.reload, board.state.worker.generation
    line: Line = [("gen ", "dim"), (str(generation or NO_CODE), "strong")]
    if reload.step in ("loading", "warming"):
        took = fmt.age(board.clock() - reload.since)
        line.append((f" → {reload.generation} {reload.step} {took}", "info"))
    elif reload.problem is not None:
        line.append((f" ✗ {reload.generation} broken", "bad"))
    return line


def _link(board: Board) -> Line:
    link = board.state.link
    line = link_look(link.state).line
    return [*line, (f" {retry_words(board.state, board.clock())}", "warn")] if link.retry_at is not None else line


def _registry(board: Board) -> Parts:
    """What waits between worker and registry, where the registry is and what it calls the worker, or what is wrong."""
    link, parts = board.state.link, Parts()
    if link.undelivered:
        parts.append((4, [(f"! {link.undelivered} undelivered", "warn")]))
    if board.state.worker.reserved:
        parts.append((5, [(f"{board.state.worker.reserved} reserved", "info")]))
    if link.state != "local" and link.url:
        parts.append((7, [(clean(link.url, 80), "dim")]))
    if link.leaving:
        parts.append((4, [(clean(link.why, 80), "warn")]))
    elif link.state == "connected" and link.worker_id:
        parts.append((8, [(f"as {cut(clean(link.worker_id), LONGEST_NAME)}", "dim")]))
    elif link.why and link.state != "connecting":
        tone = "bad" if link.state == "failed" else "dim"
        parts.append((7, [(cut(clean(link.why), LONGEST_REASON), tone)]))
    return parts
