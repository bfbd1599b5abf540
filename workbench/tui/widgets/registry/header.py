"""The top: which registry, whether it serves, who works for it, and how much."""

from workbench.client.registry_watch import Seen
from workbench.tui import format as fmt
from workbench.tui.lines import Line, choose, clean, cut
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.widgets.line_widget import Painted

Parts = list[tuple[int, Line]]
LONGEST = 56


class RegistryHeader(Painted[RegistryBoard]):
    """On one row the least needed parts leave first; a second row has place for all."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        name: Parts = [(0, [(f"registry {cut(clean(board.title, 80), LONGEST)}", "head")])]
        if not board.known:
            return [choose([*name, (1, unknown(board))], width, "   ")]
        first, second = [*name, *standing(board), *figures(board)], [*load(board), *about(board)]
        if height >= 2:
            return [choose(first, width, "   "), choose(second, width, "   ")]
        return [choose([*first, *second], width)]


def unknown(board: RegistryBoard) -> Line:
    """Nothing was ever heard."""
    if board.stale_since is None:
        return [("◌ connecting", "info")]
    return [(f"✗ no registry answers, trying again{again(board)}", "bad"), (f"  {clean(board.stale_why, 80)}", "dim")]


def again(board: RegistryBoard) -> str:
    """When it is connected to again, where that is worth a figure."""
    left = board.retry_at - board.clock() if board.retry_at is not None else 0.0
    return f" in {fmt.age(left)}" if left >= 1 else ""


def standing(board: RegistryBoard) -> Parts:
    """Whether it serves; or that all this is old."""
    if board.stale_since is not None:
        gone = fmt.age(board.clock() - board.stale_since)
        words = f"✗ stale {gone}, reconnecting{again(board)}"
        return [(0, [(words, "bad")]), (6, [(cut(clean(board.stale_why), LONGEST), "dim")])]
    if board.seen.about.ending:
        return [(0, [("◐ ENDING", "warn")])]
    if not board.seen.connected:
        return [(0, [("▲ NO WORKERS", "warn")])]
    return [(0, [("● SERVING", "good")])]


def figures(board: RegistryBoard) -> Parts:
    """Workers and slots."""
    seen = board.seen
    used, most = seen.slots
    lost = len(seen.workers) - seen.connected
    workers: Line = [("workers ", "dim"), (f"{seen.connected}/{len(seen.workers)}", "bad" if lost else "strong")]
    slots: Line = [("slots ", "dim"), (f"{used}/{most}", "warn" if most and used >= most else "strong")]
    return [(1, workers), (2, slots)]


def load(board: RegistryBoard) -> Parts:
    """Jobs that wait, run, have ended, and come."""
    about = board.seen.about
    queue: Line = [("queue ", "dim"), (fmt.count(about.queue), "warn" if about.queue else "strong")]
    jobs: Line = [("running ", "dim"), (fmt.count(board.seen.of_status("running")), "busy")]
    unknown = board.seen.of_status("unknown")
    parts: Parts = [(3, queue), (4, jobs)]
    parts += [(3, [(f"▲ {unknown} unknown", "bad")])] if unknown else []
    parts.append((5, [("ended ", "dim"), (fmt.count(about.jobs_ended), "strong")]))
    return [*parts, (5, [(f"{board.rate():.1f}/s", "info")])]


def about(board: RegistryBoard) -> Parts:
    """Age and version."""
    told = board.seen.about
    parts: Parts = []
    if told.started_at:
        parts.append((8, [(f"up {fmt.age(board.now() - told.started_at)}", "faint")]))
    if told.version:
        parts.append((9, [(f"workbench {clean(told.version, 20)}", "faint")]))
    return parts


def ends(seen: Seen) -> Line:
    """Completed, failed and cancelled, since it began."""
    failed = seen.ends.get("failed", 0)
    return [
        ("✓ ", "good"), (fmt.count(seen.ends.get("completed", 0)), "plain"),
        ("  ✗ ", "bad" if failed else "dim"), (fmt.count(failed), "bad" if failed else "plain"),
        ("  ■ ", "dim"), (fmt.count(seen.ends.get("cancelled", 0)), "plain"),
    ]  # fmt: skip
