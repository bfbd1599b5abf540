"""A figure: what was measured, what was hoped for; and the table that tells both."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("figure", "goal", "measured", "median", "p95", "min .. max", "n", "ratio", "met")


@dataclass(frozen=True, slots=True)
class Figure:
    """Values of one figure. Without a `goal` it is there to be compared: with the median of the figure `beside`.

    Args:
        judged: which value the goal holds for: `median`, `p95` or `worst`.
        more_is_better: a rate, not a time.
    """

    name: str
    values: Sequence[float]
    unit: str
    goal: float | None = None
    judged: str = "median"
    more_is_better: bool = False
    beside: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        """The value that one in twenty is worse than."""
        ranked = sorted(self.values, reverse=self.more_is_better)
        return ranked[min(len(ranked) - 1, round(0.95 * (len(ranked) - 1)))]

    @property
    def worst(self) -> float:
        """The worst value."""
        return min(self.values) if self.more_is_better else max(self.values)

    @property
    def measured(self) -> float:
        """The value that is held against the goal."""
        return {"median": self.median, "p95": self.p95, "worst": self.worst}[self.judged]

    @property
    def ratio(self) -> float | None:
        """How many times the goal is missed by: 1 and less is met. None where the goal is zero, or there is none."""
        if not self.goal or not self.measured:
            return None
        return self.goal / self.measured if self.more_is_better else self.measured / self.goal

    @property
    def met(self) -> bool | None:
        """None without a goal."""
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.more_is_better else self.measured <= self.goal


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def row(figure: Figure, others: dict[str, Figure]) -> tuple[str, ...]:
    """One line of the table."""
    goal = "-"
    if figure.goal is not None:
        word = "" if figure.judged == "median" else f" {figure.judged}"
        goal = f"{'≥' if figure.more_is_better else '≤'} {figure.goal:,g} {figure.unit}{word}"
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
    other = others.get(figure.beside)
    if figure.goal is None and other is not None and other.median:
        ratio = f"{number(figure.median / other.median)}x"
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    spread = f"{number(min(figure.values))} .. {number(max(figure.values))}"
    return (
        figure.name, goal, f"{number(figure.measured)} {figure.unit}", number(figure.median), number(figure.p95),
        spread, str(len(figure.values)), ratio, met,
    )  # fmt: skip


def table(figures: Sequence[Figure]) -> str:
    """All figures. Ratio is measured to goal (1 and less is met); with an x, to the figure it is compared with."""
    names = {figure.name: figure for figure in figures}
    rows = [HEAD, *(row(figure, names) for figure in figures)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEAD))]
    lines = []
    for line in rows:
        cells = [
            text.ljust(width) if column in (0, 1, 8) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def surroundings() -> str:
    """What the figures depend on, as far as it can be told."""
    load = os.getloadavg()[0]
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores, load average {load:.2f}"
