"""Where in what is shown a search finds something, kept as lines come and go."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable

from workbench.tui.widgets.logs.match import Matcher


class Matches:
    """The lines that match, each with the head of its unit, in the order of the screen; repeats count once."""

    def __init__(self) -> None:
        self.matcher = Matcher()
        self._found: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, head: int, serial: int, text: str) -> None:
        """The next line."""
        if self.matcher.finds(text):
            self._found.append((head, serial))

    def cut(self, head: int) -> None:
        """Units from that head on are forgotten."""
        while self._found and self._found[-1][0] >= head:
            self._found.pop()

    def drop(self, head: int) -> list[int]:
        """The first unit is gone; the lines of it that matched."""
        lines = []
        while self._found and self._found[0][0] == head:
            lines.append(self._found.popleft()[1])
        return lines

    def put_first(self, head: int, lines: Iterable[int]) -> None:
        """What has become the first unit, and the lines of it that match."""
        self._found.extendleft((head, line) for line in reversed(list(lines)))

    def place(self, head: int, serial: int) -> int:
        """Which match that line is, from 1 on; 0 when it is none."""
        at = bisect_left(self._found, (head, serial))
        return at + 1 if at < len(self._found) and self._found[at] == (head, serial) else 0

    def step(self, head: int, serial: int, step: int) -> int | None:
        """The line of the match after or before that place; after the last one the first."""
        if not self._found:
            return None
        if step > 0:
            at = bisect_right(self._found, (head, serial))
        else:
            at = bisect_left(self._found, (head, serial)) - 1
        return self._found[at % len(self._found)][1]
