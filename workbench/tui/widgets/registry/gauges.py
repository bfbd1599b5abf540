"""Slots that are taken, and jobs that come in."""

from workbench.tui import format as fmt
from workbench.tui.lines import Line, spread
from workbench.tui.registry.board import RegistryBoard
from workbench.tui.registry.words import worker_look
from workbench.tui.widgets.gauges.gauge import Reading, gauge_lines
from workbench.tui.widgets.line_widget import Painted
from workbench.tui.widgets.registry.header import ends

LEAST_TOP = 1.0  # dispatches a second that the gauge reaches to at least


class SlotsGauge(Painted[RegistryBoard]):
    """Slots taken, of those of the workers whose link is up."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        used, most = board.seen.slots
        share = used / most if most else None
        tone = "warn" if most and used >= most else "good"
        figures: Line = [(f"{used:>5}", tone), (" of ", "dim"), (str(most), "strong")]
        detail: Line = [(fmt.share(share), "faint")]
        reading = Reading("USED", share, 1.0, tone, figures, [], list(board.slots_trend), detail)
        return gauge_lines(reading, width, height)


class RateGauge(Painted[RegistryBoard]):
    """Dispatches a second, over the last 10 s, against the most of the last minutes."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        rate = board.rate()
        top = max(LEAST_TOP, rate, *board.rate_trend)
        figures: Line = [(f"{rate:>5.1f}", "info"), (" /s", "dim")]
        detail: Line = [("dispatches, last 10 s", "faint")]
        return gauge_lines(
            Reading("RATE", rate, top, "info", figures, [], list(board.rate_trend), detail), width, height
        )


class WorkersPanel(Painted[RegistryBoard]):
    """One sign for each worker, and how many there are of each kind of state."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        looks = [worker_look(worker) for worker in board.seen.workers.values()]
        total: Line = [(f"{board.seen.connected} of {len(looks)}", "strong")]
        signs: Line = [(f"{look.sign} ", look.tone) for look in looks[: max((width + 1) // 2, 1)]]
        words: Line = []
        for word, tone in dict.fromkeys((look.word, look.tone) for look in looks):
            words += [(f"{word} ", "dim"), (f"{sum(look.word == word for look in looks)}  ", tone)]
        return [spread([("WORKERS", "dim")], total, width), signs, words]


class TotalsPanel(Painted[RegistryBoard]):
    """Jobs that run and wait, and the ends counted."""

    def draw(self, board: RegistryBoard, width: int, height: int) -> list[Line]:
        """See `Painted`."""
        seen = board.seen
        running: Line = [("now ", "dim"), (fmt.count(seen.of_status("running")), "busy")]
        queue: Line = [("queue ", "dim"), (fmt.count(seen.about.queue), "warn" if seen.about.queue else "plain")]
        return [spread([("JOBS", "dim")], running, width), ends(seen), queue]
